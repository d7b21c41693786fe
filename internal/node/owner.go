package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/owner"
)

// Owner says what the machine's owner allows.
type Owner struct {
	// Yield lets the node ease and pause while others need the machine.
	Yield    bool
	Limits   owner.Limits
	Schedule owner.Schedule
	// MaxCPU bounds the computing to a share of all processors; 0: no bound.
	MaxCPU float64
	// Token proves that a request to pause or resume is the owner's; empty:
	// there are no such requests.
	Token string
}

func (o Owner) validate() error {
	if o.MaxCPU < 0 || o.MaxCPU > 1 {
		return fmt.Errorf("processor share %v: want more than 0 and at most 1", o.MaxCPU)
	}
	return nil
}

const (
	// ownerEvery is how often the machine is looked at. Reading it takes some
	// milliseconds; an owner who comes back waits no longer than this.
	ownerEvery = 2 * time.Second
	// giveBackEvery is the least pause between two times that memory is given
	// back, and giveBackShare how much of the weights each time: what is hot
	// is read again within a few tokens, and memory should come in steps.
	giveBackEvery = 10 * time.Second
	giveBackShare = 0.25
)

// keeper acts on what the owner and the machine say.
type keeper struct {
	node    *Node
	sampler interface{ Sample(time.Time) owner.Sample }

	mu struct {
		sync.Mutex
		machine *owner.Machine
		given   time.Time // memory was given back last
		back    int64     // bytes given back so far
	}
}

func newKeeper(n *Node) *keeper {
	k := &keeper{node: n, sampler: owner.NewSampler()}
	k.mu.machine = owner.NewMachine(n.cfg.Owner.Limits, n.cfg.Owner.Schedule)
	return k
}

// hold takes the owner's word.
func (k *keeper) hold(h owner.Hold) {
	k.mu.Lock()
	k.mu.machine.SetHold(h)
	k.mu.Unlock()
	k.step(time.Now())
}

// run looks after the owner's interests until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	tick := time.NewTicker(ownerEvery)
	defer tick.Stop()
	k.step(time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			k.step(now)
		}
	}
}

// step looks at the machine and does what follows.
func (k *keeper) step(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	sample := owner.Unknown()
	if k.node.cfg.Owner.Yield {
		sample = k.sampler.Sample(now)
	}
	before, _ := k.mu.machine.State()
	state, reason := k.mu.machine.Step(sample, now)
	if owner.Scarce(sample, k.node.cfg.Owner.Limits) && now.Sub(k.mu.given) >= giveBackEvery {
		k.mu.given = now
		for _, set := range k.node.sets {
			k.mu.back += set.GiveBack(giveBackShare)
		}
	}
	if state == before {
		return
	}
	k.apply(state)
	switch state {
	case owner.Active:
		k.node.cfg.Say("active again")
	case owner.Recovering:
		k.node.cfg.Say("no longer paused; back to full speed soon")
	default:
		k.node.cfg.Say("%s: %s", state, reason)
	}
}

// apply makes the node do as much as a state allows. A paused node's own
// users, who are the owner, still get their answers.
func (k *keeper) apply(s owner.State) {
	most := k.node.cfg.Owner.MaxCPU
	if most == 0 {
		most = 1
	}
	share := s.Share()
	if s == owner.Paused {
		share = 1
	}
	k.node.pool.SetShare(min(most, share))
	k.node.net.SetPaused(!s.Serves())
}

// OwnerView is what the owner allows now.
type OwnerView struct {
	State  string  `json:"state"` // active, eased, paused or recovering
	Reason string  `json:"reason,omitempty"`
	SinceS float64 `json:"since_s"`
	MaxCPU float64 `json:"max_cpu_percent,omitempty"`
	// GivenBack is how much memory of cold experts was given back so far.
	GivenBack int64 `json:"given_back_bytes"`
}

func (k *keeper) view() OwnerView {
	k.mu.Lock()
	defer k.mu.Unlock()
	state, reason := k.mu.machine.State()
	v := OwnerView{State: state.String(), Reason: reason, MaxCPU: 100 * k.node.cfg.Owner.MaxCPU, GivenBack: k.mu.back}
	if since := k.mu.machine.Since(); !since.IsZero() {
		v.SinceS = time.Since(since).Seconds()
	}
	return v
}
