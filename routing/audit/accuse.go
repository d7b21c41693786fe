package audit

import (
	"context"
	"slices"

	"github.com/moeswarm/moeswarm/routing"
)

// Accusation is the part of a liar's answer that shows its lie best: some rows
// of one call, with the whole answer and what the liar signed of it.
type Accusation struct {
	routing.Checked // its own copy
	Call            int
	Rows            []int // of the call, ascending
}

// accuse hands on what a liar signed, in the background.
func (i *Inspector) accuse(c *Case) {
	if i.cfg.Accuse == nil || c.Sum != nil || len(c.Signed) == 0 {
		return
	}
	own := c.keep()
	select {
	case i.errands <- func() {
		if a, ok := i.accusation(own); ok {
			i.cfg.Accuse(a)
		}
	}:
	default: // too many liars at once; others will find them too
	}
}

// accusation picks the worst rows of the call that has the worst row. Without
// weights of its own it takes the first rows: all are suspect.
func (i *Inspector) accusation(c *Case) (a Accusation, ok bool) {
	picks := c.allPicks()
	if len(picks) == 0 || len(c.Signed) == 0 {
		return a, false
	}
	pickWorst := func(from []pick, most int) []pick {
		if i.cfg.Weights != nil {
			if set, err := i.cfg.Weights.set(c); err == nil {
				if all, err := worst(context.Background(), set, c, from, most); err == nil {
					return all
				}
			}
		}
		return from[:min(len(from), most)]
	}
	a = Accusation{Checked: c.Checked, Call: pickWorst(picks, 1)[0].call}
	of := slices.DeleteFunc(picks, func(p pick) bool { return p.call != a.Call })
	for _, p := range pickWorst(of, evidenceRows) {
		a.Rows = append(a.Rows, p.k)
	}
	slices.Sort(a.Rows)
	return a, true
}
