package credit

import "github.com/moeswarm/moeswarm/internal/ledger"

// Trust is how much more than what is known of a gate its receipts may say and
// still be believed. Who looks at a board does not work for everybody, and has
// not everybody work for it: in a swarm of so many holders it sees of a gate at
// least so large a part.
const Trust = 8

// Eyes are what a node knows by itself of what a book says.
type Eyes struct {
	Self ledger.Key
	// Served is how many units this node did for each gate, as it counted them.
	Served map[ledger.Key]uint64
}

// A gate costs nothing, so anybody could have one, or a hundred, sign any number
// for a friend. So a receipt is confirmed only as far as its gate's standing
// allows, as the node that looks sees it:
//
//   - What the node signed itself, it knows, and also what it did itself.
//   - A holder that worked for this node is a witness for other gates, by the
//     receipts that it has of them, for no more units in all than it did here.
//   - A gate's standing is what this node did for it and what witnesses say.
//     It is believed for Trust times that, over all holders it signed for; and
//     nobody is a witness for himself.
//
// So who wants a long number has to do a Trust-th of it, in all, for others that
// the one who looks at it believes, or have such friends.
type confirming struct {
	eyes  Eyes
	units map[pair]uint64
	by    map[ledger.Key]uint64 // of a gate, over all holders
	other map[ledger.Key]uint64 // of a holder, by gates that are not Self
	stand map[ledger.Key]uint64 // of a gate
}

type pair struct{ gate, holder ledger.Key }

func confirm(eyes Eyes, units map[pair]uint64) *confirming {
	c := &confirming{eyes: eyes, units: units, by: map[ledger.Key]uint64{}, other: map[ledger.Key]uint64{}, stand: map[ledger.Key]uint64{}}
	for p, n := range units {
		c.by[p.gate] = add(c.by[p.gate], n)
		if p.gate != eyes.Self {
			c.other[p.holder] = add(c.other[p.holder], n)
		}
	}
	for p := range units {
		c.stand[p.gate] = add(c.stand[p.gate], c.word(p))
	}
	return c
}

// word is for how many units a holder is believed that a gate had it do.
func (c *confirming) word(p pair) uint64 {
	n := c.units[p]
	if p.holder == c.eyes.Self {
		return min(n, c.eyes.Served[p.gate])
	}
	here, other := c.units[pair{c.eyes.Self, p.holder}], c.other[p.holder]
	if p.gate == c.eyes.Self || other == 0 {
		return 0
	}
	return ledger.MulDiv(n, min(here, other), other)
}

// confirmed is how much of a gate's word about a holder is believed.
func (c *confirming) confirmed(p pair) uint64 {
	n := c.units[p]
	switch c.eyes.Self {
	case ledger.Key{}:
		return 0
	case p.gate:
		return n
	case p.holder:
		return c.word(p)
	}
	stand, all := c.stand[p.gate]-c.word(p), c.by[p.gate]
	return ledger.MulDiv(n, min(ledger.MulDiv(stand, Trust, 1), all), all)
}
