package simswarm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Config of a [Swarm].
type Config struct {
	Seed uint64
	Link Link // of every pair that has no other
	// Sleep is how messages wait. nil: with timers, which the runtime lets go
	// off up to a millisecond late when it is idle.
	Sleep Sleep
	// Saw is told of every ask that was answered, before its asker knows. It
	// must not block. May be nil.
	Saw func(Trip)
}

// Trip is what an answered ask took by itself.
type Trip struct {
	To        routing.Peer
	Calls     int
	Out, Back time.Duration // as drawn from the path
	Queued    time.Duration // at the holder
	Compute   time.Duration
}

// Sleep waits, unless ctx ends before, of which it returns the error.
type Sleep func(ctx context.Context, d time.Duration) error

// Swarm is the holders and the network. It is safe for concurrent use.
type Swarm struct {
	cfg  Config
	work sync.WaitGroup // asks under way

	mu struct {
		sync.Mutex
		holders map[routing.Peer]*holder
		holds   map[expert.ID][]routing.Peer // slices are replaced, never changed
		askers  []*Node
		missing int
	}
}

// New returns a swarm without holders.
func New(cfg Config) *Swarm {
	if cfg.Sleep == nil {
		cfg.Sleep = pause
	}
	s := &Swarm{cfg: cfg}
	s.mu.holders = map[routing.Peer]*holder{}
	s.mu.holds = map[expert.ID][]routing.Peer{}
	return s
}

// Join adds a holder. The directory lists it from now on.
func (s *Swarm) Join(h Holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.holders[h.Name] = newHolder(h)
	for _, id := range h.Held {
		s.mu.holds[id] = append(slices.Clone(s.mu.holds[id]), h.Name)
	}
}

// Kill crashes a holder: what it was working on is lost, its connections are
// reset and new ones refused. The directory still lists it, as real ones do.
func (s *Swarm) Kill(p routing.Peer) { s.holder(p).kill() }

// Revive undoes Kill.
func (s *Swarm) Revive(p routing.Peer) { s.holder(p).revive() }

// Relink gives all ways to a holder another link, at once.
func (s *Swarm) Relink(p routing.Peer, l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.holders[p].Link = &l
	for _, n := range s.mu.askers {
		if path := n.paths[p]; path != nil {
			path.Change(l)
		}
	}
}

// Stats of a holder.
func (s *Swarm) Stats(p routing.Peer) Stats { return s.holder(p).stats() }

// Missing is how many experts routers have looked for in vain.
func (s *Swarm) Missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.missing
}

// Close waits for all asks under way. Their askers must have given up or got
// their answers.
func (s *Swarm) Close() { s.work.Wait() }

func (s *Swarm) holder(p routing.Peer) *holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.holders[p]
}

