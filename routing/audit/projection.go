package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	// leastRows is how many rows of output a projection needs to tell, and
	// mostRows how many it looks at: with 16 the estimate spreads by 18 %, and
	// they are a few hundred KB on the network.
	leastRows = 4
	mostRows  = 16
	// challengeTimeout bounds the wait for a challenged peer: tokens may wait
	// for the verdict.
	challengeTimeout = 2 * time.Second
)

// Challenger asks a peer to open some calls.
type Challenger interface {
	// Challenge has a peer show the inner layer of calls of one layer and sign
	// what it answers to them. The signature was verified.
	Challenge(ctx context.Context, to routing.Peer, in expert.Batch, calls []expert.Call) (routing.Opening, error)
}

// Projection is the secret projection audit. For y = W2 act(W1 x, W3 x), biases
// apart, it keeps secret random rows R and their products with the weights. The
// result y has come already when the peer learns that it is to show g = W1 x
// and u = W3 x; then R_g g must be (R_g W1) x, R_u u must be (R_u W3) x, and
// R_d y must be (R_d W2) act(g, u). With Gaussian rows the square of a
// difference is, on average, the square of the true error; so it measures the
// relative error rather than just say yes or no.
type Projection struct {
	secrets    *secrets
	ask        Challenger
	tolerances Tolerances
}

// Name implements [Auditor].
func (*Projection) Name() string { return "projection" }

// Quiet implements [Auditor].
func (*Projection) Quiet() bool { return false }

