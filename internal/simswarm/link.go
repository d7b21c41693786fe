package simswarm

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// Link describes the ways between a node and its peers. The zero value is a
// network without delay.
type Link struct {
	RTT time.Duration // of the pair in the middle
	// Spread is how much pairs differ: the RTT of a pair, drawn once, is
	// RTT × exp(Spread × a normal variable).
	Spread float64
	// Jitter moves each reply by up to so much, either way and evenly: a reply
	// is held back for RTT ± Jitter in all, as the benches compared with do.
	Jitter time.Duration
	// Tail is the share of messages that get stuck on the way, for TailTime on
	// average (exponential).
	Tail     float64
	TailTime time.Duration
	// Loss is the share of packets lost. A loss costs a round trip when later
	// packets show it, and a probe timeout at the end of a message.
	Loss float64
	// Bandwidth of each direction in bytes per second. 0: without limit.
	Bandwidth float64
}

const (
	packetBytes = 1200                  // what QUIC dares to send anywhere
	ackDelay    = 25 * time.Millisecond // QUIC's max_ack_delay, a part of its probe timeout
)

// Direction of a message along a [Path].
type Direction int

// The directions.
const (
	Out  Direction = iota // from the asker
	Back                  // to it
)

// Path is the way between one pair of peers, drawn from a [Link]. It is safe
// for concurrent use.
type Path struct {
	mu   sync.Mutex
	link Link
	rtt  time.Duration
	ways [2]way
}

type way struct {
	random *rand.Rand
	busy   time.Time // until when earlier messages fill the line
}

// Path draws the way between two peers. Equal arguments draw equal ways.
func (l Link) Path(seed uint64, from, to string) *Path {
	h := fnv.New64a()
	h.Write([]byte(from))
	h.Write([]byte{0})
	h.Write([]byte(to))
	name := h.Sum64()
	p := &Path{}
	for i := range p.ways {
		p.ways[i].random = rand.New(rand.NewPCG(seed, name+uint64(i)))
	}
	p.change(l)
	return p
}

// Change gives the path another link from now on, with an RTT drawn anew.
func (p *Path) Change(l Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(l)
}

func (p *Path) change(l Link) {
	p.link = l
	p.rtt = time.Duration(float64(l.RTT) * math.Exp(l.Spread*p.ways[Out].random.NormFloat64()))
}

// RTT is the pair's round trip, without jitter and everything else.
func (p *Path) RTT() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt
}

// Delay draws how long a message of so many bytes takes that is sent now.
func (p *Path) Delay(d Direction, bytes int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, w := &p.link, &p.ways[d]
	delay := p.rtt / 2
	if d == Back && l.Jitter > 0 {
		delay += time.Duration((2*w.random.Float64() - 1) * float64(l.Jitter))
	}
	if l.Tail > 0 && w.random.Float64() < l.Tail {
		delay += time.Duration(w.random.ExpFloat64() * float64(l.TailTime))
	}
	delay = max(delay, 0) + w.retransmission(bytes, l.Loss, p.rtt)
	if l.Bandwidth > 0 {
		if w.busy.Before(now) {
			w.busy = now
		}
		w.busy = w.busy.Add(time.Duration(float64(bytes) / l.Bandwidth * float64(time.Second)))
		delay += w.busy.Sub(now)
	}
	return delay
}

// retransmission is how much later the last byte of a message arrives because
// packets were lost. What is sent again may be lost again.
func (w *way) retransmission(bytes int, loss float64, rtt time.Duration) (late time.Duration) {
	if loss <= 0 {
		return 0
	}
	packets := max(1, (bytes+packetBytes-1)/packetBytes)
	for i := range packets {
		wait := rtt // an acknowledgement of a later packet tells
		if i == packets-1 {
			wait = rtt*3/2 + ackDelay
		}
		var sum time.Duration
		for try := 0; try < 10 && w.random.Float64() < loss; try++ {
			sum += wait
			wait = 2 * (rtt*3/2 + ackDelay)
		}
		late = max(late, sum)
	}
	return late
}