// From is the swarm as the named node sees it.
func (s *Swarm) From(name routing.Peer) *Node {
	n := &Node{swarm: s, name: name, paths: map[routing.Peer]*Path{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.askers = append(s.mu.askers, n)
	return n
}

// Node is a node that asks: a routing.Directory, Caller and Prober.
type Node struct {
	swarm *Swarm
	name  routing.Peer
	paths map[routing.Peer]*Path // under the swarm's mu
}

// Holders implements routing.Directory.
func (n *Node) Holders(id expert.ID) []routing.Peer {
	n.swarm.mu.Lock()
	defer n.swarm.mu.Unlock()
	return n.swarm.mu.holds[id]
}

// LookUp is what a router's Missing takes. This directory knows everything.
func (n *Node) LookUp(ids []expert.ID) {
	n.swarm.mu.Lock()
	defer n.swarm.mu.Unlock()
	n.swarm.mu.missing += len(ids)
}

// to finds the holder and the way to it; nil for a stranger.
func (n *Node) to(p routing.Peer) (*holder, *Path) {
	n.swarm.mu.Lock()
	defer n.swarm.mu.Unlock()
	h := n.swarm.mu.holders[p]
	if h == nil {
		return nil, nil
	}
	path := n.paths[p]
	if path == nil {
		link := n.swarm.cfg.Link
		if h.Link != nil {
			link = *h.Link
		}
		path = link.Path(n.swarm.cfg.Seed, string(n.name), string(p))
		n.paths[p] = path
	}
	return h, path
}

// reply is what a holder's side of an ask ends with.
type reply struct {
	answer routing.Answer
	err    error
}

// Call implements routing.Caller.
func (n *Node) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	h, path := n.to(to)
	if h == nil {
		return routing.Answer{}, fmt.Errorf("%w: no peer %s", expert.ErrUnreachable, to)
	}
	a = copied(a) // the holder may go on for a while after ctx has ended
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan reply, 1)
	n.swarm.work.Go(func() {
		defer stop()
		r := n.carry(work, h, path, a)
		done <- r
	})
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		// The holder hears of it half a round trip later.
		n.swarm.work.Go(func() {
			_ = n.swarm.cfg.Sleep(work, path.Delay(Out, 0, time.Now()))
			stop()
		})
		return routing.Answer{}, ctx.Err()
	}
}

// carry takes an ask to the holder and its answer back. ctx ends when the
// holder has heard that nobody wants the answer.
func (n *Node) carry(ctx context.Context, h *holder, path *Path, a routing.Ask) reply {
	out := askBytes(a)
	trip := Trip{To: h.Name, Calls: len(a.Calls), Out: path.Delay(Out, out, time.Now())}
	if err := n.swarm.cfg.Sleep(ctx, trip.Out); err != nil {
		return reply{err: err}
	}
	answer, err := h.serve(ctx, a)
	answer.BytesOut, answer.BytesIn = out, answerBytes(&answer)
	trip.Back, trip.Queued, trip.Compute = path.Delay(Back, answer.BytesIn, time.Now()), answer.Queued, answer.Compute
	if late := n.swarm.cfg.Sleep(ctx, trip.Back); late != nil {
		return reply{err: late}
	}
	if n.swarm.cfg.Saw != nil && err == nil {
		n.swarm.cfg.Saw(trip)
	}
	return reply{answer, err}
}

// Probe implements routing.Prober.
func (n *Node) Probe(ctx context.Context, to routing.Peer, payload int) (routing.Load, error) {
	h, path := n.to(to)
	if h == nil {
		return routing.Load{}, fmt.Errorf("%w: no peer %s", expert.ErrUnreachable, to)
	}
	if err := n.swarm.cfg.Sleep(ctx, path.Delay(Out, payload, time.Now())); err != nil {
		return routing.Load{}, err
	}
	load, err := h.load()
	if late := n.swarm.cfg.Sleep(ctx, path.Delay(Back, payload, time.Now())); late != nil {
		return routing.Load{}, late
	}
	return load, err
}

// frameBytes is what a frame has besides its rows, about.
const frameBytes = 64

func askBytes(a routing.Ask) int {
	named := make(map[int32]bool)
	rows := 0
	for _, c := range a.Calls {
		for _, r := range c.Rows {
			named[r] = true
		}
		rows += len(c.Rows)
	}
	return frameBytes + 4*a.In.Dim*len(named) + 8*rows
}

func answerBytes(a *routing.Answer) int {
	n := frameBytes + 4*len(a.Sum.Data)
	for i := range a.Results {
		n += 4 * len(a.Results[i].Out.Data)
	}
	return n
}

func copied(a routing.Ask) routing.Ask {
	a.In.Data = slices.Clone(a.In.Data)
	a.Calls = slices.Clone(a.Calls)
	for i := range a.Calls {
		a.Calls[i].Rows = slices.Clone(a.Calls[i].Rows)
		a.Calls[i].Weights = slices.Clone(a.Calls[i].Weights)
	}
	return a
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
