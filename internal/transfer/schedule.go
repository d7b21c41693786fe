package transfer

import (
	"math/rand/v2"
	"time"
)

// Have is what is known of a source and a blob.
type Have uint8

const (
	Maybe Have = iota // it serves the model; asking tells
	Yes               // it says that it has the blob
	No                // it said that it has not
)

const (
	// A chunk is asked for once more when the source that has it in flight takes
	// patienceTimes as long as this one takes for a chunk, and patience at least.
	patience      = 2 * time.Second
	patienceTimes = 4
)

// Pick is a chunk of a blob, or its tree, from one source.
type Pick struct {
	Blob  int
	Chunk int  // -1: the tree
	Again bool // it is in flight from another source, too
}

const treeChunk = -1

// Schedule decides what is asked of whom. It is not for concurrent use.
type Schedule struct {
	blobs   []*blobState
	sources []*sourceState
	left    int // blobs that are not whole
}

type blobState struct {
	first   bool
	order   int // random, among equals
	begun   bool
	done    bool
	tree    bool         // known, or not needed
	missing []int        // chunks nobody is asked for, ascending
	left    int          // chunks not here
	flying  map[int][]fl // chunk → in flight from
	sources int          // that say Yes
}

// fl is a chunk in flight.
type fl struct {
	source int
	since  time.Time
}

type sourceState struct {
	have  []Have
	gone  bool
	again bool          // it has a chunk in flight that another has, too
	mean  time.Duration // a chunk takes it; 0: not known
	last  time.Time
}

// NewSchedule plans n blobs; first says which should come before the others.
// seed makes nodes that fetch the same differ in what they fetch first.
func NewSchedule(n int, first func(blob int) bool, seed uint64) *Schedule {
	s := &Schedule{left: n}
	order := rand.New(rand.NewPCG(seed, 0)).Perm(n)
	for i := range n {
		s.blobs = append(s.blobs, &blobState{first: first(i), order: order[i], flying: make(map[int][]fl)})
	}
	return s
}

// Source adds a source and returns its number.
func (s *Schedule) Source(have func(blob int) Have) int {
	src := &sourceState{have: make([]Have, len(s.blobs))}
	for i := range s.blobs {
		if src.have[i] = have(i); src.have[i] == Yes {
			s.blobs[i].sources++
		}
	}
	for i, old := range s.sources {
		if old.gone {
			s.sources[i] = src
			return i
		}
	}
	s.sources = append(s.sources, src)
	return len(s.sources) - 1
}

// Begin says what a blob lacks, once it is opened: its tree, or some chunks.
func (s *Schedule) Begin(blob int, needsTree bool, missing []int) {
	b := s.blobs[blob]
	b.begun = true
	b.tree, b.missing, b.left = !needsTree, missing, len(missing)
}

// Begun reports whether Begin was called.
func (s *Schedule) Begun(blob int) bool { return s.blobs[blob].begun }

// Finish says that a blob is whole, or is not wanted any more.
func (s *Schedule) Finish(blob int) {
	b := s.blobs[blob]
	if !b.done {
		b.done = true
		s.left--
	}
}

// Left is the number of blobs that are not finished.
func (s *Schedule) Left() int { return s.left }

// Next picks what to ask a source for; ok is false when there is nothing for it
// now. A blob that was not begun comes as a pick of its tree: the caller begins
// it and picks again.
func (s *Schedule) Next(source int, now time.Time) (p Pick, ok bool) {
	best := -1
	for i, b := range s.blobs {
		if b.done || s.sources[source].have[i] == No || !s.wants(b) {
			continue
		}
		if best < 0 || s.before(source, i, best) {
			best = i
		}
	}
	if best >= 0 {
		return s.take(source, best, now), true
	}
	return s.again(source, now)
}

// wants reports whether something of a blob is to be asked for.
func (s *Schedule) wants(b *blobState) bool {
	switch {
	case !b.begun:
		return true
	case !b.tree:
		return len(b.flying[treeChunk]) == 0
	}
	return len(b.missing) > 0
}

