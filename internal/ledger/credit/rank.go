package credit

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Line is what one node did. A unit is one token row through one expert.
type Line struct {
	Node   ledger.Key
	Name   string
	Team   string
	Units  uint64 // served, as gates signed
	Passed uint64 // of these, audited and right
	// Confirmed is for how many of them somebody other than a stranger stands: the
	// ledger, this node, or gates that it has reason to believe.
	Confirmed uint64
	Gates     int    // that signed for it; 0: the ledger says so
	Largest   uint64 // units that the gate with the most signed for
}

// Board is an order of nodes and teams, as it goes out over HTTP.
type Board struct {
	Source string       `json:"source"` // "receipts" or "ledger"
	First  uint64       `json:"first_epoch"`
	Last   uint64       `json:"last_epoch"`
	Nodes  []NodeCredit `json:"nodes"`
	Teams  []TeamCredit `json:"teams"`
}

// NodeCredit is a node's place.
type NodeCredit struct {
	Rank int    `json:"rank"` // equal ones have the same
	Node string `json:"node"` // the key in hex
	Name string `json:"name,omitempty"`
	Team string `json:"team,omitempty"`
	// Confirmed is how many of Units this node has reason to believe.
	Confirmed uint64 `json:"confirmed"`
	Units     uint64 `json:"units"`
	Passed    uint64 `json:"passed"`
	Gates     int    `json:"gates,omitempty"`
	Largest   uint64 `json:"units_of_largest_gate,omitempty"`
}

// TeamCredit is a team's place.
type TeamCredit struct {
	Rank      int    `json:"rank"`
	Team      string `json:"team"`
	Nodes     int    `json:"nodes"`
	Confirmed uint64 `json:"confirmed"`
	Units     uint64 `json:"units"`
	Passed    uint64 `json:"passed"`
}

// Rank orders nodes and teams by confirmed units, then by all, then by those that
// passed audits, then by key or name, and cuts both lists at most entries.
func Rank(lines []Line, most int) Board {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.Confirmed, a.Confirmed), cmp.Compare(b.Units, a.Units), cmp.Compare(b.Passed, a.Passed), bytes.Compare(a.Node[:], b.Node[:]))
	})
	board := Board{Nodes: []NodeCredit{}, Teams: []TeamCredit{}}
	teams := map[string]*TeamCredit{}
	for i, l := range lines {
		n := NodeCredit{i + 1, hex.EncodeToString(l.Node[:]), l.Name, l.Team, l.Confirmed, l.Units, l.Passed, l.Gates, l.Largest}
		if i > 0 && lines[i-1].Confirmed == l.Confirmed && lines[i-1].Units == l.Units && lines[i-1].Passed == l.Passed && i <= len(board.Nodes) {
			n.Rank = board.Nodes[i-1].Rank
		}
		if i < most {
			board.Nodes = append(board.Nodes, n)
		}
		if l.Team == "" {
			continue
		}
		t := teams[l.Team]
		if t == nil {
			t = &TeamCredit{Team: l.Team}
			teams[l.Team] = t
		}
		t.Nodes++
		t.Confirmed, t.Units, t.Passed = add(t.Confirmed, l.Confirmed), add(t.Units, l.Units), add(t.Passed, l.Passed)
	}
	for _, t := range teams {
		board.Teams = append(board.Teams, *t)
	}
	slices.SortFunc(board.Teams, func(a, b TeamCredit) int {
		return cmp.Or(cmp.Compare(b.Confirmed, a.Confirmed), cmp.Compare(b.Units, a.Units), cmp.Compare(b.Passed, a.Passed), cmp.Compare(a.Team, b.Team))
	})
	board.Teams = board.Teams[:min(len(board.Teams), max(most, 0))]
	for i := range board.Teams {
		t := &board.Teams[i]
		if t.Rank = i + 1; i == 0 {
			continue
		}
		if before := board.Teams[i-1]; before.Confirmed == t.Confirmed && before.Units == t.Units && before.Passed == t.Passed {
			t.Rank = before.Rank
		}
	}
	return board
}

// Board ranks what the book has, as a node with these eyes sees it.
func (b *Book) Board(eyes Eyes, most int) Board {
	board := Rank(b.Lines(eyes), most)
	board.Source = "receipts"
	board.First, board.Last = b.Window()
	return board
}

// FromProviders are the lines of providers of a ledger; they count from its
// first epoch.
func FromProviders(all map[ledger.Key]ledger.Provider) []Line {
	lines := make([]Line, 0, len(all))
	for k, p := range all {
		if p.Served > 0 {
			lines = append(lines, Line{Node: k, Name: p.Name, Team: p.Team, Units: p.Served, Confirmed: p.Served, Passed: p.Passed})
		}
	}
	return lines
}
