package swarm

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/moeswarm/moeswarm/swarm/wire"
)

const (
	// kickPause is the least pause between two rounds of gossip when new
	// neighbours ask for one, so that a crowd that joins causes one round.
	kickPause = 2 * time.Second
	// newsBurst is how many changes of what this node offers are gossiped at
	// once; more of them wait, each for kickPause. An intention and the deed
	// come close together, and others may be waiting for the deed.
	newsBurst = 4
)

// demandRounds is how many rounds there are to one that tells of demand, which
// is large and changes slowly.
const demandRounds = 6

// announcer says what this node serves: to each peer that connects, by
// gossip in rounds, and to everybody when the node leaves.
type announcer struct {
	offers  func() []Offer // now
	log     *slog.Logger
	now     func() time.Time
	waiting func() int // frames waiting at this node now
	paused  func() bool
	gossip  *gossip
	greeter *greeter

	kicked chan struct{} // room for one: somebody new listens
	news   chan struct{} // room for one: what this node says has changed

	mu struct {
		sync.Mutex
		order sequencer
		left  bool // goodbye was said; nothing else may follow it
	}
}

func newAnnouncer(offers func() []Offer, log *slog.Logger, now func() time.Time) *announcer {
	return &announcer{offers: offers, log: log, now: now, kicked: make(chan struct{}, 1), news: make(chan struct{}, 1), waiting: func() int { return 0 }, paused: func() bool { return false }}
}

// message is an announcement and the frames it makes.
type message struct {
	wire.Announcement
	short, full []byte // short goes to everybody, full to those of the model
}

// messages states every offer as of now. The full form is the later of the
// two, so that whoever hears both keeps the holdings, in whatever order.
func (a *announcer) messages(demand bool) []message {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []message
	for _, o := range a.offers() {
		if !o.speaks() && !o.ended {
			continue
		}
		m := message{Announcement: announcementOf(o, time.Time{}, a.waiting())}
		m.Paused = a.paused()
		if demand {
			m.Announcement = withDemand(m.Announcement, o)
		}
		form := func(w wire.Announcement) []byte {
			w.Expires = a.mu.order.next(a.now())
			if a.mu.left || o.ended {
				w = farewell(w)
			}
			frame, err := encode(w)
			if err != nil { // checkOffer lets nothing in that fails here
				a.log.Error("an offer cannot be announced", "model", w.Model.Short(), "err", err)
			}
			return frame
		}
		m.short, m.full = form(brief(m.Announcement)), form(m.Announcement)
		out = append(out, m)
	}
	return out
}

// hello is what a peer that connects is told.
func (a *announcer) hello() []byte {
	var frames []byte
	for _, m := range a.messages(true) {
		frames = append(frames, m.full...)
	}
	return frames
}

// kick asks for a round of gossip soon, for somebody who begins to listen.
func (a *announcer) kick() { signal(a.kicked) }

// changed asks for a round of gossip now, for what this node says has changed.
func (a *announcer) changed() { signal(a.news) }

// run gossips in rounds until ctx ends.
func (a *announcer) run(ctx context.Context) {
	news := rate.NewLimiter(rate.Every(kickPause), newsBurst)
	for i := 0; ; i++ {
		a.round(ctx, i%demandRounds == 0)
		if !a.rest(ctx, news) {
			return
		}
	}
}

// rest waits until the next round is due, and reports whether ctx still lives.
func (a *announcer) rest(ctx context.Context, news *rate.Limiter) bool {
	// A fifth of jitter keeps the rounds of many nodes apart.
	next := time.NewTimer(announceEvery + time.Duration((rand.Float64()-0.5)*0.4*float64(announceEvery)))
	defer next.Stop()
	crowd := time.NewTimer(kickPause)
	defer crowd.Stop()
	var kicked chan struct{} // newcomers are not heard before crowd
	for {
		select {
		case <-crowd.C:
			kicked = a.kicked
		case <-kicked:
			return true
		case <-a.news:
			return news.Wait(ctx) == nil
		case <-next.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// round gossips every offer once.
func (a *announcer) round(ctx context.Context, demand bool) {
	for _, m := range a.messages(demand) {
		if err := a.gossip.publish(ctx, modelsTopic, m.short); err != nil {
			a.log.Debug("gossip", "err", err)
		}
		if err := a.gossip.publish(ctx, modelTopic(m.Model), m.full); err != nil {
			a.log.Debug("gossip", "err", err)
		}
	}
}

// goodbye tells everybody that this node serves nothing any more: by gossip,
// and to each of peers directly, waiting until they have read it or
// goodbyeTimeout is over.
func (a *announcer) goodbye(ctx context.Context, peers []peer.ID) {
	a.mu.Lock()
	a.mu.left = true
	a.mu.Unlock()
	if len(a.offers()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	a.round(ctx, false)
	a.tell(ctx, peers)
}

// tell says hello to each of peers again.
func (a *announcer) tell(ctx context.Context, peers []peer.ID) {
	frames := a.hello()
	slots := make(chan struct{}, maxDials)
	var all sync.WaitGroup
	for _, p := range peers {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := a.greeter.greet(ctx, p, frames); err != nil {
				a.log.Debug("hello again", "err", err)
			}
		})
	}
	all.Wait()
}

// pause waits for d, or until early has something, and reports whether ctx
// still lives.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
