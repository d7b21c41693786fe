package swarm

import "sync"

// busy counts pieces of work that others start, such as stream handlers, so
// that Run can wait for them. Unlike a bare WaitGroup it may be asked to
// begin at any time: once wait was called it refuses.
type busy struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// begin reports whether the work may start; end must follow if so.
func (b *busy) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Add(1)
	return true
}

func (b *busy) end() { b.running.Done() }

// run runs f in a goroutine of its own, or not at all.
func (b *busy) run(f func()) {
	if b.begin() {
		go func() {
			defer b.end()
			f()
		}()
	}
}

// wait lets nothing more begin and waits for what runs.
func (b *busy) wait() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.running.Wait()
}
