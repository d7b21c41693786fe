package swarm

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/multiformats/go-multiaddr"
)

func newTestRecords(t *testing.T, now *time.Time) *recordStore {
	t.Helper()
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ps.Close() })
	return newRecordStore("self", ps, func() time.Time { return *now })
}

func TestRecordsExpire(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newTestRecords(t, &now)
	addr := multiaddr.StringCast("/ip4/192.0.2.1/tcp/1")
	if err := s.AddProvider(t.Context(), []byte("k"), peer.AddrInfo{ID: "a", Addrs: []multiaddr.Multiaddr{addr}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.GetProviders(t.Context(), []byte("k"))
	if err != nil || len(got) != 1 || got[0].ID != "a" || len(got[0].Addrs) != 1 {
		t.Fatalf("got %v, %v", got, err)
	}
	now = now.Add(recordValidity / 2)
	s.add("k", "b")
	s.add("k", "a") // renewed
	now = now.Add(recordValidity/2 + 1)
	s.add("k2", "c")
	if got, _ := s.GetProviders(t.Context(), []byte("k")); len(got) != 2 {
		t.Errorf("after half a life more: %v, want a and b", got)
	}
	now = now.Add(recordValidity)
	s.sweep()
	if len(s.mu.keys) != 0 || len(s.mu.peers) != 0 || s.mu.count != 0 {
		t.Errorf("after the sweep %d keys, %d peers, count %d", len(s.mu.keys), len(s.mu.peers), s.mu.count)
	}
}

func TestRecordLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newTestRecords(t, &now)
	s.limit = recordLimits{all: 20, peer: 5, key: 3}
	for i := range 5 {
		if err := s.add(fmt.Sprint("k", i), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.add("k9", "a"); !errors.Is(err, errRecordsFull) {
		t.Errorf("sixth record of a peer: %v", err)
	}
	if err := s.add("k1", "a"); err != nil {
		t.Errorf("a peer at its limit cannot renew: %v", err)
	}
	s.add("k1", "b")
	s.add("k1", "c")
	if err := s.add("k1", "d"); !errors.Is(err, errRecordsFull) {
		t.Errorf("fourth provider of a key: %v", err)
	}
	for i := range 100 {
		s.add(fmt.Sprint("x", i), peer.ID(fmt.Sprint("p", i)))
	}
	if s.mu.count != 20 {
		t.Errorf("%d records kept, limit 20", s.mu.count)
	}
	if err := s.add("y", "self"); err != nil {
		t.Errorf("no room for our own record: %v", err)
	}
}
