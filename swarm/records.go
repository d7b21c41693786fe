package swarm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// errRecordsFull: a limit on provider records refuses another one.
var errRecordsFull = errors.New("no room for another provider record")

// maxRecordAddrs bounds the addresses kept with one record: TCP and QUIC on
// a handful of interfaces.
const maxRecordAddrs = 16

// recordStore keeps the provider records that the hash table gives this node
// to keep. The one that comes with the hash table has no bound on its memory.
// It may be used by several goroutines at once.
type recordStore struct {
	self  peer.ID // its records are ours and exempt from maxPeerRecords
	addrs peerstore.AddrBook
	now   func() time.Time
	limit recordLimits

	mu struct {
		sync.Mutex
		keys  map[string][]record // key → providers, each once
		peers map[peer.ID]int     // provider → its records
		count int
	}
}

type recordLimits struct{ all, peer, key int }

type record struct {
	peer peer.ID
	ends time.Time
}

func newRecordStore(self peer.ID, addrs peerstore.AddrBook, now func() time.Time) *recordStore {
	s := &recordStore{self: self, addrs: addrs, now: now,
		limit: recordLimits{all: maxRecords, peer: maxPeerRecords, key: maxKeyProviders}}
	s.mu.keys = make(map[string][]record)
	s.mu.peers = make(map[peer.ID]int)
	return s
}

// AddProvider implements records.ProviderStore.
func (s *recordStore) AddProvider(_ context.Context, key []byte, p peer.AddrInfo) error {
	if err := s.add(string(key), p.ID); err != nil {
		return err
	}
	if p.ID != s.self {
		s.addrs.AddAddrs(p.ID, p.Addrs[:min(len(p.Addrs), maxRecordAddrs)], recordValidity)
	}
	return nil
}

func (s *recordStore) add(key string, p peer.ID) error {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.pruneLocked(key, now)
	for i := range list {
		if list[i].peer == p {
			list[i].ends = now.Add(recordValidity)
			return nil
		}
	}
	switch {
	case len(list) >= s.limit.key,
		s.mu.count >= s.limit.all && p != s.self,
		s.mu.peers[p] >= s.limit.peer && p != s.self:
		return errRecordsFull
	}
	s.mu.keys[key] = append(list, record{peer: p, ends: now.Add(recordValidity)})
	s.mu.peers[p]++
	s.mu.count++
	return nil
}

// GetProviders implements records.ProviderStore.
func (s *recordStore) GetProviders(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	s.mu.Lock()
	list := slices.Clone(s.pruneLocked(string(key), s.now()))
	s.mu.Unlock()
	out := make([]peer.AddrInfo, len(list))
	for i, r := range list {
		out[i] = peer.AddrInfo{ID: r.peer, Addrs: s.addrs.Addrs(r.peer)}
	}
	return out, nil
}

// sweep drops every record that has expired.
func (s *recordStore) sweep() {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.mu.keys {
		s.pruneLocked(key, now)
	}
}

// pruneLocked drops what has expired under key and returns the rest.
func (s *recordStore) pruneLocked(key string, now time.Time) []record {
	list, ok := s.mu.keys[key]
	if !ok {
		return nil
	}
	list = slices.DeleteFunc(list, func(r record) bool {
		if now.Before(r.ends) {
			return false
		}
		s.mu.count--
		if s.mu.peers[r.peer]--; s.mu.peers[r.peer] <= 0 {
			delete(s.mu.peers, r.peer)
		}
		return true
	})
	if len(list) == 0 {
		delete(s.mu.keys, key)
		return nil
	}
	s.mu.keys[key] = list
	return list
}

// Close implements records.ProviderStore.
func (s *recordStore) Close() error { return nil }
