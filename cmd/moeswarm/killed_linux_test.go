package main

import (
	"bufio"
	"errors"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestParentKilled: nodes of a run that is killed without a chance to clean
// up stop by themselves.
func TestParentKilled(t *testing.T) {
	cmd := exec.Command(built(t), "run", "-n", "1000", prompts[0])
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('}'); err != nil {
		t.Fatal(err)
	}
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) < 5 {
		t.Errorf("%d child processes, want 5", len(children))
	}
	var ends []unix.PollFd // become readable when a process ends
	for _, pid := range children {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		ends = append(ends, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	cmd.Process.Kill()
	cmd.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for i := range ends {
		for n := 0; n == 0; {
			left := int(time.Until(deadline).Milliseconds())
			if left <= 0 {
				t.Fatalf("process %d outlives its parent", children[i])
			}
			if n, err = unix.Poll(ends[i:i+1], left); err != nil && !errors.Is(err, unix.EINTR) {
				t.Fatal(err)
			}
			n = max(n, 0)
		}
	}
}
