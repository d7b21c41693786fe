package main

import (
	"bytes"
	"crypto/sha256"
	be "encoding/binary"
	"math/big"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// committees: who sat in each epoch so far is who the rules draw, computed here
// again from the records before each draw, and without the code that draws.
func (s *stage) committees() {
	clock := s.clock()
	drawn, changed := 0, 0
	for clock.Epoch > 0 && clock.Start > 2 {
		var sat, before ledger.Committee
		first := clock.Start
		found := s.past(first, ledger.KeyGating(clock.Epoch, s.modelHash()), &sat)
		s.past(first-1, ledger.KeyGating(clock.Epoch-1, s.modelHash()), &before)
		if found {
			want := s.redraw(clock.Epoch, first, before)
			if !slices.Equal(sat, want) {
				s.t.Errorf("epoch %d, from block %d: the committee is\n%v, want\n%v", clock.Epoch, first, sat, want)
			}
			drawn += len(sat)
			if len(before) > 0 && !slices.Equal(sat, before) {
				changed++
			}
		}
		clock = ledger.Clock{}
		if !s.past(first-1, ledger.KeyClock(), &clock) {
			s.t.Fatalf("no clock at block %d", first-1)
		}
	}
	if drawn == 0 || changed < 2 {
		s.t.Errorf("%d seats drawn, and %d committees other than the one before", drawn, changed)
	}
	s.t.Logf("%d seats in %d committees that changed", drawn, changed)
}

// redraw is the committee of an epoch whose first block is given, after the one
// before.
func (s *stage) redraw(epoch, first uint64, before ledger.Committee) ledger.Committee {
	type candidate struct {
		key    ledger.Key
		bond   uint64
		weight uint64
		rep    uint16
	}
	const seats, term = 3, 4
	var all []candidate
	prices := map[ledger.Key]ledger.Amount{}
	for _, g := range s.gates {
		var p, then ledger.Provider
		if !s.past(first-1, ledger.KeyProvider(g.key), &p) || !s.past(first, ledger.KeyProvider(g.key), &then) {
			continue
		}
		prices[g.key] = 1 // the devnet's floor
		for _, t := range p.Tariffs {
			if t.Model == s.modelHash() {
				prices[g.key] = max(t.Price, 1)
			}
		}
		bond := p.Bond
		if p.CountedAt == epoch-1 {
			bond = min(bond, p.Counted)
		}
		seen := map[uint64]bool{}
		for _, b := range []ledger.Beat{p.Beat, p.BeatBefore} {
			if b.Any {
				seen[b.Epoch] = true
			}
		}
		able := bond >= 100*ledger.Neuro && p.Jailed <= epoch && seen[epoch-1] && (epoch == 1 || seen[epoch-2]) &&
			slices.Contains(p.Gated, s.modelHash())
		if able {
			// Reputations are counted anew before the draw, in the same block.
			all = append(all, candidate{key: g.key, bond: uint64(bond), rep: then.Rep})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return bytes.Compare(a.key[:], b.key[:]) })
	var bonds []uint64
	for _, c := range all {
		bonds = append(bonds, c.bond)
	}
	slices.Sort(bonds)
	for i := range all {
		median := bonds[(len(bonds)-1)/2]
		product := new(big.Int).Mul(new(big.Int).SetUint64(min(all[i].bond, 4*median)), big.NewInt(int64(all[i].rep)))
		all[i].weight = product.Div(product, big.NewInt(10_000)).Uint64()
	}
	// Who sits and may go on sits on, with today's weight.
	var sit ledger.Committee
	ends := map[uint64]int{}
	for _, old := range before {
		at := slices.IndexFunc(all, func(c candidate) bool { return c.key == old.Peer })
		if at >= 0 && old.Until >= epoch {
			sit = append(sit, ledger.Seat{Peer: old.Peer, Weight: all[at].weight, Until: old.Until, Price: prices[old.Peer]})
			ends[old.Until]++
			all = slices.Delete(all, at, at+1)
		}
	}
	var seed ledger.Word
	if !s.past(first, ledger.KeySeed(epoch), &seed) {
		s.t.Fatalf("no seed of epoch %d at block %d", epoch, first)
	}
	model := s.modelHash()
	name := sha256.Sum256(append([]byte("gating/"), model[:]...))
	for i := 0; len(sit) < seats && len(all) > 0; i++ {
		half := func(which byte) []byte {
			text := slices.Concat([]byte("draw"), seed.Hash[:], name[:], be.BigEndian.AppendUint64(nil, uint64(i)), []byte{which})
			sum := sha256.Sum256(text)
			return sum[:]
		}
		total := new(big.Int)
		for _, c := range all {
			total.Add(total, new(big.Int).SetUint64(c.weight))
		}
		r := new(big.Int).SetBytes(append(half(0), half(1)...))
		r.Mod(r, total)
		at := 0
		for sum := new(big.Int).SetUint64(all[0].weight); r.Cmp(sum) >= 0; at++ {
			sum.Add(sum, new(big.Int).SetUint64(all[at+1].weight))
		}
		// One seat ends in each epoch of a term.
		until := epoch + term - 1
		for until > epoch && ends[until] >= 1 {
			until--
		}
		ends[until]++
		sit = append(sit, ledger.Seat{Peer: all[at].key, Weight: all[at].weight, Until: until, Price: prices[all[at].key]})
		all = slices.Delete(all, at, at+1)
	}
	slices.SortFunc(sit, func(a, b ledger.Seat) int { return strings.Compare(a.Peer.String(), b.Peer.String()) })
	return sit
}