// Audit implements [Auditor]: it looks at a random sample of rows, pooled.
func (a *Projection) Audit(ctx context.Context, c *Case) (f Finding, err error) {
	samples := c.sample(rand.Perm)
	rows := 0
	for _, s := range samples {
		rows += len(s.allPicks())
	}
	if rows < leastRows {
		return Finding{}, fmt.Errorf("%w: %d rows are too few for a projection", ErrUnable, rows)
	}
	ctx, cancel := context.WithTimeout(ctx, challengeTimeout)
	defer cancel()
	opened := make([]opened, len(samples))
	errs := make([]error, len(samples))
	var all sync.WaitGroup
	for i, s := range samples {
		all.Go(func() { opened[i], errs[i] = a.open(ctx, s) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return Finding{}, err
	}
	f = Finding{Class: c.Class, Rows: rows}
	for _, o := range opened {
		f.Bytes += o.BytesOut + o.BytesIn
		f.Wait = max(f.Wait, o.waited)
	}
	began := time.Now()
	defer func() { f.Work = time.Since(began) }()
	// Nearly everybody computes as these kernels do; the others cost more.
	for _, hows := range [][]rounding{{usual(c.Class)}, {asFloats, per32, per256}} {
		var total stages
		for _, o := range opened {
			s, err := test(o.c, o.secrets, o.Opening, hows)
			if err != nil {
				return Finding{}, err
			}
			total.add(s)
		}
		f.Worst, f.Where = total.worst(rows*c.In.Dim, hows)
		if f.Worst <= a.tolerances[c.Class].Tau {
			break
		}
	}
	if f.Worst != f.Worst {
		f.Worst = math.Inf(1)
	}
	return f, nil
}

// sample cuts a case down to some rows at random, and adds earlier ones when
// those are too few. perm is a source of random orders.
func (c *Case) sample(perm func(int) []int) []*Case {
	all := c.allPicks()
	picks := make([]pick, 0, mostRows)
	for _, i := range perm(len(all)) {
		if len(picks) == mostRows {
			break
		}
		picks = append(picks, all[i])
	}
	samples := []*Case{c.only(picks)}
	for k := 0; k < len(c.Earlier) && len(picks)+k < leastRows; k++ {
		samples = append(samples, c.Earlier[k])
	}
	return samples
}

// stage holds sums of squares of one test: of the differences, for each
// arithmetic in which the peer may have computed, and of what it answered.
type stage struct {
	diff [known]float64
	norm float64
}

func (s *stage) add(o stage) {
	for how := range o.diff {
		s.diff[how] += o.diff[how]
	}
	s.norm += o.norm
}

// stages holds the three tests.
type stages struct{ d, g, u stage }

func (s *stages) add(o stages) {
	s.d.add(o.d)
	s.g.add(o.g)
	s.u.add(o.u)
}

// worst is the largest estimate of a relative error over the three tests, each
// in that of some arithmetics that fits it best. n is the number of values.
func (s *stages) worst(n int, hows []rounding) (rel float64, where string) {
	for _, t := range []struct {
		name string
		stage
	}{{"the result", s.d}, {"W1 x", s.g}, {"W3 x", s.u}} {
		least := math.Inf(1)
		for _, how := range hows {
			least = min(least, relative(t.diff[how]/projections, t.norm, n))
		}
		if least >= rel || least != least {
			rel, where = least, t.name
		}
	}
	return rel, where
}

// opened is a case, the secrets of its experts and what the peer showed.
type opened struct {
	c       *Case
	secrets []*secret
	waited  time.Duration
	routing.Opening
}

// open challenges the peer about one case.
func (a *Projection) open(ctx context.Context, c *Case) (opened, error) {
	secrets, err := a.secrets.of(c.Calls)
	if err != nil {
		return opened{}, err
	}
	began := time.Now()
	o, err := a.ask.Challenge(ctx, c.Peer, c.In, c.Calls)
	if err != nil {
		return opened{}, fmt.Errorf("%w: the peer does not answer the challenge: %w", ErrUnable, err)
	}
	if len(o.Inner) != len(c.Calls) {
		return opened{}, fmt.Errorf("%w: %d calls opened of %d", ErrUnable, len(o.Inner), len(c.Calls))
	}
	return opened{c, secrets, time.Since(began), o}, nil
}

// usual is the arithmetic of ggml's kernels in a class.
func usual(n expert.Numeric) rounding {
	return [expert.Numerics]rounding{expert.Float: asFloats, expert.Blocks32: per32, expert.Blocks256: per256}[n]
}

// test is the arithmetic of the audit, for a peer that computed in one of some
// arithmetics.
func test(c *Case, secrets []*secret, open routing.Opening, hows []rounding) (stages, error) {
	var s stages
	sums := make([][known]projected, c.In.Rows) // of a sum: R_d times what it should be
	var in [known]expert.Batch
	for _, how := range hows {
		in[how] = rounded(c.In, how)
	}
	for i, call := range c.Calls {
		x, inner := secrets[i], open.Inner[i]
		ff := x.rg.Dim
		if inner.Gate.Rows != len(call.Rows) || inner.Up.Rows != len(call.Rows) || inner.Gate.Dim != ff || inner.Up.Dim != ff {
			return stages{}, fmt.Errorf("%w: opened as (%d, %d), want (%d, %d)", ErrUnable, inner.Gate.Rows, inner.Gate.Dim, len(call.Rows), ff)
		}
		for k, r := range call.Rows {
			g, u := inner.Gate.Row(k), inner.Up.Row(k)
			h := expert.NewBatch(1, ff)
			x.set.Activate(call.Expert, g, u, h.Data)
			s.g.norm += square(g)
			s.u.norm += square(u)
			rg, ru := project(x.rg, g), project(x.ru, u)
			var ry projected
			if c.Sum == nil {
				y := c.Results[i].Out.Row(k)
				ry = project(x.rd, y)
				s.d.norm += square(y)
			}
			for _, how := range hows {
				row := in[how].Row(int(r))
				s.g.diff[how] += rg.apart(project(x.sg, row))
				s.u.diff[how] += ru.apart(project(x.su, row))
				right := project(x.sd, rounded(h, how).Data).plus(x.bias)
				if c.Sum == nil {
					s.d.diff[how] += ry.apart(right)
					continue
				}
				for p, v := range right {
					sums[r][how][p] += float64(call.Weights[k]) * v
				}
			}
		}
	}
	for i, call := range c.Calls {
		if !secrets[i].set.Holds(call.Expert) {
			return stages{}, gone(call.Expert)
		}
	}
	for r := 0; c.Sum != nil && r < c.In.Rows; r++ {
		y := c.Sum.Row(r)
		s.d.norm += square(y)
		ry := project(secrets[0].rd, y)
		for _, how := range hows {
			s.d.diff[how] += ry.apart(sums[r][how])
		}
	}
	return s, nil
}

// projected is a vector times the rows of a secret.
type projected [projections]float64

// project multiplies by the kernels, in single precision: what that rounds
// off is a ten-thousandth of any tolerance.
func project(r expert.Batch, v []float32) (p projected) {
	var out [projections]float32
	expert.Dots(r, v, out[:])
	for k := range p {
		p[k] = float64(out[k])
	}
	return p
}

func (p projected) plus(q projected) projected {
	for k := range p {
		p[k] += q[k]
	}
	return p
}

// apart is the square of the difference.
func (p projected) apart(q projected) (sum float64) {
	for k := range p {
		sum += (p[k] - q[k]) * (p[k] - q[k])
	}
	return sum
}

// square is |v|² in double precision: in single, a peer could show numbers so
// large that their sum is infinite, beside which no difference counts.
func square(v []float32) float64 { return dot(v, v) }

// dot adds up in four parts, which a processor can do side by side.
func dot(a, b []float32) float64 {
	var s [4]float64
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		s[0] += float64(a[0]) * float64(b[0])
		s[1] += float64(a[1]) * float64(b[1])
		s[2] += float64(a[2]) * float64(b[2])
		s[3] += float64(a[3]) * float64(b[3])
		a, b = a[4:], b[4:]
	}
	for i, x := range a {
		s[0] += float64(x) * float64(b[i])
	}
	return s[0] + s[1] + (s[2] + s[3])
}
