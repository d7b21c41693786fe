package fullnode

import (
	"sync"

	dbm "github.com/cometbft/cometbft-db"
)

// database is one that has nothing once it is closed. The engine closes its
// databases while goroutines of it that are about to end still read them, and
// takes an error for a damaged disk.
type database struct {
	dbm.DB

	mu     sync.RWMutex
	closed bool
}

// Get reads a value; nil: there is none.
func (d *database) Get(key []byte) ([]byte, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, nil
	}
	return d.DB.Get(key)
}

// Has reports whether there is a value.
func (d *database) Has(key []byte) (bool, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return false, nil
	}
	return d.DB.Has(key)
}

// Close closes the database. Closing it again does nothing.
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.DB.Close()
}
