package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// scribe signs by writing down; it says of which answers.
type scribe struct {
	mu    sync.Mutex
	works map[string]Work // by note
}

func (s *scribe) Note(w Work) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	note := fmt.Sprintf("answer %d;", w.Seq)
	if s.works == nil {
		s.works = map[string]Work{}
	}
	w.Results = wire.Halved(w.Results) // a copy
	s.works[note] = w
	return []byte(note)
}

func (s *scribe) Sign(_ routing.Peer, name SessionName, notes [][]byte) []byte {
	return append([]byte(fmt.Sprintf("%x:", name)), bytes.Join(notes, nil)...)
}

// listener believes what it hears and remembers contradictions.
type listener struct {
	mu    sync.Mutex
	heard int
	twice []string
	names map[string]bool // of sessions
}

func (l *listener) Hear(statement []byte, about []Heard) []error {
	errs := make([]error, len(about))
	name, notes, _ := strings.Cut(string(statement), ":")
	all := strings.SplitAfter(notes, ";")
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, h := range about {
		if h.Place >= len(all) || all[h.Place] != fmt.Sprintf("answer %d;", h.Seq) || h.Rows == 0 {
			errs[i] = fmt.Errorf("%+v in %q", h, statement)
		}
	}
	l.heard += len(about)
	if l.names == nil {
		l.names = map[string]bool{}
	}
	l.names[name] = true
	return errs
}

func (l *listener) Twice(seq uint64, a, b routing.Said) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.twice = append(l.twice, fmt.Sprintf("%d: %s and %s", seq, a.Statement, b.Statement))
}

// TestAnswersAreSigned: who asks for it gets what the holder signs of each frame of
// its answers, many at once and behind them, whatever their order; who does not, gets
// none. All is signed before the holder ends.
func TestAnswersAreSigned(t *testing.T) {
	for _, half := range []bool{false, true} {
		t.Run(fmt.Sprintf("half %v", half), func(t *testing.T) { answersAreSigned(t, half) })
	}
	// What is signed in half precision is what arrives.
	exact := expert.Batch{Rows: 1, Dim: 1, Data: []float32{1.00001}}
	if h := wire.Halved([]expert.Result{{Out: exact}}); h[0].Out.Data[0] != 1 || exact.Data[0] != 1.00001 {
		t.Errorf("halved: %v of %v", h[0].Out.Data, exact.Data)
	}
}

