package transfer

import (
	"context"
	"errors"
	"fmt"
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
	flying []Pick // in the order asked
}

// run returns nil when the source has nothing more for us.
func (w *worker) run(ctx context.Context) (err error) {
	if w.stream, err = w.Open(ctx, w.peer); err != nil {
		return err
	}
	defer w.stream.Close()
	for {
		if err := w.fill(ctx); err != nil {
			return err
		}
		if len(w.flying) > 0 {
			if err := w.take(); err != nil {
				return err
			}
			continue
		}
		w.mu.Lock()
		useful, changed := w.plan.Useful(w.source) && w.failed == nil, w.changed
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

// room is how many bytes may be in flight: little until the source has shown
// what it delivers, so that a slow one does not hold much.
func (w *worker) room() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plan.Rate(w.source) < 2 {
		return tree.Chunk
	}
	return Window
}

// fill asks for as much as may be in flight.
func (w *worker) fill(ctx context.Context) error {
	room := w.room()
	for _, p := range w.flying {
		room -= w.size(p)
	}
	for (room > 0 || len(w.flying) == 0) && len(w.flying) < windowPicks {
		p, ok, err := w.pick()
		if err != nil || !ok {
			return err
		}
		n := w.size(p)
		w.flying = append(w.flying, p)
		room -= n
		if err := takeBytes(ctx, w.Limit, n); err != nil {
			return err
		}
		want := wire.Want{Kind: wire.WantTree, Hash: w.Pieces[p.Blob].Hash}
		if p.Chunk != treeChunk {
			want = wire.Want{Kind: wire.WantChunk, Hash: want.Hash, Offset: int64(p.Chunk) * tree.Chunk, Length: n}
		}
		if err := w.stream.Ask(want); err != nil {
			return err
		}
	}
	return nil
}

// size is how many bytes a pick brings.
func (w *worker) size(p Pick) int {
	size := w.Pieces[p.Blob].Size
	if p.Chunk == treeChunk {
		return tree.Size(size)
	}
	return int(min(tree.Chunk, size-int64(p.Chunk)*tree.Chunk))
}

// pick takes the next pick from the plan, beginning blobs on the way.
func (w *worker) pick() (Pick, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.failed == nil {
		p, ok := w.plan.Next(w.source, time.Now())
		if !ok {
			return p, false, nil
		}
		if w.plan.Begun(p.Blob) {
			return p, true, nil
		}
		if err := w.beginLocked(p.Blob); err != nil {
			w.failed = err
			w.wakeLocked()
		}
	}
	return Pick{}, false, nil
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
func (w *worker) take() error {
	p := w.flying[0]
	b, err := w.stream.Next()
	var refused *wire.Refused
	if errors.As(err, &refused) && errors.Is(err, expert.ErrUnknownExpert) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flying = w.flying[1:]
		w.plan.Lost(w.source, p)
		w.plan.Lacks(w.source, p.Blob)
		w.wakeLocked()
		return nil
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	part := w.partials[p.Blob]
	w.status.Fetched += int64(len(b.Data))
	w.bytes[w.peer] += int64(len(b.Data))
	w.mu.Unlock()
	if part != nil { // else another source was quicker
		if p.Chunk == treeChunk {
			err = part.PutTree(b.Data)
		} else {
			err = part.Put(p.Chunk, b.Data)
		}
	}
	if errors.Is(err, content.ErrBadChunk) {
		return fmt.Errorf("%w: of %x", err, w.Pieces[p.Blob].Hash[:6])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying = w.flying[1:]
	if err != nil {
		w.plan.Lost(w.source, p)
		w.failed = err
		w.wakeLocked()
		return err
	}
	if fresh := w.plan.Done(w.source, p, time.Now()); !fresh || part == nil {
		w.status.Doubled += int64(len(b.Data))
		return nil
	}
	if p.Chunk == treeChunk {
		w.foundLocked(p.Blob)
		w.wakeLocked()
		return nil
	}
	w.status.Done += int64(len(b.Data))
	if part.Whole() && w.partials[p.Blob] == part {
		w.finishLocked(p.Blob)
	}
	return nil
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
