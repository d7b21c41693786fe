package swarm

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// TestAnswersAreSigned: who asks for it gets, with each frame of an answer, what
// the holder signs of that very frame; who does not, gets none.
func TestAnswersAreSigned(t *testing.T) {
	var mu sync.Mutex
	works := map[string]Work{}
	p := startPair(t, "tcp", serverConfig{Apply: scale{}, Word: func(w Work) []byte {
		mu.Lock()
		defer mu.Unlock()
		word := fmt.Sprintf("word %d of %x", w.Seq, w.Session)
		works[word] = w
		return []byte(word)
	}})
	in, calls := challengeAsk()
	a := routing.Ask{In: in, Calls: calls}
	plain, err := p.caller.Call(testContext(t), p.to, a)
	if err != nil || plain.Signed != nil {
		t.Fatalf("%v, %v", plain.Signed, err)
	}
	for _, half := range []bool{false, true} {
		c := newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{Signed: true, Half: half})
		startRun(t, c.run)
		for range 3 {
			got, err := c.Call(testContext(t), p.to, a)
			if err == nil {
				err = checkAnswer(a, got)
			}
			if err != nil || len(got.Signed) != 1 {
				t.Fatalf("%v, %v", got.Signed, err)
			}
			s := got.Signed[0]
			mu.Lock()
			w, ok := works[string(s.Statement)]
			mu.Unlock()
			if !ok || s.First != 0 || s.Calls != len(calls) || s.Codes {
				t.Errorf("half %v: %+v", half, s)
			}
			if w.Asker != routingPeer(p.asker.ID()) || w.Session == [wire.SessionLen]byte{} || len(w.Calls) != len(calls) {
				t.Errorf("signed of %+v", w)
			}
		}
	}
	// What is signed in half precision is what arrives.
	exact := expert.Batch{Rows: 1, Dim: 1, Data: []float32{1.00001}}
	if h := wire.Halved([]expert.Result{{Out: exact}}); h[0].Out.Data[0] != 1 || exact.Data[0] != 1.00001 {
		t.Errorf("halved: %v of %v", h[0].Out.Data, exact.Data)
	}
}

// TestTwoWords: a holder that signs two things about one answer is told of, and
// the answer comes all the same.
func TestTwoWords(t *testing.T) {
	var told [][]byte
	l := newLink(nil, "12D3KooWliar", "", &buffers{})
	l.twice = func(_ routing.Peer, a, b []byte) { told = append(told, a, b) }
	w := &awaited{kind: wire.KindPong, size: anySize, done: make(chan arrival, 1)}
	if err := l.begin(w, 1); err != nil {
		t.Fatal(err)
	}
	b := wire.AppendWord(nil, w.id, []byte("one"))
	b = wire.AppendWord(b, w.id, []byte("one")) // the same again says nothing
	b = wire.AppendWord(b, w.id, []byte("another"))
	b = wire.AppendWord(b, w.id, []byte("a third"))
	b = wire.AppendWord(b, w.id+1, []byte("of nothing"))
	b = wire.AppendPong(b, w.id, wire.Pong{})
	if err := l.readAll(bytes.NewReader(b)); err != io.EOF {
		t.Fatal(err)
	}
	if got := <-w.done; got.err != nil || string(got.word) != "one" {
		t.Errorf("%q, %v", got.word, got.err)
	}
	if len(told) != 2 || string(told[0]) != "one" || string(told[1]) != "another" {
		t.Errorf("told %q", told)
	}
}

// papers is evidence in memory.
type papers map[[32]byte][]byte

func (p papers) Get(h [32]byte) []byte { return p[h] }

// TestEvidence: a piece is fetched by its hash; what is not there or too large is
// not given, and says so.
func TestEvidence(t *testing.T) {
	big := bytes.Repeat([]byte("x"), MaxEvidence)
	has := startNode(t, Config{Evidence: papers{{1}: []byte("proof"), {2}: big, {3}: append(big, 'x')}})
	wants := startNode(t, Config{Join: has.Addrs()})
	wants.await("the other", func() bool { return len(wants.Peers()) == 1 })
	for h, want := range map[[32]byte][]byte{{1}: []byte("proof"), {2}: big} {
		if got, err := wants.FetchEvidence(t.Context(), has.ID(), h); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d: %v", len(got), len(want), err)
		}
	}
	for _, h := range [][32]byte{{3}, {4}} {
		if _, err := wants.FetchEvidence(t.Context(), has.ID(), h); err == nil {
			t.Errorf("evidence %d was given", h[0])
		}
	}
	if _, err := has.FetchEvidence(t.Context(), wants.ID(), [32]byte{1}); err == nil {
		t.Error("a node without evidence gave some")
	}
}

// TestOnePeerLeavesRoom: a peer that asks slowly keeps the others out of no
// protocol of questions.
func TestOnePeerLeavesRoom(t *testing.T) {
	for name, q := range map[string]*questions{
		"evidence": newProofs(nil, nil, papers{}), "credit": newCredit(nil, nil, echo{}), "transcripts": newTranscripts(nil, nil, replies{}),
	} {
		n := 0
		for q.enter("slow") {
			if n++; n >= q.most {
				t.Fatalf("%s: one peer has every stream", name)
			}
		}
		if n == 0 || !q.enter("other") {
			t.Errorf("%s: %d streams of one peer, none of another", name, n)
		}
		q.leave("slow")
		if !q.enter("slow") {
			t.Errorf("%s: a stream that ended makes no room", name)
		}
	}
}

// FuzzEvidence: whatever a peer answers, what is taken is as long as promised.
func FuzzEvidence(f *testing.F) {
	f.Add([]byte{5, 0, 0, 0, 'p', 'r', 'o', 'o', 'f'})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := askEvidence(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}, [32]byte{})
		if err == nil && !bytes.Equal(got, b[4:4+len(got)]) {
			t.Fatalf("%q of %q", got, b)
		}
	})
}
