package simswarm

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/routing"
)

// Event is a change of who is there.
type Event struct {
	At    time.Duration // since the schedule began
	Peer  routing.Peer
	Alive bool
}

// Kills is a schedule in which every so often one of the peers, drawn from
// the seed, is killed, and is back after a while. No two are down at once if
// down is shorter than every.
func Kills(seed uint64, peers []routing.Peer, every, down, length time.Duration) (events []Event) {
	random := rand.New(rand.NewPCG(seed, 5))
	for at := every; at < length; at += every {
		p := peers[random.IntN(len(peers))]
		events = append(events, Event{at, p, false}, Event{at + down, p, true})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.At - b.At) })
	return events
}

// Play lets the events happen, each at its time, until all have or ctx ends.
func (s *Swarm) Play(ctx context.Context, events []Event) {
	began := time.Now()
	for _, e := range events {
		if pause(ctx, time.Until(began.Add(e.At))) != nil {
			return
		}
		if e.Alive {
			s.Revive(e.Peer)
		} else {
			s.Kill(e.Peer)
		}
	}
}
