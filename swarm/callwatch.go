package swarm

import "github.com/moeswarm/moeswarm/swarm/wire"

// tick looks after the link, every cfg.Tick, from one goroutine. It counts
// ticks rather than time, so that a process that was stopped for a while does
// not take its peers for silent.
func (l *link) tick(cfg callerConfig) {
	s := l.stream.Load()
	if s == nil {
		return // still dialling, which has a timeout of its own
	}
	moved := l.read.Load() + l.out.moved.Load()
	still := moved == l.seen
	l.seen = moved
	if l.out.late() {
		_ = (*s).Reset()
		return
	}
	l.mu.Lock()
	due := len(l.mu.awaited) > 0 || l.inBody.Load()
	l.mu.Unlock()

	switch {
	case !due && still:
		l.quiet = 0
		if l.idle += cfg.Tick; l.idle >= cfg.Idle && l.retire() {
			_ = (*s).Reset()
		}
		return
	case due && still:
		l.quiet++
	default:
		l.quiet = 0
	}
	l.idle = 0
	switch {
	case l.quiet == callQuiet:
		l.mu.Lock()
		l.mu.lastID++
		id := l.mu.lastID
		l.mu.orphans++ // its pong
		l.mu.Unlock()
		l.out.put(outFrame{b: wire.AppendPing(l.out.buffer(), id, nil), id: id})
	case l.quiet >= callDead:
		// The connection itself leads nowhere; a new stream on it would too.
		_ = (*s).Conn().Close()
		_ = (*s).Reset()
	}
}

// retire ends the link unless a call is in flight.
func (l *link) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.awaited) > 0 {
		return false
	}
	l.mu.err = errRetired
	return true
}
