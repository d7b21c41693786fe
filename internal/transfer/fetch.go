package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

const (
	// Near bounds the bytes that are asked for and not on disk yet, from all
	// sources together, as long as none is so far away that more must be on its
	// way to keep it busy. So one chunk at most is fetched twice after a crash.
	Near = tree.Chunk
	// Far bounds those of one source that is far: 35 MB/s from a peer 30 ms away.
	Far = 4 * tree.Chunk
	// rangeLeast is the least that a source is asked for at once: eight share
	// Near out, and half of it is on its way while the rest is being checked.
	rangeLeast = Near / maxSources / 2
	// inFlight bounds the ranges in flight where blobs are small.
	inFlight = 16
	// maxSources bounds the peers fetched from at once.
	maxSources = 8
	// maxFinishers bounds the blobs that are put on disk at once.
	maxFinishers = 4
	// lookEvery is how often new sources are looked for, and how often slow ones
	// are noticed.
	lookEvery = 500 * time.Millisecond
	// retryMin and retryMax bound the pause before a peer that failed is asked
	// again; it doubles in between. One that had nothing is asked after retryMax.
	retryMin = time.Second
	retryMax = 30 * time.Second
)

// Stream asks one peer: Ask sends a want, Next takes the answer to the eldest
// that has none, into buf's memory if that is enough. See swarm.BlobStream.
type Stream interface {
	Ask(wire.Want) error
	Next(buf []byte) (wire.Blob, error)
	Close()
}

// Source is a peer that may have parts of the model.
type Source struct {
	Peer routing.Peer
	Have func(expert.Piece) Have
}

// Config of a fetch. Log, Limit, Arrived, Progress and Replicas may be nil.
type Config struct {
	Store  *content.Store
	Pieces []expert.Piece
	First  map[expert.Digest]bool // what should come before the rest

	Sources func() []Source // those known now
	Open    func(context.Context, routing.Peer) (Stream, error)

	Limit    *rate.Limiter // bytes coming in
	Arrived  func(expert.Piece)
	Progress func(Status)
	Replicas func(expert.Digest) int // nodes that hold a blob, for eviction
	Log      *slog.Logger
	Seed     uint64 // 0: random
}

// Status is how far a fetch is.
type Status struct {
	Done, Total int64 // bytes; Done counts what was on disk before
	Fetched     int64 // bytes that came in this fetch, twice or not
	Doubled     int64 // of these, such as had come already
	Rate        float64
	Left        time.Duration // 0: not known
	Sources     []SourceStatus
	CutOff      map[routing.Peer]string // peers that sent bad bytes, and what
}

// SourceStatus is what one peer gave.
type SourceStatus struct {
	Peer  routing.Peer
	Bytes int64
}

// fetch is one run of Fetch.
type fetch struct {
	Config
	began time.Time

	finishing sync.WaitGroup
	finishers chan struct{} // room for those that write to disk at once

	mu       sync.Mutex // guards what follows
	plan     *Schedule
	partials []*content.Partial // nil until begun and when finished
	status   Status
	bytes    map[routing.Peer]int64
	active   map[routing.Peer]bool
	again    map[routing.Peer]time.Time // when a peer may be asked again
	pause    map[routing.Peer]time.Duration
	dry      map[routing.Peer]bool // had nothing the last time
	failed   error                 // of our own disk; ends the fetch
	near     int                   // bytes in flight that count for Near
	busy     int                   // sources that have something in flight
	hungry   int                   // sources that wait for room in near
	changed  chan struct{}         // closed and replaced when there may be more to pick
	over     chan struct{}         // closed when nothing is left to do, or nothing can be done
}

// Fetch brings pieces into the store, from as many sources as are useful, until
// all are there, ctx ends, or the store fails. What is in the store already is
// not fetched. Each piece is reported to Arrived when it is whole and on disk,
// from several goroutines.
func Fetch(ctx context.Context, cfg Config) (Status, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	f := &fetch{Config: cfg, began: time.Now(), bytes: make(map[routing.Peer]int64), active: make(map[routing.Peer]bool),
		again: make(map[routing.Peer]time.Time), pause: make(map[routing.Peer]time.Duration), dry: make(map[routing.Peer]bool), changed: make(chan struct{}), over: make(chan struct{}),
		finishers: make(chan struct{}, maxFinishers)}
	f.status.CutOff = make(map[routing.Peer]string)
	f.dedupe()
	f.plan = NewSchedule(len(f.Pieces), func(i int) bool { return cfg.First[f.Pieces[i].Hash] }, cfg.Seed)
	f.partials = make([]*content.Partial, len(f.Pieces))
	f.skipPresent()
	err := f.run(ctx)
	f.finishing.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.partials {
		if p != nil {
			p.Close()
		}
	}
	if err == nil {
		err = f.failed
	}
	return f.statusLocked(), err
}

// dedupe drops pieces that are there twice: two experts may be equal.
func (f *fetch) dedupe() {
	seen := make(map[expert.Digest]bool)
	var pieces []expert.Piece
	for _, p := range f.Pieces {
		if !seen[p.Hash] {
			seen[p.Hash] = true
			pieces = append(pieces, p)
			f.status.Total += p.Size
		}
	}
	f.Pieces = pieces
}

func (f *fetch) skipPresent() {
	for i, p := range f.Pieces {
		if f.Store.Has(p.Hash) {
			f.plan.Finish(i)
			f.status.Done += p.Size
			f.arrived(p)
		}
	}
}

