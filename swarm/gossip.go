package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// Topics. All nodes listen to modelsTopic; a model's own topic is for those
// that serve it or ask for it.
const (
	modelsTopic = "/moeswarm/1/models"
	topicPrefix = "/moeswarm/1/model/" // and the model id in hexadecimal
)

func modelTopic(m expert.ModelID) string { return topicPrefix + m.String() }

const (
	// maxGossip bounds a message: one announcement frame and what GossipSub
	// adds (signature, key, topic).
	maxGossip = 160 << 10
	// gossipBuffer holds messages until they are taken in. Beyond it they are
	// dropped, and the next announcement makes up for it.
	gossipBuffer = 256
)

// gossipPace is how often one author may speak on a topic: an announcement
// every ten seconds, a few extra when something changes, and all of it for
// every model it serves, since all models share modelsTopic.
func gossipPace() pace { return pace{perSecond: 8, burst: 4 * maxPeerModels} }

// gossip publishes announcements and takes in those of others.
type gossip struct {
	self   peer.ID
	log    *slog.Logger
	now    func() time.Time
	heard  func(from peer.ID, a wire.Announcement)
	joined func() // somebody new listens to modelsTopic; must not block
	meters *meters[author]
	filter *topicFilter
	pubsub *pubsub.PubSub // set by start

	mu struct {
		sync.Mutex
		topics map[string]*pubsub.Topic
		closed bool
	}
	readers sync.WaitGroup
}

type author struct {
	peer  peer.ID
	topic string
}

func newGossip(self peer.ID, log *slog.Logger, now func() time.Time) *gossip {
	g := &gossip{self: self, log: log, now: now,
		meters: newMeters[author](gossipPace()), filter: newTopicFilter()}
	g.mu.topics = make(map[string]*pubsub.Topic)
	return g
}

// start starts GossipSub on h; it ends with ctx.
func (g *gossip) start(ctx context.Context, h host.Host) error {
	ps, err := pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(maxGossip),
		pubsub.WithSubscriptionFilter(g.filter),
		pubsub.WithFloodPublish(true), // own messages to all neighbours: they are few and small
		pubsub.WithPeerExchange(false),
	)
	if err != nil {
		return fmt.Errorf("starting gossip: %w", err)
	}
	g.pubsub = ps
	return nil
}

// listen joins a topic and takes in what comes, until ctx ends.
func (g *gossip) listen(ctx context.Context, name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.topics[name] != nil || g.mu.closed {
		return nil
	}
	err := g.pubsub.RegisterTopicValidator(name, g.check, pubsub.WithValidatorInline(true))
	if err != nil {
		return fmt.Errorf("topic %s: %w", name, err)
	}
	topic, err := g.pubsub.Join(name)
	if err != nil {
		return fmt.Errorf("topic %s: %w", name, err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(gossipBuffer))
	if err != nil {
		return fmt.Errorf("topic %s: %w", name, err)
	}
	g.mu.topics[name] = topic
	g.readers.Go(func() { g.read(ctx, sub) })
	if name == modelsTopic {
		events, err := topic.EventHandler()
		if err != nil {
			return fmt.Errorf("topic %s: %w", name, err)
		}
		g.readers.Go(func() { g.watchJoins(ctx, events) })
	}
	return nil
}

// wait waits until nothing listens any more; the context given to listen has
// ended by then.
func (g *gossip) wait() {
	g.mu.Lock()
	g.mu.closed = true
	g.mu.Unlock()
	g.readers.Wait()
}

func (g *gossip) read(ctx context.Context, sub *pubsub.Subscription) {
	defer sub.Cancel()
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if a, ok := m.ValidatorData.(wire.Announcement); ok && m.GetFrom() != g.self {
			g.heard(m.GetFrom(), a)
		}
	}
}

func (g *gossip) watchJoins(ctx context.Context, events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	for {
		e, err := events.NextPeerEvent(ctx)
		if err != nil {
			return
		}
		if e.Type == pubsub.PeerJoin {
			g.joined()
		}
	}
}

// check decides whether a message is taken in and passed on. GossipSub has
// verified the author's signature. Messages that no honest node writes are
// rejected; those that are only too many or too old are ignored.
func (g *gossip) check(_ context.Context, _ peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if m.GetFrom() != g.self && !g.meters.allow(author{m.GetFrom(), m.GetTopic()}, g.now()) {
		return pubsub.ValidationIgnore
	}
	a, err := parseGossip(m.GetTopic(), m.GetData())
	if err != nil {
		g.log.Debug("a message is refused", "author", m.GetFrom(), "err", err)
		return pubsub.ValidationReject
	}
	if err := checkFresh(a, g.now()); err != nil {
		g.log.Debug("a message is ignored", "author", m.GetFrom(), "err", err)
		return pubsub.ValidationIgnore
	}
	m.ValidatorData = a
	return pubsub.ValidationAccept
}

// errTopic: an announcement on a topic where it has no business.
var errTopic = errors.New("announcement does not belong on this topic")

// parseGossip reads a message of a topic.
func parseGossip(topic string, data []byte) (wire.Announcement, error) {
	a, err := decode(data)
	switch {
	case err != nil:
		return wire.Announcement{}, err
	case topic == modelsTopic && a.Layers != 0:
		return wire.Announcement{}, fmt.Errorf("%w: %s has no place for holdings", errTopic, topic)
	case topic != modelsTopic && topic != modelTopic(a.Model):
		return wire.Announcement{}, fmt.Errorf("%w: %s is not for model %v", errTopic, topic, a.Model.Short())
	}
	return a, nil
}

// publish sends one announcement frame to a topic that is listened to.
func (g *gossip) publish(ctx context.Context, name string, frame []byte) error {
	g.mu.Lock()
	topic := g.mu.topics[name]
	g.mu.Unlock()
	if topic == nil {
		return fmt.Errorf("topic %s: not joined", name)
	}
	return topic.Publish(ctx, frame)
}
