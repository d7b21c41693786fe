package swarm

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// replies says back what it is asked, and by whom.
type replies struct{}

func (replies) Reply(_ context.Context, from routing.Peer, request []byte) ([]byte, error) {
	switch string(request) {
	case "refuse":
		return nil, errors.New("not yours" + strings.Repeat("!", 2*MaxTranscriptAsk))
	case "long":
		return make([]byte, MaxTranscript+1), nil
	}
	return append([]byte(from+" "), request...), nil
}

// exchange is a stream whose other side is b.
type exchange struct {
	bytes.Buffer
	in *bytes.Reader
}

func (e *exchange) Read(p []byte) (int, error) { return e.in.Read(p) }

func TestTranscriptReplies(t *testing.T) {
	s := newTranscripts(nil, nil, replies{})
	ask := func(request string) ([]byte, error) {
		t.Helper()
		e := &exchange{in: bytes.NewReader(append([]byte{byte(len(request)), 0}, request...))}
		if err := s.answer(t.Context(), "somebody", e); err != nil {
			t.Fatal(err)
		}
		return readTranscriptReply(&e.Buffer)
	}
	if b, err := ask("hello"); err != nil || string(b) != string(routingPeer("somebody"))+" hello" {
		t.Errorf("%q, %v", b, err)
	}
	for _, r := range []string{"refuse", "long"} {
		if b, err := ask(r); !errors.Is(err, ErrNotShown) || b != nil {
			t.Errorf("%s: %q, %v", r, b, err)
		}
	}
	for name, b := range map[string][]byte{"nothing": nil, "half": {0, 9, 0, 0, 0, 1}, "a kind that there is not": {2, 0, 0, 0, 0}, "too much": {0, 0, 0, 0, 255}, "a long refusal": {1, 1, 4, 0, 0}} {
		if _, err := readTranscriptReply(bytes.NewReader(b)); !errors.Is(err, ErrNotShown) && !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range transcriptPeer {
		if !s.enter("a") {
			t.Error("a peer is refused")
		}
	}
	if s.enter("a") || !s.enter("b") {
		t.Error("one peer takes the room of others")
	}
	s.leave("a")
	if !s.enter("a") {
		t.Error("refused after it was done")
	}
}

func FuzzTranscriptFrames(f *testing.F) {
	f.Add([]byte{3, 0, 1, 2, 3})
	f.Add([]byte{0, 1, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := readTranscriptAsk(bytes.NewReader(b)); err == nil && (len(r) > MaxTranscriptAsk || !bytes.Equal(r, b[2:2+len(r)])) {
			t.Error("another request")
		}
		if r, err := readTranscriptReply(bytes.NewReader(b)); err == nil && !bytes.Equal(r, b[5:5+len(r)]) {
			t.Error("another reply")
		}
	})
}