func answersAreSigned(t *testing.T, half bool) {
	s, ear := &scribe{}, &listener{}
	p := startPair(t, "tcp", serverConfig{Apply: scale{}, Signer: s})
	r := rand.New(rand.NewPCG(5, 6))
	plain, err := p.caller.Call(testContext(t), p.to, testAsk(r, false))
	if err != nil || plain.Signed != nil {
		t.Fatalf("%v, %v", plain.Signed, err)
	}
	c := newCaller(p.asker, slog.New(slog.DiscardHandler), callerConfig{Listener: func(routing.Peer) Ear { return ear }, Half: half})
	startRun(t, c.run)
	var all sync.WaitGroup
	var mu sync.Mutex
	var signed []routing.Signed
	const askers, asks = 8, 50
	for seed := range uint64(askers) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, 7))
			for i := range asks {
				a := testAsk(r, i%10 == 9)
				got, err := c.Call(testContext(t), p.to, a)
				if err == nil && !half { // rounded then
					err = checkAnswer(a, got)
				}
				if err != nil || len(got.Signed) != 1 && !a.Sum || a.Sum && got.Signed != nil {
					t.Errorf("%v, %v", got.Signed, err)
					return
				}
				for _, s := range got.Signed {
					if s.First != 0 || s.Calls != len(a.Calls) || s.Codes {
						t.Errorf("%+v", s)
					}
				}
				mu.Lock()
				signed = append(signed, got.Signed...)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	p.stop()
	statements := map[string]bool{}
	for _, w := range signed {
		said, err := w.Word.Wait(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		statements[string(said.Statement)] = true
	}
	if len(signed) != askers*asks*9/10 || len(statements) < len(signed)/wire.MaxWord || len(statements) >= len(signed) {
		t.Errorf("%d answers signed in %d statements", len(signed), len(statements))
	}
	if ear.heard != len(signed) || len(ear.names) != 1 || len(ear.twice) > 0 {
		t.Errorf("heard %d, of streams %v; %v", ear.heard, ear.names, ear.twice)
	}
	for note, w := range s.works {
		if w.Asker != routingPeer(p.asker.ID()) || len(w.Results) != len(w.Calls) || w.In.Rows == 0 {
			t.Errorf("%s is of %+v", note, w)
		}
	}
}

// TestLinkIsLostBeforeTheWord: what a holder did not sign while the stream lived is
// unsigned, and who waits for it learns that at once.
func TestLinkIsLostBeforeTheWord(t *testing.T) {
	l := newLink(nil, "12D3KooWholder", "", &buffers{})
	ear := &listener{}
	l.listening = newListening(ear)
	stop := l.listening.start()
	words := answersOf(t, l, 5, wordOf(2, 4))
	stop()
	for i, w := range words {
		_, err := w.Wait(t.Context())
		if id := i + 1; (err == nil) != (id == 2 || id == 4) || err != nil && !errors.Is(err, routing.ErrNoWord) {
			t.Errorf("answer %d: %v", id, err)
		}
	}
	if w := l.listening.expect(9, Heard{}); w == nil {
		t.Error("no word")
	} else if _, err := w.Wait(t.Context()); !errors.Is(err, routing.ErrNoWord) {
		t.Errorf("an answer of a stream that ended: %v", err)
	}
}

// answersOf has pongs, which are as good, come for the first n calls of a link, and
// then other frames.
func answersOf(t *testing.T, l *link, n int, frames ...[]byte) (words []*routing.Word) {
	t.Helper()
	var all []*awaited
	var b []byte
	for range n {
		w := &awaited{kind: wire.KindPong, size: anySize, done: make(chan arrival, 1), heard: Heard{Rows: 1}}
		if err := l.begin(w, n); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
		b = wire.AppendPong(b, w.id, wire.Pong{})
	}
	if err := l.readAll(bytes.NewReader(append(b, bytes.Join(frames, nil)...))); err != io.EOF {
		t.Fatal(err)
	}
	for _, w := range all {
		got := <-w.done
		if got.err != nil || got.word == nil {
			t.Fatalf("%+v", got)
		}
		words = append(words, got.word)
	}
	return words
}

// wordOf is a word about calls.
func wordOf(ids ...uint64) []byte {
	var notes [][]byte
	for _, id := range ids {
		notes = append(notes, fmt.Appendf(nil, "answer %d;", id))
	}
	return wire.AppendWord(nil, wire.Word{IDs: ids, Statement: (&scribe{}).Sign("", SessionName{}, notes)})
}

// TestHostileWords: words about calls that nobody made or whose answers did not come
// say nothing; a second word about an answer is told of, whichever way it comes, and
// ends the stream; so does what is no word.
func TestHostileWords(t *testing.T) {
	for name, c := range map[string]struct {
		frames [][]byte
		ends   error // nil: the stream goes on
		signed []int
		twice  int
	}{
		"any order":       {[][]byte{wordOf(3), wordOf(1, 5), wordOf(2)}, nil, []int{1, 2, 3, 5}, 0},
		"unknown":         {[][]byte{wordOf(77), wordOf(2, 78), wordOf(0)}, nil, []int{2}, 0},
		"again":           {[][]byte{wordOf(2), wordOf(2)}, wire.ErrFormat, []int{2}, 1},
		"again, others":   {[][]byte{wordOf(1, 2), wordOf(2, 3)}, wire.ErrFormat, []int{1, 2, 3}, 1},
		"twice in one":    {[][]byte{wordOf(2, 2)}, wire.ErrFormat, nil, 0},
		"wrong places":    {[][]byte{wire.AppendWord(nil, wire.Word{IDs: []uint64{1, 2}, Statement: []byte(":answer 1;answer 3;")})}, nil, []int{1}, 0},
		"too short":       {[][]byte{wire.AppendWord(nil, wire.Word{IDs: []uint64{1, 2}, Statement: []byte(":answer 1;")})}, nil, []int{1}, 0},
		"no word":         {[][]byte{wire.AppendSigned(nil, wire.KindWord, nil)}, wire.ErrFormat, nil, 0},
		"too long":        {[][]byte{wire.AppendWord(nil, wire.Word{IDs: []uint64{1}, Statement: make([]byte, 1000)})}, wire.ErrFormat, nil, 0},
		"longer than any": {[][]byte{wire.AppendWord(nil, wire.Word{IDs: []uint64{1}, Statement: make([]byte, 1<<16)})}, wire.ErrTooLarge, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLink(nil, "12D3KooWliar", "", &buffers{})
			ear := &listener{}
			l.listening = newListening(ear)
			stop := l.listening.start()
			words := answersOf(t, l, 5)
			err := l.readAll(bytes.NewReader(bytes.Join(c.frames, nil)))
			if c.ends == nil && err != io.EOF || c.ends != nil && !errors.Is(err, c.ends) {
				t.Errorf("the stream ended with %v", err)
			}
			stop()
			var signed []int
			for i, w := range words {
				if _, err := w.Wait(t.Context()); err == nil {
					signed = append(signed, i+1)
				}
			}
			if !slices.Equal(signed, c.signed) || len(ear.twice) != c.twice {
				t.Errorf("signed %v, want %v; twice %v", signed, c.signed, ear.twice)
			}
		})
	}
	// Who did not ask for words takes none.
	l := newLink(nil, "12D3KooWliar", "", &buffers{})
	if err := l.readAll(bytes.NewReader(wordOf(1))); !errors.Is(err, wire.ErrFormat) {
		t.Errorf("a word nobody asked for: %v", err)
	}
}

