package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
)

// echo answers a question with itself, and refuses one that begins with a 0.
type echo struct{ extra int }

func (e echo) Lacking(q []byte) ([]byte, error) {
	if len(q) > 0 && q[0] == 0 {
		return nil, errors.New("no question")
	}
	return append(bytes.Clone(q), make([]byte, e.extra)...), nil
}

// TestCredit: questions are answered to their limits, and no others; a peer that
// asks too often waits.
func TestCredit(t *testing.T) {
	knows := startNode(t, Config{Credit: echo{}})
	talks := startNode(t, Config{Credit: echo{extra: MaxCredit}})
	asks := startNode(t, Config{Join: append(knows.Addrs(), talks.Addrs()...)})
	asks.await("the others", func() bool { return len(asks.Peers()) == 2 })
	for _, q := range [][]byte{{}, []byte("what"), bytes.Repeat([]byte("x"), MaxCreditAsk)} {
		if got, err := asks.AskCredit(t.Context(), knows.ID(), q); err != nil || !bytes.Equal(got, q) {
			t.Errorf("%d bytes for %d: %v", len(got), len(q), err)
		}
	}
	for _, q := range [][]byte{{0}, bytes.Repeat([]byte("x"), MaxCreditAsk+1)} {
		if got, err := asks.AskCredit(t.Context(), knows.ID(), q); !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("%d bytes for a question that is none, %v", len(got), err)
		}
	}
	if _, err := asks.AskCredit(t.Context(), talks.ID(), []byte("what")); err == nil {
		t.Error("an answer past its limit was taken")
	}
	if _, err := knows.AskCredit(t.Context(), asks.ID(), []byte("what")); !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("a node without credit answered: %v", err)
	}
	refused := 0
	for range 2 * int(creditPace().burst) {
		if _, err := asks.AskCredit(t.Context(), knows.ID(), []byte("again")); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nobody asks too often")
	}
}

// TestCreditOfLiars: a peer that promises more than it sends, or too much, is an
// error, at once.
func TestCreditOfLiars(t *testing.T) {
	n, far := startNode(t, Config{}), newStranger(t)
	far.connect(n)
	for name, answer := range map[string][]byte{
		"too much":   binary.LittleEndian.AppendUint32(nil, MaxCredit+1),
		"cut":        append(binary.LittleEndian.AppendUint32(nil, 10), 1, 2, 3),
		"nothing":    nil,
		"not a size": {1, 2},
	} {
		far.host.SetStreamHandler(creditProtocol, func(s network.Stream) {
			_, _ = readSized(s, MaxCreditAsk)
			_, _ = s.Write(answer)
			_ = s.Close()
		})
		if got, err := n.AskCredit(t.Context(), routingPeer(far.host.ID()), []byte("what")); err == nil {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.AskCredit(ctx, routingPeer(far.host.ID()), nil); err == nil {
		t.Error("asked after the end")
	}
}

// FuzzSized: what is taken is as long as promised and within the limit.
func FuzzSized(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 'a', 'b', 'c'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 64
		got, err := readSized(bytes.NewReader(data), most)
		if err != nil {
			return
		}
		if n := binary.LittleEndian.Uint32(data); n > most || len(got) != int(n) || !bytes.Equal(got, data[4:4+n]) {
			t.Fatalf("%d bytes of %d", len(got), n)
		}
		var again bytes.Buffer
		if err := writeSized(&again, got); err != nil {
			t.Fatal(err)
		}
		if back, err := readSized(&again, most); err != nil || !bytes.Equal(back, got) {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, &again)
	})
}
