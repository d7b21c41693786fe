package swarm

import (
	"strings"
	"testing"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
)

func subOpts(subscribe bool, topics ...string) (out []*pb.RPC_SubOpts) {
	for _, t := range topics {
		out = append(out, &pb.RPC_SubOpts{Subscribe: &subscribe, Topicid: &t})
	}
	return out
}

func TestTopicForm(t *testing.T) {
	f := newTopicFilter()
	for topic, want := range map[string]bool{
		modelsTopic:                                  true,
		modelTopic(expert.ModelID{1}):                true,
		topicPrefix:                                  false,
		topicPrefix + strings.Repeat("AB", 32):       false, // upper case would be a second name
		topicPrefix + strings.Repeat("ab", 32) + "x": false,
		"/other": false,
		"":       false,
	} {
		if got := f.CanSubscribe(topic); got != want {
			t.Errorf("%q: %v, want %v", topic, got, want)
		}
	}
}

func TestTopicsOfAPeerBounded(t *testing.T) {
	f := newTopicFilter()
	kept := 0
	for i := range 1000 {
		out, err := f.FilterIncomingSubscriptions("p", subOpts(true, modelTopic(expert.ModelID{byte(i), byte(i >> 8)}), "/other"))
		if err != nil {
			t.Fatal(err)
		}
		kept += len(out)
	}
	if kept != maxTopics {
		t.Errorf("%d topics kept, limit %d", kept, maxTopics)
	}
	first := modelTopic(expert.ModelID{})
	if out, _ := f.FilterIncomingSubscriptions("p", subOpts(true, first)); len(out) != 1 {
		t.Error("a topic that is kept cannot be named again")
	}
	if out, _ := f.FilterIncomingSubscriptions("p", subOpts(false, first, "/other")); len(out) != 1 {
		t.Error("unsubscribing: want the topic that was kept, alone")
	}
	if out, _ := f.FilterIncomingSubscriptions("p", subOpts(true, modelsTopic)); len(out) != 1 {
		t.Error("no room after one topic was given up")
	}
	f.sweep(func(peer.ID) bool { return false })
	if len(f.peers) != 0 {
		t.Error("a lost peer is remembered")
	}
}
