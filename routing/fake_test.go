package routing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

const (
	testDim   = 8
	testWorld = 7 // the seed of all fake experts
)

// fault is a misbehaviour: it sees an ask and the honest answer and gives what
// the peer does instead. It may wait for ctx.
type fault func(ctx context.Context, n int, a Ask, honest Answer) (Answer, error)

// fakePeer holds experts behind a link.
type fakePeer struct {
	experts *experttest.Fake
	rtt     time.Duration
	perRow  time.Duration // compute
	fault   fault
	asked   int // asks so far
	probed  int
}

// fakeNet is a swarm in memory: Directory, Caller and Prober.
type fakeNet struct {
	mu      sync.Mutex
	peers   map[Peer]*fakePeer
	holders map[expert.ID][]Peer
	log     []string // "peer: indices of the experts asked"
	missing []expert.ID
}

func newFakeNet() *fakeNet {
	return &fakeNet{peers: map[Peer]*fakePeer{}, holders: map[expert.ID][]Peer{}}
}

func (n *fakeNet) join(name Peer, rtt time.Duration, f fault, held ...expert.ID) *fakePeer {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &fakePeer{experts: experttest.NewFake(testWorld, testDim, held...), rtt: rtt, fault: f}
	n.peers[name] = p
	for _, id := range held {
		n.holders[id] = append(slices.Clone(n.holders[id]), name)
	}
	return p
}

func (n *fakeNet) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func (n *fakeNet) Holders(id expert.ID) []Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.holders[id]
}

func (n *fakeNet) lookUp(ids []expert.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.missing = append(n.missing, ids...)
}

func (n *fakeNet) Call(ctx context.Context, to Peer, a Ask) (Answer, error) {
	n.mu.Lock()
	p := n.peers[to]
	if p == nil {
		n.mu.Unlock()
		return Answer{}, fmt.Errorf("dial %s: %w", to, expert.ErrUnreachable)
	}
	p.asked++
	asked, rtt, f := p.asked, p.rtt, p.fault
	entry := string(to) + ":"
	rows := 0
	for _, c := range a.Calls {
		entry += fmt.Sprint(" ", c.Expert.Index)
		rows += len(c.Rows)
	}
	n.log = append(n.log, entry)
	n.mu.Unlock()

	compute := p.perRow * time.Duration(rows)
	if err := sleep(ctx, rtt+compute); err != nil {
		return Answer{}, err
	}
	honest := Answer{Compute: compute, BytesOut: 100, BytesIn: 200}
	var err error
	if a.Sum {
		honest.Sum, err = p.experts.Sum(ctx, a.In, a.Calls)
	} else {
		honest.Results = p.experts.Apply(ctx, a.In, a.Calls)
	}
	if err := ctx.Err(); err != nil { // cancelled while it computed
		return Answer{}, err
	}
	if f != nil && err == nil {
		return f(ctx, asked, a, honest)
	}
	return honest, err
}

func (n *fakeNet) Probe(ctx context.Context, to Peer, payload int) (Load, error) {
	n.mu.Lock()
	p := n.peers[to]
	if p == nil {
		n.mu.Unlock()
		return Load{}, expert.ErrUnreachable
	}
	p.probed++
	rtt := p.rtt
	n.mu.Unlock()
	return Load{}, sleep(ctx, rtt)
}

func (n *fakeNet) took() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	log := n.log
	n.log = nil
	return log
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
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

// The misbehaviours.

func failing(err error) fault {
	return func(context.Context, int, Ask, Answer) (Answer, error) { return Answer{}, fmt.Errorf("fake: %w", err) }
}

func hanging(ctx context.Context, _ int, _ Ask, _ Answer) (Answer, error) {
	<-ctx.Done()
	return Answer{}, ctx.Err()
}

// hangsOnce swallows an ask and is honest from then on.
func hangsOnce() fault {
	swallowed := false
	return func(ctx context.Context, n int, a Ask, got Answer) (Answer, error) {
		if !swallowed {
			swallowed = true
			return hanging(ctx, n, a, got)
		}
		return got, nil
	}
}

