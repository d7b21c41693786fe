package swarm

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/swarm/wire"
)

// callDrain is what a poor line, of 4 Mbit/s, carries in a tick. So much
// longer may an answer take for what was sent and perhaps still waits in this
// machine's own buffers, which take some megabytes at once.
const callDrain = 512 << 10

// linkWatch is what the watch remembers of a link from tick to tick.
type linkWatch struct {
	read, sent int64         // bytes moved by the last tick
	sentThen   int64         // bytes sent when something was last read
	quiet      int           // ticks since a peer that owes answers gave a sign
	idle       time.Duration // since the link was last used
}

// tick looks after the link, every cfg.Tick, from one goroutine. It counts
// ticks rather than time, so that a process that was stopped for a while does
// not take its peers for silent.
func (l *link) tick(cfg callerConfig) {
	s := l.stream.Load()
	if s == nil {
		return // still dialling, which has a timeout of its own
	}
	l.mu.Lock()
	due := len(l.mu.awaited) > 0 || l.inBody.Load()
	l.mu.Unlock()
	l.listening.tick()
	w := &l.watch
	read, sent := l.read.Load(), l.out.moved.Load()
	heard, moved := read != w.read, read != w.read || sent != w.sent
	if heard {
		w.sentThen = sent
	}
	w.read, w.sent = read, sent

	w.quiet++
	w.idle += cfg.Tick
	if due || moved {
		w.idle = 0
	}
	if !due || heard || moved && l.out.queued() > 0 {
		w.quiet = 0 // a long frame on its way out is a sign of life too
	}
	switch {
	case l.out.late():
		_ = (*s).Reset()
	case w.idle >= cfg.Idle && l.retire():
		_ = (*s).Reset()
	case w.quiet == callQuiet:
		l.ping()
	case w.quiet >= callDead+int((sent-w.sentThen)/callDrain):
		// The connection itself leads nowhere; a new stream on it would too.
		_ = (*s).Conn().Close()
		_ = (*s).Reset()
	}
}

// detours reports whether the link goes through a relay although the peer is
// connected directly by now.
func (l *link) detours() bool {
	s := l.stream.Load()
	return s != nil && (*s).Conn().Stat().Limited && l.host.Network().Connectedness(l.peer) == network.Connected
}

// ping asks for a sign of life. Nobody awaits the pong.
func (l *link) ping() {
	l.mu.Lock()
	l.mu.lastID++
	id := l.mu.lastID
	l.mu.orphans++
	l.mu.Unlock()
	l.out.put(outFrame{b: wire.AppendPing(l.out.memory.get(), id, nil), id: id})
}

// retire ends the link unless a call is in flight, or a word still to come.
func (l *link) retire() bool {
	if l.listening.waiting() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.awaited) > 0 {
		return false
	}
	l.mu.err = errIdle
	return true
}