func (f *fetch) arrived(p expert.Piece) {
	if f.Arrived != nil {
		f.Arrived(p)
	}
}

// run keeps sources at work until everything is there.
func (f *fetch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var sources sync.WaitGroup
	defer sources.Wait()
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		f.mu.Lock()
		left, failed, changed := f.plan.Left(), f.failed, f.changed
		status := f.statusLocked()
		f.mu.Unlock()
		if f.Progress != nil {
			f.Progress(status)
		}
		switch {
		case failed != nil:
			return failed
		case left == 0:
			return nil
		}
		for _, s := range f.Sources() {
			if f.hire(s) {
				sources.Go(func() { f.source(ctx, s) })
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
			// Sources that failed and pieces that are whole; not so often that
			// looking for sources is the work.
			select {
			case <-ctx.Done():
			case <-tick.C:
			case <-f.over:
			}
		case <-tick.C:
			f.mu.Lock()
			f.wakeLocked() // a slow source may be overtaken now
			f.mu.Unlock()
		}
	}
}

// hire reports whether a source should be started for a peer.
func (f *fetch) hire(s Source) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := s.Peer
	if f.active[p] || len(f.active) >= maxSources || f.status.CutOff[p] != "" || time.Now().Before(f.again[p]) {
		return false
	}
	if f.dry[p] && time.Now().Before(f.again[p].Add(retryMax)) && !f.offersLocked(s) {
		return false
	}
	f.active[p] = true
	return true
}

// offersLocked reports whether a source says that it has something missing.
func (f *fetch) offersLocked(s Source) bool {
	for i, p := range f.Pieces {
		if !f.plan.blobs[i].done && s.Have(p) == Yes {
			return true
		}
	}
	return false
}

func (f *fetch) wakeLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
	if f.plan.Left() > 0 && f.failed == nil {
		return
	}
	select {
	case <-f.over:
	default:
		close(f.over)
	}
}

// source fetches from one peer until there is nothing more to get from it.
func (f *fetch) source(ctx context.Context, s Source) {
	f.mu.Lock()
	number := f.plan.Source(func(i int) Have { return s.Have(f.Pieces[i]) })
	f.mu.Unlock()
	w := &worker{fetch: f, source: number, peer: s.Peer}
	err := w.run(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	w.endLocked()
	f.plan.Gone(number)
	delete(f.active, s.Peer)
	switch {
	case errors.Is(err, content.ErrBadChunk), errors.Is(err, wire.ErrFormat):
		f.status.CutOff[s.Peer] = err.Error()
		f.Log.Warn("a peer sent bad parts of a model and is asked for no more", "peer", s.Peer, "what", err)
	case err == nil:
		f.again[s.Peer], f.pause[s.Peer], f.dry[s.Peer] = time.Now().Add(retryMin), 0, true
	case ctx.Err() == nil && f.failed == nil:
		f.Log.Debug("a source failed", "peer", s.Peer, "err", err)
		f.pause[s.Peer] = min(max(2*f.pause[s.Peer], retryMin), retryMax)
		f.again[s.Peer] = time.Now().Add(f.pause[s.Peer])
	}
	f.wakeLocked()
}

func (f *fetch) statusLocked() Status {
	s := f.status
	s.Sources = nil
	for p := range f.active {
		s.Sources = append(s.Sources, SourceStatus{p, f.bytes[p]})
	}
	s.CutOff = make(map[routing.Peer]string, len(f.status.CutOff))
	for p, why := range f.status.CutOff {
		s.CutOff[p] = why
	}
	if took := time.Since(f.began).Seconds(); s.Fetched > 0 && took > 0 {
		s.Rate = float64(s.Fetched-s.Doubled) / took
		s.Left = time.Duration(float64(s.Total-s.Done) / max(s.Rate, 1) * float64(time.Second))
	}
	return s
}

// Manifest fetches the manifest of a model from the first source that has it.
// The error wraps [content.ErrBadChunk] when all that answered sent another.
func Manifest(ctx context.Context, id expert.ModelID, sources []routing.Peer, open func(context.Context, routing.Peer) (Stream, error)) (*expert.Manifest, error) {
	errs := []error{fmt.Errorf("%w: nobody has the manifest of model %s", expert.ErrNoHolder, id.Short())}
	for _, p := range sources {
		m, err := manifestFrom(ctx, id, p, open)
		if err == nil {
			return m, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p, err))
	}
	return nil, errors.Join(errs...)
}

func manifestFrom(ctx context.Context, id expert.ModelID, p routing.Peer, open func(context.Context, routing.Peer) (Stream, error)) (*expert.Manifest, error) {
	s, err := open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var all []byte
	for size := int64(1); int64(len(all)) < size; {
		if err := s.Ask(wire.Want{Kind: wire.WantManifest, Hash: expert.Digest(id), Offset: int64(len(all)), Length: wire.MaxRange}); err != nil {
			return nil, err
		}
		b, err := s.Next(nil)
		if err != nil {
			return nil, err
		}
		if b.Size > expert.MaxManifest || len(b.Data) == 0 {
			return nil, fmt.Errorf("%w: a manifest of %d bytes", content.ErrBadChunk, b.Size)
		}
		size, all = b.Size, append(all, b.Data...)
	}
	m, err := expert.ParseManifest(all)
	if err != nil || m.ID() != id {
		return nil, fmt.Errorf("%w: another manifest than that of model %s", content.ErrBadChunk, id.Short())
	}
	return m, nil
}