// altering changes the batches of an answer.
func altering(f func(*expert.Batch)) fault {
	return func(_ context.Context, _ int, a Ask, got Answer) (Answer, error) {
		if a.Sum {
			f(&got.Sum)
			return got, nil
		}
		for i := range got.Results {
			f(&got.Results[i].Out)
		}
		return got, nil
	}
}

var nan = altering(func(b *expert.Batch) { b.Data[len(b.Data)-1] = float32(math.NaN()) })
var inf = altering(func(b *expert.Batch) { b.Data[0] = float32(math.Inf(-1)) })
var tooWide = altering(func(b *expert.Batch) { *b = expert.NewBatch(b.Rows, b.Dim+1) })
var tooLong = altering(func(b *expert.Batch) { *b = expert.NewBatch(b.Rows+1, b.Dim) })
var tooShort = altering(func(b *expert.Batch) { b.Data = b.Data[:len(b.Data)-1] })
var empty = altering(func(b *expert.Batch) { *b = expert.Batch{} })

// nothing answers with no results at all.
func nothing(context.Context, int, Ask, Answer) (Answer, error) { return Answer{}, nil }

// tooMany answers with one result more than asked.
func tooMany(_ context.Context, _ int, _ Ask, got Answer) (Answer, error) {
	got.Results = append(got.Results, expert.Result{})
	got.Sum = expert.Batch{}
	return got, nil
}

// partly answers the first call and fails the others, one by one.
func partly(err error) fault {
	return func(_ context.Context, _ int, a Ask, got Answer) (Answer, error) {
		if a.Sum {
			return Answer{}, err
		}
		for i := range got.Results[1:] {
			got.Results[1+i] = expert.Result{Err: err}
		}
		return got, nil
	}
}

// every lets only each n-th answer be faulty.
func every(n int, f fault) fault {
	return func(ctx context.Context, i int, a Ask, honest Answer) (Answer, error) {
		if i%n != 0 {
			return honest, nil
		}
		return f(ctx, i, a, honest)
	}
}

var testIDs = experttest.IDs(expert.ModelID{9}, 2, 8)

func reference() *experttest.Fake { return experttest.NewFake(testWorld, testDim, testIDs...) }

// newTestRouter asks n for everything; opts change the configuration.
func newTestRouter(t *testing.T, n *fakeNet, opts ...func(*Config)) *Router {
	t.Helper()
	cfg := Config{Directory: n, Caller: n, Prober: n, Missing: n.lookUp, Policy: Policy{Seed: 1}}
	for _, o := range opts {
		o(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func withLocal(held ...expert.ID) func(*Config) {
	return func(c *Config) {
		f := experttest.NewFake(testWorld, testDim, held...)
		c.Local, c.LocalHolds = f, f.Holds
	}
}

// sameAsReference compares results to the last bit.
func sameAsReference(t *testing.T, in expert.Batch, calls []expert.Call, got []expert.Result) {
	t.Helper()
	want := reference().Apply(t.Context(), in, calls)
	for i := range want {
		if got[i].Err != nil {
			t.Errorf("call %d (%v): %v", i, calls[i].Expert, got[i].Err)
		} else if !slices.Equal(got[i].Out.Data, want[i].Out.Data) {
			t.Errorf("call %d (%v) differs from the reference", i, calls[i].Expert)
		}
	}
}

// idle checks that nothing is counted as under way.
func idle(t *testing.T, r *Router) {
	t.Helper()
	for _, p := range r.Peers() {
		if p.InFlight != 0 {
			t.Errorf("%s: %d calls still counted as under way", p.Peer, p.InFlight)
		}
	}
}

// waitFor makes a router's check that every answer waits for.
func waitFor(check func(context.Context, Checked) error) func(context.Context, Checked) func() error {
	return func(ctx context.Context, c Checked) func() error { return func() error { return check(ctx, c) } }
}