// TestWordsAreBounded: of a holder that never signs no more than a bound of answers
// wait, and those are given up after some ticks.
func TestWordsAreBounded(t *testing.T) {
	g := newListening(&listener{})
	var words []*routing.Word
	for id := range uint64(maxUnsigned + 3) {
		words = append(words, g.expect(id, Heard{}))
	}
	if len(g.unsigned) != maxUnsigned || !g.waiting() {
		t.Errorf("%d answers wait", len(g.unsigned))
	}
	for range wordTicks {
		g.tick()
	}
	for _, w := range words {
		if _, err := w.Wait(t.Context()); !errors.Is(err, routing.ErrNoWord) {
			t.Fatal(err)
		}
	}
	if g.waiting() {
		t.Error("answers still wait")
	}
	for id := range uint64(3 * maxSaid) {
		g.mu.Lock()
		g.remember(id, routing.Said{})
		g.mu.Unlock()
	}
	if len(g.said) != maxSaid || len(g.order) != maxSaid {
		t.Errorf("%d words remembered", len(g.said))
	}
}

// TestSignedOnce: a call whose number was used before is answered and not signed, so
// that nobody has a holder contradict itself; also when the numbers come in no order.
func TestSignedOnce(t *testing.T) {
	g := newSigning(nil)
	r := rand.New(rand.NewPCG(8, 9))
	asked := map[uint64]bool{}
	for i := range uint64(20 * signSeen) {
		id := 1 + i
		if r.IntN(3) == 0 && i > 0 {
			id = 1 + r.Uint64N(i) // again, or late
		}
		if g.once(id) == asked[id] && (asked[id] || id+signSeen > i) {
			t.Fatalf("call %d of %d: asked before %v", id, i, asked[id])
		}
		asked[id] = true
	}
	if len(g.seen)+len(g.older) > 2*signSeen {
		t.Errorf("%d remembered", len(g.seen)+len(g.older))
	}
}

// TestWhenItIsSigned: at once when there are many, soon when the stream is still, and
// within a bound when it never is.
func TestWhenItIsSigned(t *testing.T) {
	g := newSigning(nil)
	now := time.Unix(1000, 0)
	add := func(n int) {
		for range n {
			g.add(signNote{id: uint64(len(g.notes) + 1)}, now)
		}
	}
	due := func(d time.Duration, want int) {
		t.Helper()
		now = now.Add(d)
		if got, again := g.take(now, false); len(got) != want || (again > 0) != (len(g.notes) > 0) || again > max(signIdle, signGaps*g.gap) {
			t.Errorf("%d due, want %d; %d left, again in %v", len(got), want, len(g.notes), again)
		}
	}
	due(time.Hour, 0)
	add(3)
	due(signIdle-1, 0)
	due(1, 3)
	add(wire.MaxWord + 2)
	due(0, wire.MaxWord)
	due(0, 0)
	due(signIdle, 2)
	for d := time.Duration(0); d < signLatest; d += signIdle / 2 {
		add(1)
		due(signIdle/2, 0)
		if d+signIdle/2 >= signLatest-signIdle/2 {
			break
		}
	}
	due(signIdle/2, int(2*signLatest/signIdle)-1)
	// Answers that come at longer intervals share a signature while some more can come
	// in time, and have one each where they cannot.
	due(time.Hour, 0)
	add(1)
	due(signIdle, 1)
	for range 2 {
		due(signIdle/2, 0) // an interval of half as much again
		add(1)
		due(signIdle, 0)
	}
	add(1)
	due(signGaps*signIdle-1, 0)
	due(1, 3)
	due(signLatest, 0)
	add(1)
	due(signIdle, 1)
	add(1)
	if got, _ := g.take(now, true); len(got) != 1 {
		t.Errorf("%d of all", len(got))
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
