package swarm

import (
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// directory is [holdings] for many goroutines, with a clock, and with a way
// to wait for changes. Its zero value is not usable.
type directory struct {
	now func() time.Time

	mu struct {
		sync.RWMutex
		table   *holdings
		changed chan struct{} // closed, and replaced, at the next change
	}
}

func newDirectory(self routing.Peer, offers []Offer, now func() time.Time) *directory {
	d := &directory{now: now}
	d.mu.table = newHoldings(self, offers)
	d.mu.changed = make(chan struct{})
	return d
}

// Holders implements routing.Directory.
func (d *directory) Holders(id expert.ID) []routing.Peer {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mu.table.holders(id)
}

// next returns a channel that is closed at the next change of the table.
// Take it before you look, or the change in between is missed.
func (d *directory) next() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mu.changed
}

// read runs f on the table, which f must not change or keep.
func (d *directory) read(f func(t *holdings)) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	f(d.mu.table)
}

// write runs f on the table. When f reports a change, all who wait are told.
func (d *directory) write(f func(t *holdings, now time.Time) (changed bool, err error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed, err := f(d.mu.table, d.now())
	if changed {
		close(d.mu.changed)
		d.mu.changed = make(chan struct{})
	}
	return err
}
