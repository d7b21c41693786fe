package swarm

import (
	"fmt"
	"sync"

	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

const (
	// wordTicks is for how many ticks an answer waits for its word: a hundred times as
	// long as a holder lets it, for lines and machines under load.
	wordTicks = 3
	// maxUnsigned bounds the answers of a stream that wait for their words: what a
	// holder signs in order is behind by what it may note, and by what travels.
	maxUnsigned = 4096
	// maxWords bounds the words of a stream that came and are not heard yet; past it
	// nothing more is read from the peer.
	maxWords = 16
	// maxSaid is of how many answers of a stream it is remembered what was said, so
	// that a second word is told from the first.
	maxSaid = 1024
)

// listening is the asker's account of what a holder signs of its answers on one
// stream. A nil one wants to hear nothing.
type listening struct {
	ear   Ear
	words chan heardWord

	mu       sync.Mutex
	over     bool
	unsigned map[uint64]*unsigned    // answers without a word, by call id
	said     map[uint64]routing.Said // the newest words, by call id
	order    []uint64                // ids of said, as a ring once it is full
	next     int                     // place of the oldest in it
}

// unsigned is an answer whose word is to come.
type unsigned struct {
	heard Heard
	word  routing.Word
	ticks int // since it was there
}

// heardWord is a word with the answers that it is about and that waited for it.
type heardWord struct {
	statement []byte
	about     []Heard
	words     []*routing.Word
}

func newListening(e Ear) *listening {
	return &listening{ear: e, words: make(chan heardWord, maxWords), unsigned: map[uint64]*unsigned{}, said: map[uint64]routing.Said{}}
}

// start hears words in a goroutine until stop, which returns when all are heard and
// answers without one are given up.
func (g *listening) start() (stop func()) {
	if g == nil {
		return func() {}
	}
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for w := range g.words {
			g.hear(w)
		}
	})
	return func() {
		close(g.words)
		hearing.Wait()
		g.mu.Lock()
		rest := g.unsigned
		g.unsigned, g.over = map[uint64]*unsigned{}, true
		g.mu.Unlock()
		for _, u := range rest {
			u.word.Come(routing.Said{}, fmt.Errorf("%w: the stream ended", routing.ErrNoWord))
		}
	}
}

// hear has the ear judge a word, and tells who waits for it.
func (g *listening) hear(w heardWord) {
	for i, err := range g.ear.Hear(w.statement, w.about) {
		w.words[i].Come(routing.Said{Statement: w.statement, Place: w.about[i].Place}, err)
	}
}

// expect notes an answer that came, and is to be signed.
func (g *listening) expect(id uint64, h Heard) *routing.Word {
	h.Seq = id
	u := &unsigned{heard: h}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || len(g.unsigned) >= maxUnsigned {
		u.word.Come(routing.Said{}, fmt.Errorf("%w: %d answers wait for it", routing.ErrNoWord, len(g.unsigned)))
		return &u.word
	}
	g.unsigned[id] = u
	return &u.word
}

// take reads a word. Answers that nobody waits for any more may be among those that
// it is about; but a second word about an answer is told of, and ends the stream, as
// does what is no word.
func (g *listening) take(r *wire.Reader) error {
	body, err := r.Body(nil)
	if err != nil {
		return err
	}
	if g == nil {
		return fmt.Errorf("%w: a word nobody asked for", wire.ErrFormat)
	}
	w, err := wire.ParseWord(body)
	if err != nil {
		return err
	}
	got, twice := g.match(w)
	if twice != nil {
		g.ear.Twice(twice.seq, twice.first, twice.second)
		err = fmt.Errorf("%w: a second word about call %d", wire.ErrFormat, twice.seq)
	}
	if len(got.about) > 0 {
		g.words <- got
	}
	return err
}

// secondWord is a word about an answer that had one.
type secondWord struct {
	seq           uint64
	first, second routing.Said
}

// match finds the answers that wait for a word, and the first that had one.
func (g *listening) match(w wire.Word) (got heardWord, twice *secondWord) {
	got.statement = w.Statement
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, id := range w.IDs {
		s := routing.Said{Statement: w.Statement, Place: i}
		if first, again := g.said[id]; again && twice == nil {
			twice = &secondWord{id, first, s}
		}
		if u := g.unsigned[id]; u != nil {
			delete(g.unsigned, id)
			u.heard.Place = i
			got.about, got.words = append(got.about, u.heard), append(got.words, &u.word)
			g.remember(id, s)
		}
	}
	return got, twice
}

// remember keeps what was said of an answer, in place of the oldest. The caller has
// the lock.
func (g *listening) remember(id uint64, s routing.Said) {
	g.said[id] = s
	if len(g.order) < maxSaid {
		g.order = append(g.order, id)
		return
	}
	delete(g.said, g.order[g.next])
	g.order[g.next] = id
	g.next = (g.next + 1) % maxSaid
}

// tick gives up answers whose words are late.
func (g *listening) tick() {
	if g == nil {
		return
	}
	var late []*unsigned
	g.mu.Lock()
	for id, u := range g.unsigned {
		if u.ticks++; u.ticks >= wordTicks {
			delete(g.unsigned, id)
			late = append(late, u)
		}
	}
	g.mu.Unlock()
	for _, u := range late {
		u.word.Come(routing.Said{}, fmt.Errorf("%w in time", routing.ErrNoWord))
	}
}

// waiting reports whether a word is still to come.
func (g *listening) waiting() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.unsigned) > 0
}
