package ledger

import (
	"encoding/binary"
	"fmt"
)

// A tally is all that a gate saw of providers in an epoch, in the order of their
// keys. Its first message binds the gate to all rows by the root of their tree,
// before it can know what others say; up to MaxTallyPage rows ride along with it.
// Longer ones come in pages, each proved under the root, as leaves of a settlement
// are: a page of that many rows, a power of two, is a subtree of its own.

// TallyRow is what a gate saw of a provider in an epoch.
type TallyRow struct {
	Peer    Key
	Score   uint16 // basis points, of the gate's own book
	Pass    uint32
	Fail    uint32
	Late    uint32
	Audited uint64 // units of audits that the beacon scheduled, passed
}

func (r *TallyRow) code(c *coder) {
	c.key(&r.Peer)
	c.u16(&r.Score)
	if r.Score > BpsOne {
		c.fail("a score of %d", r.Score)
	}
	c.u32(&r.Pass)
	c.u32(&r.Fail)
	c.u32(&r.Late)
	c.u64(&r.Audited)
}

// CommitTally brings a page of a gate's tally of the epoch before, for a model on
// whose committee it sat.
type CommitTally struct {
	Model Hash
	Epoch uint64
	Root  Hash   // over all rows and their number
	Total uint32 // rows of the whole tally
	Page  uint32 // which page this is, from 0
	Rows  []TallyRow
	Path  []Hash // from the page to the root
}

// Limits of tallies.
const (
	// MaxTallyPage bounds the rows of one CommitTally.
	MaxTallyPage = 128
	// MaxTally bounds the rows of a tally: 32 pages.
	MaxTally = 4096
	// maxTallyPath is the depth of the tree above its pages.
	maxTallyPath = 5
)

func (m *CommitTally) code(c *coder) {
	c.hash(&m.Model)
	c.u64(&m.Epoch)
	c.hash(&m.Root)
	c.u32(&m.Total)
	c.u32(&m.Page)
	list(c, &m.Rows, MaxTallyPage, 54, func(c *coder, r *TallyRow) { r.code(c) })
	list(c, &m.Path, maxTallyPath, 32, (*coder).hash)
}

// tallyJoin is the node above two.
func tallyJoin(l, r Hash) Hash { return Sum([]byte("tally node"), l[:], r[:]) }

// above is the level over a level of a tally's tree; an odd last node goes up as
// it is.
func above(level []Hash) []Hash {
	var next []Hash
	for i := 0; i+1 < len(level); i += 2 {
		next = append(next, tallyJoin(level[i], level[i+1]))
	}
	if len(level)%2 == 1 {
		next = append(next, level[len(level)-1])
	}
	return next
}

// pageRoot is the root of a page's rows alone.
func pageRoot(rows []TallyRow) Hash {
	level := make([]Hash, len(rows))
	for i := range rows {
		level[i] = Sum([]byte("tally row"), Encode(&rows[i]))
	}
	for len(level) > 1 {
		level = above(level)
	}
	return level[0]
}

// tallyRoot binds a tree to its number of rows.
func tallyRoot(tree Hash, total uint32) Hash {
	return Sum([]byte("tally"), binary.BigEndian.AppendUint32(nil, total), tree[:])
}

// TallyPages are the messages that bring a tally of 1 to MaxTally rows.
func TallyPages(model Hash, epoch uint64, rows []TallyRow) []*CommitTally {
	var pages []*CommitTally
	var level []Hash
	for at := 0; at < len(rows); at += MaxTallyPage {
		page := rows[at:min(at+MaxTallyPage, len(rows))]
		pages = append(pages, &CommitTally{Model: model, Epoch: epoch, Total: uint32(len(rows)), Page: uint32(len(pages)), Rows: page})
		level = append(level, pageRoot(page))
	}
	for depth := 0; len(level) > 1; depth++ {
		for i, p := range pages {
			if sib := i>>depth ^ 1; sib < len(level) {
				p.Path = append(p.Path, level[sib])
			}
		}
		level = above(level)
	}
	for _, p := range pages {
		p.Root = tallyRoot(level[0], p.Total)
	}
	return pages
}

// Check says whether the page is of the tally that its root names, at its place.
// The error wraps ErrMalformed.
func (m *CommitTally) Check() error {
	pages := (int(m.Total) + MaxTallyPage - 1) / MaxTallyPage
	at := int(m.Page)
	if m.Total == 0 || m.Total > MaxTally || at >= pages {
		return fmt.Errorf("%w: page %d of a tally of %d rows", ErrMalformed, m.Page, m.Total)
	}
	if want := min(MaxTallyPage, int(m.Total)-at*MaxTallyPage); len(m.Rows) != want {
		return fmt.Errorf("%w: a page of %d rows, want %d", ErrMalformed, len(m.Rows), want)
	}
	h, path := pageRoot(m.Rows), m.Path
	for ; pages > 1; at, pages = at/2, (pages+1)/2 {
		if at^1 >= pages {
			continue // goes up as it is
		}
		if len(path) == 0 {
			return fmt.Errorf("%w: a tally's proof is cut short", ErrMalformed)
		}
		if at%2 == 1 {
			h = tallyJoin(path[0], h)
		} else {
			h = tallyJoin(h, path[0])
		}
		path = path[1:]
	}
	if len(path) > 0 || tallyRoot(h, m.Total) != m.Root {
		return fmt.Errorf("%w: the page is not of the tally's root", ErrMalformed)
	}
	return nil
}

// Tally is a row as it lies in the state, with the bond that stood behind it.
type Tally struct {
	Row  TallyRow
	Bond Amount
}

func (t *Tally) code(c *coder) { t.Row.code(c); c.amount(&t.Bond) }

// TallyRoot is what a gate is bound to, and how much of it came: bit i is page i.
type TallyRoot struct {
	Root  Hash
	Total uint32
	Pages uint32
}

func (t *TallyRoot) code(c *coder) { c.hash(&t.Root); c.u32(&t.Total); c.u32(&t.Pages) }
