package swarm

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/swarm/wire"
)

const (
	// signIdle is how long a stream must have been still before what was answered on
	// it is signed, and signLatest how long the first of the answers waits at the most:
	// a signature takes as long as many small answers. wire.MaxWord answers are signed
	// at once. Where answers come at longer intervals than signIdle, several of them still
	// share a signature if signGaps intervals pass until signLatest.
	signIdle   = 2 * time.Millisecond
	signLatest = 20 * time.Millisecond
	signGaps   = 4
	// signBehind is how many notes of a stream may wait for a signature until who makes
	// them signs first.
	signBehind = 4 * wire.MaxWord
	// signSeen is how many of the newest calls of a stream are remembered for being
	// signed, twice that at the most: more than an asker has in flight.
	signSeen = 2 * callInFlight
)

// signing is what is to be signed of the answers on one stream.
type signing struct {
	// Constant after construction.
	stream *serveStream
	name   SessionName

	mu          sync.Mutex
	notes       []signNote
	first, last time.Time     // when the oldest and the newest note came
	gap         time.Duration // between the last two
	seen, older map[uint64]struct{}
	floor       uint64 // calls up to this one are not signed any more
}

// signNote is what is to be signed of the answer to a call.
type signNote struct {
	id   uint64
	note []byte
}

func newSigning(st *serveStream) *signing {
	g := &signing{stream: st, seen: map[uint64]struct{}{}}
	_, _ = rand.Read(g.name[:]) // never fails
	return g
}

// once says whether a call was not signed before. An asker that gives two calls one
// number shall not have two things signed about it.
func (g *signing) once(id uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, a := g.seen[id]
	_, b := g.older[id]
	if a || b || id <= g.floor {
		return false
	}
	if len(g.seen) >= signSeen {
		for old := range g.older {
			g.floor = max(g.floor, old)
		}
		g.seen, g.older = g.older, g.seen
		if g.seen == nil {
			g.seen = map[uint64]struct{}{}
		}
		clear(g.seen)
	}
	g.seen[id] = struct{}{}
	return true
}

// add notes an answer and returns how many wait now.
func (g *signing) add(n signNote, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.notes) == 0 {
		g.first = now
	}
	g.last, g.gap = now, now.Sub(g.last)
	g.notes = append(g.notes, n)
	return len(g.notes)
}

// stillFor is how long a stream on which answers come at such intervals has to be
// still.
func stillFor(gap time.Duration) time.Duration {
	if gap > signLatest/signGaps {
		return signIdle // few more would come in time
	}
	return max(signIdle, signGaps*gap)
}

// take returns what is due at a time, or all that there is, and when to come again
// for the rest; 0: there is none.
func (g *signing) take(now time.Time, all bool) (due []signNote, again time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.notes) == 0 {
		return nil, 0
	}
	wait := min(g.last.Add(stillFor(g.gap)).Sub(now), g.first.Add(signLatest).Sub(now))
	if !all && wait > 0 && len(g.notes) < wire.MaxWord {
		return nil, wait
	}
	n := min(len(g.notes), wire.MaxWord)
	due = slices.Clone(g.notes[:n])
	g.notes = slices.Delete(g.notes, 0, n)
	if len(g.notes) > 0 {
		g.first, again = now, 1
	}
	slices.SortFunc(due, func(a, b signNote) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return due, again
}

// signer signs what streams have noted. The zero value is ready but for wake.
type signer struct {
	wake chan struct{} // one token: there are notes

	mu   sync.Mutex
	open map[*signing]struct{} // with notes
}

// note notes an answer that is on its way.
func (s *server) note(j *job) {
	g := j.stream.signing.Load()
	if g == nil || !g.once(j.id) {
		return
	}
	b := s.cfg.Signer.Note(Work{Asker: j.stream.peer, Seq: j.id, In: j.call.In, Calls: j.call.Calls, Results: j.results})
	if len(b) == 0 {
		return
	}
	n := g.add(signNote{j.id, b}, time.Now())
	if n == 1 || n == wire.MaxWord {
		s.signer.mu.Lock()
		s.signer.open[g] = struct{}{}
		s.signer.mu.Unlock()
		signal(s.signer.wake)
	}
	if n >= signBehind {
		s.sign(g, false)
	}
}

// sign signs what is due on a stream, and says when to come again.
func (s *server) sign(g *signing, all bool) (again time.Duration) {
	for {
		due, again := g.take(time.Now(), all)
		if len(due) == 0 {
			return again
		}
		w := wire.Word{IDs: make([]uint64, len(due))}
		notes := make([][]byte, len(due))
		for i, n := range due {
			w.IDs[i], notes[i] = n.id, n.note
		}
		if w.Statement = s.cfg.Signer.Sign(g.stream.peer, g.name, notes); len(w.Statement) > 0 {
			g.stream.out.put(outFrame{b: wire.AppendWord(s.memory.get(), w)})
		}
	}
}

// signAll signs what is due on all streams, and says when to come again; 0: when
// something new is noted.
func (s *server) signAll(all bool) (again time.Duration) {
	s.signer.mu.Lock()
	open := make([]*signing, 0, len(s.signer.open))
	for g := range s.signer.open {
		open = append(open, g)
	}
	clear(s.signer.open)
	s.signer.mu.Unlock()
	for _, g := range open {
		wait := s.sign(g, all)
		if wait == 0 {
			continue
		}
		s.signer.mu.Lock()
		s.signer.open[g] = struct{}{}
		s.signer.mu.Unlock()
		if again == 0 || wait < again {
			again = wait
		}
	}
	return again
}

// runSigner signs answers until ctx ends.
func (s *server) runSigner(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.signer.wake:
		case <-timer.C:
		}
		if again := s.signAll(false); again > 0 {
			timer.Reset(again)
		}
	}
}
