package swarm

import (
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// firstRowTime is what one row of one expert is taken to need until it has
// been measured, and rowTimeShare the share of each new measurement in the
// running average: about the last ten frames count.
const (
	firstRowTime = 100 * time.Microsecond
	rowTimeShare = 0.1
)

// intake decides which frames get in, keeps those that wait and hands them to
// the workers, one of each peer in turn: a peer that sends much waits for
// itself.
type intake struct {
	cfg   serverConfig
	ready *sync.Cond    // something waits, or the intake is closed
	idle  chan struct{} // closed once the intake is closed and no work goes on

	mu struct {
		sync.Mutex
		guests  map[routing.Peer]*guest
		turns   []*guest // those with frames waiting, next first
		frames  int      // admitted, not yet done
		bytes   int64
		waiting int
		rows    int // of output, in the frames that wait
		running int
		rowTime time.Duration // running average of the work on one row
		closed  bool
	}
}

// guest is a peer's share of the intake.
type guest struct {
	streams int
	frames  int
	bytes   int64
	waiting []*job
}

func newIntake(cfg serverConfig) *intake {
	q := &intake{cfg: cfg, idle: make(chan struct{})}
	q.ready = sync.NewCond(&q.mu)
	q.mu.guests = make(map[routing.Peer]*guest)
	q.mu.rowTime = firstRowTime
	return q
}

// join admits a stream of p. It reports false when p has too many.
func (q *intake) join(p routing.Peer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.mu.guests[p]
	if g == nil {
		g = &guest{}
		q.mu.guests[p] = g
	}
	if g.streams >= serveStreams {
		return false
	}
	g.streams++
	return true
}

// part ends a stream of p.
func (q *intake) part(p routing.Peer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.guests[p].streams--
	q.forgetLocked(p)
}

func (q *intake) forgetLocked(p routing.Peer) {
	if g := q.mu.guests[p]; g.streams == 0 && g.frames == 0 && g.bytes == 0 {
		delete(q.mu.guests, p)
	}
}

// admit makes room for so many frames and bytes of p, who has a stream, or
// says why there is none. An error wraps [expert.ErrOverloaded].
func (q *intake) admit(p routing.Peer, frames int, bytes int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.mu.guests[p]
	switch {
	case q.mu.closed:
		return fmt.Errorf("%w: this node is stopping", expert.ErrOverloaded)
	case g.frames+frames > q.cfg.PeerFrames || q.mu.frames+frames > q.cfg.Frames:
		return fmt.Errorf("%w: %d of your frames and %d of all are here", expert.ErrOverloaded, g.frames, q.mu.frames)
	case g.bytes+bytes > q.cfg.PeerBytes || q.mu.bytes+bytes > q.cfg.Bytes:
		return fmt.Errorf("%w: %d bytes of yours and %d of all are here", expert.ErrOverloaded, g.bytes, q.mu.bytes)
	}
	g.frames += frames
	g.bytes += bytes
	q.mu.frames += frames
	q.mu.bytes += bytes
	return nil
}

// release gives back what was admitted.
func (q *intake) release(p routing.Peer, frames int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.mu.guests[p]
	g.frames -= frames
	g.bytes -= bytes
	q.mu.frames -= frames
	q.mu.bytes -= bytes
	q.forgetLocked(p)
}

// push queues an admitted job. It reports false when the intake is closed.
func (q *intake) push(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return false
	}
	g := q.mu.guests[j.stream.peer]
	g.waiting = append(g.waiting, j)
	if len(g.waiting) == 1 {
		q.mu.turns = append(q.mu.turns, g)
	}
	q.mu.waiting++
	q.mu.rows += j.rows
	q.ready.Signal()
	return true
}

// pop waits for a job and takes it, or reports false once the intake is
// closed. What it takes must be given to done.
func (q *intake) pop() (*job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.mu.turns) == 0 {
		if q.mu.closed {
			return nil, false
		}
		q.ready.Wait()
	}
	g := q.mu.turns[0]
	j := g.waiting[0]
	q.mu.turns = append(q.mu.turns[:0], q.mu.turns[1:]...)
	g.waiting = append(g.waiting[:0], g.waiting[1:]...)
	if len(g.waiting) > 0 {
		q.mu.turns = append(q.mu.turns, g)
	}
	q.mu.waiting--
	q.mu.rows -= j.rows
	q.mu.running++
	return j, true
}

// done ends the work on a job that took so long; 0: there is nothing to learn
// from it.
func (q *intake) done(j *job, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.running--
	if took > 0 {
		perRow := float64(took) / float64(j.rows)
		q.mu.rowTime += time.Duration(rowTimeShare * (perRow - float64(q.mu.rowTime)))
	}
	q.idleLocked()
}

// remove takes a job that waits out again; false: it does not wait.
func (q *intake) remove(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.mu.guests[j.stream.peer]
	for i, other := range g.waiting {
		if other != j {
			continue
		}
		g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
		if len(g.waiting) == 0 {
			for k, turn := range q.mu.turns {
				if turn == g {
					q.mu.turns = append(q.mu.turns[:k], q.mu.turns[k+1:]...)
					break
				}
			}
		}
		q.mu.waiting--
		q.mu.rows -= j.rows
		return true
	}
	return false
}

// load reports how many frames wait and how long one that came now would.
func (q *intake) load() (waiting int, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.waiting, time.Duration(q.mu.rows) * q.mu.rowTime / time.Duration(q.cfg.Workers)
}

// close lets nothing more in and returns what waits. Workers end when they
// have finished their frames.
func (q *intake) close() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	var rest []*job
	for _, g := range q.mu.turns {
		rest = append(rest, g.waiting...)
		g.waiting = nil
	}
	q.mu.turns, q.mu.waiting, q.mu.rows = nil, 0, 0
	q.mu.closed = true
	q.ready.Broadcast()
	q.idleLocked()
	return rest
}

// idleLocked closes idle when it is time to.
func (q *intake) idleLocked() {
	if q.mu.closed && q.mu.running == 0 {
		select {
		case <-q.idle:
		default:
			close(q.idle)
		}
	}
}
