package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// worker fetches from one source, in one goroutine.
type worker struct {
	*fetch
	source int
	peer   routing.Peer
	stream Stream
	pace   pace
	picks  []Pick // whose bytes have not all come, in the order asked
	asks   []ask  // in flight, in the order asked
	flying int    // bytes of them; guarded by mu

	next    ask    // what is asked for next, with all that is left of its pick
	chunk   []byte // the chunk whose bytes are coming
	written int    // of these, on disk
}

// ask is one want: a range of a chunk, or a tree.
type ask struct {
	Pick
	from, n int // the range
	size    int // of the whole pick
	start   int // the bytes before it were on disk when it was picked
	when    time.Time
	near    bool // counts for Near
	void    bool // the pick was given up
}

// run returns nil when the source has nothing more for us.
func (w *worker) run(ctx context.Context) (err error) {
	if w.stream, err = w.Open(ctx, w.peer); err != nil {
		return err
	}
	defer w.stream.Close()
	w.chunk = make([]byte, tree.Chunk)
	for {
		w.mu.Lock()
		changed := w.changed // before looking, so that nothing is missed
		w.mu.Unlock()
		if err := w.fill(ctx); err != nil {
			return err
		}
		if len(w.asks) > 0 {
			if err := w.take(ctx); err != nil {
				return err
			}
			continue
		}
		w.mu.Lock()
		useful := (w.next.n > 0 || w.plan.Useful(w.source)) && w.failed == nil
		w.mu.Unlock()
		if !useful {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// fill asks for as much as may be in flight.
func (w *worker) fill(ctx context.Context) error {
	for len(w.asks) < inFlight {
		if w.next.n == 0 {
			if ok, err := w.pick(); err != nil || !ok {
				return err
			}
		}
		a := w.next
		if a.n, a.near = w.reserve(a); a.n == 0 {
			return nil
		}
		w.next.from, w.next.n = w.next.from+a.n, w.next.n-a.n
		w.asks = append(w.asks, a)
		if err := takeBytes(ctx, w.Limit, a.n); err != nil {
			return err
		}
		w.asks[len(w.asks)-1].when = time.Now()
		want := wire.Want{Kind: wire.WantTree, Hash: w.Pieces[a.Blob].Hash}
		if a.Chunk != treeChunk {
			want = wire.Want{Kind: wire.WantChunk, Hash: want.Hash, Offset: int64(a.Chunk)*tree.Chunk + int64(a.from), Length: a.n}
		}
		if err := w.stream.Ask(want); err != nil {
			return err
		}
	}
	return nil
}

// reserve says how much of what is next may be asked for now, and counts it as
// in flight: 0 while there is enough. near reports whether it is of what all
// sources share.
func (w *worker) reserve(next ask) (n int, near bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	others := w.busy
	if w.flying > 0 {
		others--
	}
	share := Near / (others + 1)
	n = min(next.n, w.pace.length(share, others))
	switch {
	case w.flying > 0 && !w.pace.known():
		return 0, false
	case w.flying+n <= w.pace.most(share) && w.near+n <= Near:
		near = true
	case w.flying+n <= w.pace.window():
	default:
		if w.flying == 0 {
			w.hungry++
		}
		return 0, false
	}
	if next.Chunk == treeChunk {
		n = next.n // it comes whole
	}
	if w.flying == 0 {
		w.busy++
	}
	w.flying += n
	if near {
		w.near += n
	}
	return n, near
}

// freeLocked takes the eldest ask off those in flight.
func (w *worker) freeLocked() {
	a := w.asks[0]
	w.asks = w.asks[1:]
	w.flying -= a.n
	if w.flying == 0 {
		w.busy--
	}
	if a.near {
		w.near -= a.n
	}
	if w.hungry > 0 {
		w.hungry = 0
		w.wakeLocked()
	}
}

// endLocked tells the plan what will not come from this source any more. What
// came of it is on disk, for whoever goes on.
func (w *worker) endLocked() {
	for len(w.asks) > 0 {
		w.freeLocked()
	}
	for _, p := range w.picks {
		w.plan.Lost(w.source, p)
	}
}

// size is how many bytes a pick brings.
func (f *fetch) size(p Pick) int {
	size := f.Pieces[p.Blob].Size
	if p.Chunk == treeChunk {
		return tree.Size(size)
	}
	return int(min(tree.Chunk, size-int64(p.Chunk)*tree.Chunk))
}

// pick takes the next pick from the plan, beginning blobs on the way.
func (w *worker) pick() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.failed == nil {
		p, ok := w.plan.Next(w.source, time.Now())
		if !ok {
			return false, nil
		}
		if !w.plan.Begun(p.Blob) {
			if err := w.beginLocked(p.Blob); err != nil {
				w.failed = err
				w.wakeLocked()
			}
			continue
		}
		w.picks = append(w.picks, p)
		w.next = ask{Pick: p, size: w.size(p)}
		if part := w.partials[p.Blob]; part != nil && p.Chunk != treeChunk && !p.Again {
			w.next.start = part.Got(p.Chunk)
		}
		w.next.from, w.next.n = w.next.start, w.next.size-w.next.start
		return true, nil
	}
	return false, nil
}

// beginLocked opens a blob in the store and counts what is there of it.
func (w *worker) beginLocked(blob int) error {
	piece := w.Pieces[blob]
	if err := w.Store.Room(piece, w.Replicas); err != nil {
		return err
	}
	part, err := w.Store.Begin(piece)
	if err != nil {
		return err
	}
	w.partials[blob] = part
	w.foundLocked(blob)
	return nil
}

// foundLocked tells the plan what a blob lacks.
func (w *worker) foundLocked(blob int) {
	part := w.partials[blob]
	if part.NeedsTree() {
		w.plan.Begin(blob, true, nil)
		return
	}
	missing := part.Missing()
	w.status.Done += w.Pieces[blob].Size
	for _, c := range missing {
		w.status.Done -= int64(w.size(Pick{Blob: blob, Chunk: c}))
	}
	w.plan.Begin(blob, false, missing)
	if len(missing) == 0 {
		w.finishLocked(blob)
	}
}

// finishLocked makes a blob that is whole part of the store.
func (w *worker) finishLocked(blob int) {
	part := w.partials[blob]
	w.partials[blob] = nil
	w.plan.Finish(blob)
	w.wakeLocked()
	w.finishing.Go(func() { // the disk takes its time
		w.finishers <- struct{}{}
		defer func() { <-w.finishers }()
		err := part.Finish()
		if err == nil {
			w.arrived(w.Pieces[blob])
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil && w.failed == nil {
			w.failed = err
		}
		w.wakeLocked()
	})
}

// take waits for the eldest answer and keeps it if it is sound.
func (w *worker) take(ctx context.Context) error {
	a := w.asks[0]
	var buf []byte
	if a.Chunk != treeChunk {
		buf = w.chunk[a.from : a.from : a.from+a.n]
	}
	b, err := w.stream.Next(buf)
	var refused *wire.Refused
	if errors.As(err, &refused) && errors.Is(err, expert.ErrUnknownExpert) {
		w.refused(a)
		return nil
	}
	if err == nil && len(b.Data) != a.n {
		err = fmt.Errorf("%w: %d bytes where %d were asked for", content.ErrBadChunk, len(b.Data), a.n)
	}
	if err != nil {
		return err
	}
	w.pace.heard(a.n, a.when, time.Now())
	w.mu.Lock()
	part := w.partials[a.Blob] // nil: another source was quicker
	w.status.Fetched += int64(a.n)
	w.bytes[w.peer] += int64(a.n)
	w.mu.Unlock()
	if a.Chunk != treeChunk && &b.Data[0] != &w.chunk[a.from] {
		copy(w.chunk[a.from:], b.Data)
	}
	if part != nil && a.Chunk != treeChunk && !a.void {
		err = w.keep(part, a)
	}
	w.mu.Lock()
	w.freeLocked()
	w.mu.Unlock()
	whole := a.from+a.n == a.size
	if whole && err == nil { // while the chunk is checked others are on their way
		if err := w.fill(ctx); err != nil {
			return err
		}
	}
	switch {
	case err != nil || part == nil || a.void || !whole:
	case a.Chunk == treeChunk:
		err = part.PutTree(b.Data)
	default:
		err = w.put(part, a)
	}
	return w.settle(a, part, err)
}

// keep puts what came of a chunk on disk, unchecked: it is checked when it is
// whole, or when the fetch goes on after a crash.
func (w *worker) keep(part *content.Partial, a ask) (err error) {
	if a.from == a.start {
		w.written = a.start
	}
	// A chunk that comes at once is written when it was checked.
	if !a.Again && w.written == a.from && a.n < a.size {
		w.written, err = part.Add(a.Chunk, a.from, w.chunk[a.from:a.from+a.n])
	}
	return err
}

// put puts a chunk that has come to its place if it is sound.
func (w *worker) put(part *content.Partial, a ask) error {
	if a.start > 0 {
		if err := part.ReadGot(a.Chunk, w.chunk[:a.start]); err != nil {
			return err
		}
	}
	return part.Put(a.Chunk, w.chunk[:a.size], w.written)
}

// settle does what follows from an answer.
func (w *worker) settle(a ask, part *content.Partial, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case errors.Is(err, content.ErrBadChunk) && a.start > 0:
		// It began with what another sent, or the disk lost. It comes again whole.
		w.status.Doubled += int64(a.size)
		w.lostLocked(a.Pick)
		return nil
	case errors.Is(err, content.ErrBadChunk):
		return fmt.Errorf("%w: of %x", err, w.Pieces[a.Blob].Hash[:6])
	case err != nil:
		w.failed = err
		w.wakeLocked()
		return err
	case a.void:
		w.status.Doubled += int64(a.n)
	case a.from+a.n == a.size:
		w.doneLocked(a, part)
	}
	return nil
}

// doneLocked counts a pick that has come.
func (w *worker) doneLocked(a ask, part *content.Partial) {
	w.picks = slices.DeleteFunc(w.picks, func(p Pick) bool { return p == a.Pick })
	if fresh := w.plan.Done(w.source, a.Pick, time.Now()); !fresh || part == nil {
		w.status.Doubled += int64(a.size - a.start)
		return
	}
	if a.Chunk == treeChunk {
		w.foundLocked(a.Blob)
		w.wakeLocked()
		return
	}
	w.status.Done += int64(a.size)
	if part.Whole() && w.partials[a.Blob] == part {
		w.finishLocked(a.Blob)
	}
}

// refused gives a pick up whose blob the source does not have. Answers to what
// else was asked of it are still to come.
func (w *worker) refused(a ask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.freeLocked()
	if a.void {
		return
	}
	w.plan.Lacks(w.source, a.Blob)
	w.lostLocked(a.Pick)
}

// lostLocked gives a pick back to the plan.
func (w *worker) lostLocked(p Pick) {
	w.plan.Lost(w.source, p)
	w.picks = slices.DeleteFunc(w.picks, func(x Pick) bool { return x == p })
	for i := range w.asks {
		w.asks[i].void = w.asks[i].void || w.asks[i].Pick == p
	}
	if w.next.Pick == p {
		w.next = ask{}
	}
	w.wakeLocked()
}

// takeBytes waits until n bytes may come in.
func takeBytes(ctx context.Context, l *rate.Limiter, n int) error {
	if l == nil || l.Limit() == rate.Inf {
		return ctx.Err()
	}
	for n > 0 {
		part := min(n, l.Burst())
		if err := l.WaitN(ctx, part); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
