package simswarm

import (
	"context"
	"sync"

	"github.com/moeswarm/moeswarm/routing"
)

// Flood is a misbehaviour of an asker: it keeps so many asks under way at a
// peer until ctx ends, and returns when all have ended. It counts those that
// were answered and those that were not.
func Flood(ctx context.Context, from routing.Caller, to routing.Peer, ask routing.Ask, atOnce int) (answered, refused int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for ctx.Err() == nil {
				_, err := from.Call(ctx, to, ask)
				mu.Lock()
				if err == nil {
					answered++
				} else {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return answered, refused
}
