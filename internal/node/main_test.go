package node

import (
	"os"
	"testing"

	"github.com/moeswarm/moeswarm/gating/chat"
)

// templateWorker is the argument with which this program renders templates.
const templateWorker = "chat-template-worker"

// TestMain is also the process that templates run in.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == templateWorker {
		if err := chat.Serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
