package draft

import (
	"math/bits"
	"slices"
	"time"
)

const (
	// grades is the number of row counts that are told apart: 1, 2, 3, 4, 6,
	// 8, 12 and so on to 1024 rows.
	grades = 20
	// remembered is the number of steps of a grade that count. Their median
	// is taken, so that one retransmission or one stall says nothing.
	remembered = 31
	// fresh is the number of steps after which what was seen of a grade is
	// forgotten: networks change, and a grade that looked too dear is not
	// tried otherwise.
	fresh = 512
)

// Costs learns what a step takes by the number of its rows.
type Costs struct {
	steps  int // seen so far
	grades [grades]struct {
		took [remembered]float64 // ns
		rows [remembered]float64 // of the same steps
		n    int                 // how many of them are set
		last int                 // steps when the last was noted
		next int
	}
}

// grade is the smallest grade with at least so many rows.
func grade(rows int) int {
	if rows <= 2 {
		return max(rows, 1) - 1
	}
	// 2^k < rows <= 2^(k+1), in two halves.
	k := bits.Len(uint(rows-1)) - 1
	g := 2 * k
	if rows <= 3<<(k-1) {
		g--
	}
	return min(g+1, grades-1)
}

// rowsOf is the largest number of rows of a grade: 1, 2, 3, 4, 6, 8, 12...
func rowsOf(g int) int {
	if g < 2 {
		return g + 1
	}
	if g%2 == 0 {
		return 3 << (g/2 - 1)
	}
	return 1 << (g/2 + 1)
}

// Note takes in a step.
func (c *Costs) Note(rows int, took time.Duration) {
	if rows < 1 || took <= 0 {
		return
	}
	c.steps++
	g := &c.grades[grade(rows)]
	if !c.known(grade(rows)) {
		g.n, g.next = 0, 0
	}
	g.took[g.next], g.rows[g.next] = float64(took), float64(rows)
	g.next = (g.next + 1) % remembered
	g.n = min(g.n+1, remembered)
	g.last = c.steps
}

func (c *Costs) known(g int) bool {
	return c.grades[g].n > 0 && c.steps-c.grades[g].last < fresh
}

// Known says whether steps of about so many rows were seen lately. Without
// that nothing can be said about whether more rows would pay.
func (c *Costs) Known(rows int) bool { return c.known(grade(rows)) }

// point is a grade's median time and the mean of its rows.
func (c *Costs) point(g int) (rows, took float64) {
	s := &c.grades[g]
	for _, r := range s.rows[:s.n] {
		rows += r / float64(s.n)
	}
	sorted := s.took
	slices.Sort(sorted[:s.n])
	return rows, sorted[s.n/2]
}

// Curve returns what a step of n rows is expected to take, in nanoseconds, by
// n; index 0 is unused. Between what is known lies a straight line, beyond it
// the line goes on. More rows never take less. It ends at most rows or, so that
// a try in the dark is never a large one, at twice the rows that are known. It
// writes to out.
func (c *Costs) Curve(most int, out []float64) []float64 {
	out = append(out[:0], 0)
	rows, took, slope := 0.0, 0.0, 0.0 // the last point, and the line from it
	fill := func(to float64) {
		for n := len(out); n <= min(int(to), most); n++ {
			out = append(out, took+slope*(float64(n)-rows))
		}
	}
	for g := range grades {
		if !c.known(g) {
			continue
		}
		at, t := c.point(g)
		t = max(t, took)
		if rows == 0 {
			took = t // fewer rows than ever seen: as dear
		} else {
			slope = (t - took) / (at - rows)
		}
		fill(at)
		rows, took = at, t
	}
	fill(2 * rows)
	return out
}