// before reports whether blob i should come before blob j from a source.
func (s *Schedule) before(source, i, j int) bool {
	a, b := s.blobs[i], s.blobs[j]
	have := s.sources[source].have
	switch {
	case a.begun != b.begun:
		return a.begun
	case a.first != b.first:
		return a.first
	case (have[i] == Yes) != (have[j] == Yes):
		return have[i] == Yes
	case a.sources != b.sources:
		return a.sources < b.sources
	}
	return a.order < b.order
}

func (s *Schedule) take(source, blob int, now time.Time) Pick {
	b := s.blobs[blob]
	p := Pick{Blob: blob, Chunk: treeChunk}
	if b.begun && b.tree {
		p.Chunk, b.missing = b.missing[0], b.missing[1:]
	}
	if b.begun {
		b.flying[p.Chunk] = append(b.flying[p.Chunk], fl{source, now})
	}
	return p
}

// again picks a chunk that another source has had in flight for too long.
func (s *Schedule) again(source int, now time.Time) (Pick, bool) {
	me := s.sources[source]
	if me.again || me.mean == 0 {
		return Pick{}, false
	}
	wait := max(patience, patienceTimes*me.mean)
	for i, b := range s.blobs {
		if b.done || me.have[i] == No {
			continue
		}
		for chunk, in := range b.flying {
			if len(in) == 1 && in[0].source != source && now.Sub(in[0].since) > wait {
				me.again = true
				b.flying[chunk] = append(in, fl{source, now})
				return Pick{Blob: i, Chunk: chunk, Again: true}, true
			}
		}
	}
	return Pick{}, false
}

// Done says that what was picked came and is sound. fresh reports whether it
// was not here yet.
func (s *Schedule) Done(source int, p Pick, now time.Time) (fresh bool) {
	b, me := s.blobs[p.Blob], s.sources[source]
	// A source with several chunks in flight finishes one each time that one
	// comes, so the pause since the last is what a chunk takes.
	for _, f := range b.flying[p.Chunk] {
		if f.source == source {
			from := f.since
			if me.last.After(from) {
				from = me.last
			}
			if took := max(now.Sub(from), time.Microsecond); me.mean == 0 {
				me.mean = took
			} else {
				me.mean += (took - me.mean) / 8
			}
		}
	}
	me.last = now
	if p.Again {
		me.again = false
	}
	if b.flying[p.Chunk] == nil {
		return false // the other was quicker
	}
	delete(b.flying, p.Chunk)
	if p.Chunk != treeChunk {
		b.left--
	}
	return true
}

// Lost says that what was picked will not come from that source.
func (s *Schedule) Lost(source int, p Pick) {
	b := s.blobs[p.Blob]
	if p.Again {
		s.sources[source].again = false
	}
	in := b.flying[p.Chunk]
	for i, f := range in {
		if f.source == source {
			in = append(in[:i:i], in[i+1:]...)
			break
		}
	}
	if len(in) > 0 {
		b.flying[p.Chunk] = in
		return
	}
	if b.flying[p.Chunk] == nil {
		return // it came from another
	}
	delete(b.flying, p.Chunk)
	if p.Chunk != treeChunk {
		b.missing = append([]int{p.Chunk}, b.missing...)
	}
}

// Lacks says that a source does not have a blob.
func (s *Schedule) Lacks(source, blob int) {
	h := &s.sources[source].have[blob]
	if *h == Yes {
		s.blobs[blob].sources--
	}
	*h = No
}

// Gone says that a source is asked nothing more. What it has in flight was
// given to Lost.
func (s *Schedule) Gone(source int) {
	for i := range s.blobs {
		s.Lacks(source, i)
	}
	s.sources[source].gone = true
}

// Useful reports whether a source may have something that is wanted.
func (s *Schedule) Useful(source int) bool {
	for i, b := range s.blobs {
		if !b.done && s.sources[source].have[i] != No {
			return true
		}
	}
	return false
}

// Rate is what a source delivers, in chunks a second; 0: not known.
func (s *Schedule) Rate(source int) float64 {
	if m := s.sources[source].mean; m > 0 {
		return float64(time.Second) / float64(m)
	}
	return 0
}
