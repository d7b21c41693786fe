package swarm

import (
	"strings"
	"sync"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
)

// maxTopics bounds the topics a peer can make GossipSub remember for it: what
// an honest node listens to, twice over.
const maxTopics = 2 * (maxPeerModels + maxWatched)

// topicFilter keeps the topics of peers to those of this program and to a
// number. GossipSub's own filter bounds a packet only. It implements
// pubsub.SubscriptionFilter.
type topicFilter struct {
	mu    sync.Mutex
	peers map[peer.ID]map[string]bool
}

func newTopicFilter() *topicFilter {
	return &topicFilter{peers: make(map[peer.ID]map[string]bool)}
}

// CanSubscribe reports whether a topic is one of ours.
func (f *topicFilter) CanSubscribe(topic string) bool {
	if topic == modelsTopic {
		return true
	}
	id, ok := strings.CutPrefix(topic, topicPrefix)
	if !ok {
		return false
	}
	m, err := expert.ParseModelID(id)
	return err == nil && m.String() == id // one form only
}

// FilterIncomingSubscriptions drops what does not count.
func (f *topicFilter) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*pb.RPC_SubOpts
	topics := f.peers[from]
	for _, s := range subs {
		t := s.GetTopicid()
		switch {
		case !s.GetSubscribe():
			if !topics[t] {
				continue
			}
			delete(topics, t)
		case !f.CanSubscribe(t), !topics[t] && len(topics) >= maxTopics:
			continue
		default:
			if topics == nil {
				topics = make(map[string]bool)
				f.peers[from] = topics
			}
			topics[t] = true
		}
		out = append(out, s)
	}
	return out, nil
}

// sweep drops what is known of peers that are no longer connected.
func (f *topicFilter) sweep(connected func(peer.ID) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.peers {
		if !connected(p) {
			delete(f.peers, p)
		}
	}
}
