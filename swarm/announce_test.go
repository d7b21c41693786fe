package swarm

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// TestDenseLayersAreNotMissing: whoever has no file of a model knows from the
// announcements which of its layers have no experts at all.
func TestDenseLayersAreNotMissing(t *testing.T) {
	m := testModel()
	for _, layers := range [][]int{{4, 4, 4}, {0, 4, 4}, {0, 0, 4}, {0, 4, 0, 4, 0, 4}, {4, 0, 0, 4, 0, 0}} {
		o := Offer{Model: m, Layers: layers}
		for l, n := range layers {
			for x := range n {
				o.Held = append(o.Held, expert.ID{Model: m, Layer: uint16(l), Index: uint16(x)})
			}
		}
		frame, err := encode(announcementOf(o, time.UnixMilli(1_700_000_000_123), 0))
		if err != nil {
			t.Fatal(err)
		}
		a, err := decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		tab := testTable()
		mustAnnounce(t, tab, "a", noticeOf(a), time.Unix(100, 0))
		if c := tab.coverage(m); !c.Complete() || c.Experts != len(o.Held) {
			t.Errorf("layers of %v experts: %+v", layers, c)
		}
	}
}

func TestAnnouncementRoundTrip(t *testing.T) {
	m := testModel()
	o := Offer{Model: m, Name: "a model", Layers: []int{0, 10, 3}, Gates: true, Held: []expert.ID{
		{Model: m, Layer: 1, Index: 9}, {Model: m, Layer: 1, Index: 0}, {Model: m, Layer: 2, Index: 2}, {Model: m, Layer: 1, Index: 8},
	}}
	ends := time.UnixMilli(1_700_000_000_123)
	frame, err := encode(announcementOf(o, ends, 7))
	if err != nil {
		t.Fatal(err)
	}
	a, err := decode(frame)
	if err != nil {
		t.Fatal(err)
	}
	n := noticeOf(a)
	want := []slot{1 << 16, 1<<16 | 8, 1<<16 | 9, 2<<16 | 2}
	if n.model != m || n.name != "a model" || !n.gates || n.leaving || n.waiting != 7 || n.seq != ends.UnixMilli() ||
		n.shape != (shape{layers: 3, experts: 10, dense: 1}) || !slices.Equal(n.held, want) {
		t.Errorf("got %+v", n)
	}
	if n := noticeOf(brief(a)); n.shape != (shape{}) || n.held != nil || !n.gates {
		t.Errorf("brief: %+v", n)
	}
	if n := noticeOf(farewell(a)); !n.leaving || n.gates || n.shape != (shape{}) {
		t.Errorf("farewell: %+v", n)
	}
}

func TestSequencerGrows(t *testing.T) {
	var s sequencer
	now := time.Unix(1000, 0)
	last := s.next(now)
	for _, step := range []time.Duration{0, 0, time.Second, -time.Hour, time.Millisecond, 2 * time.Hour} {
		now = now.Add(step)
		next := s.next(now)
		if !next.After(last) {
			t.Errorf("after a step of %v: %v is not after %v", step, next, last)
		}
		last = next
	}
}

func TestGossipCheck(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	full := announcementOf(holds(1), now.Add(announceTTL), 0)
	frame := func(a wire.Announcement) []byte {
		b, err := encode(a)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	old := full
	old.Expires = now.Add(-maxSkew - time.Second)
	future := full
	future.Expires = now.Add(maxSkew + announceTTL + time.Second)
	mine := modelTopic(testModel())
	for _, tt := range []struct {
		name, topic string
		data        []byte
		want        pubsub.ValidationResult
	}{
		{"holdings on the model's topic", mine, frame(full), pubsub.ValidationAccept},
		{"brief on the models topic", modelsTopic, frame(brief(full)), pubsub.ValidationAccept},
		{"farewell", modelsTopic, frame(farewell(full)), pubsub.ValidationAccept},
		{"holdings on the models topic", modelsTopic, frame(full), pubsub.ValidationReject},
		{"another model's topic", modelTopic(expert.ModelID{1}), frame(full), pubsub.ValidationReject},
		{"empty", mine, nil, pubsub.ValidationReject},
		{"cut off", mine, frame(full)[:20], pubsub.ValidationReject},
		{"two frames", mine, bytes.Repeat(frame(full), 2), pubsub.ValidationReject},
		{"another kind", mine, wire.AppendKeepAlive(nil), pubsub.ValidationReject},
		{"replayed", mine, frame(old), pubsub.ValidationIgnore},
		{"of the future", mine, frame(future), pubsub.ValidationIgnore},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGossip("self", newTestNode(t, Config{}).log, func() time.Time { return now })
			m := &pubsub.Message{Message: &pb.Message{From: []byte("p"), Data: tt.data, Topic: &tt.topic}}
			if got := g.check(t.Context(), "p", m); got != tt.want {
				t.Errorf("result %v, want %v", got, tt.want)
			}
		})
	}
}

// One author's flood is cut off, and does not keep others from being heard.
func TestGossipFlood(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := newGossip("self", newTestNode(t, Config{}).log, func() time.Time { return now })
	data, err := encode(announcementOf(holds(1), now.Add(announceTTL), 0))
	if err != nil {
		t.Fatal(err)
	}
	topic := modelTopic(testModel())
	send := func(from peer.ID) pubsub.ValidationResult {
		return g.check(t.Context(), "relay", &pubsub.Message{Message: &pb.Message{From: []byte(from), Data: data, Topic: &topic}})
	}
	accepted := 0
	for range 1000 {
		if send("flood") == pubsub.ValidationAccept {
			accepted++
		}
	}
	if want := int(gossipPace().burst); accepted != want {
		t.Errorf("%d messages of a flood accepted, want %d", accepted, want)
	}
	if send("other") != pubsub.ValidationAccept {
		t.Error("another author is not heard")
	}
}

// Whatever comes in by gossip, the table stays within its limits and what is
// accepted fits its topic.
func FuzzGossip(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	for _, o := range []Offer{holds(0, 3), gates()} {
		a := announcementOf(o, now, 3)
		for _, a := range []wire.Announcement{a, brief(a), farewell(a)} {
			frame, err := encode(a)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(frame)
			f.Add(frame[:len(frame)-1])
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, topic := range []string{modelsTopic, modelTopic(testModel())} {
			a, err := parseGossip(topic, data)
			if err != nil {
				if !errors.Is(err, wire.ErrFormat) && !errors.Is(err, wire.ErrVersion) && !errors.Is(err, wire.ErrKind) &&
					!errors.Is(err, wire.ErrTooLarge) && !errors.Is(err, errTopic) {
					t.Fatalf("unknown error %v", err)
				}
				continue
			}
			n := noticeOf(a)
			if !slices.IsSorted(n.held) || topic != modelsTopic && a.Model != testModel() {
				t.Fatalf("%+v", n)
			}
			tab := testTable(gates())
			_, _ = tab.announce("p", n, now)
			tab.coverage(a.Model)
			tab.modelViews()
			if tab.claims > maxPeerClaims {
				t.Fatalf("%d claims", tab.claims)
			}
		}
	})
}
