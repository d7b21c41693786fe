package transcript

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Limits are what an honest transcript keeps in each chunk.
type Limits struct {
	Exponents float64 // at least this share of a fingerprint's exponents agree
	Mean      float64 // mantissas differ by at most this on average, in 2^-7
	Median    float64
	Margin    float64 // an expert may rank so far below the last chosen, in standard deviations of the row's ranks
	Routes    float64 // at most this share of experts rank lower than that
	Gap       float64 // a greedy token's logit may be so far below the best, in standard deviations of the row's logits
	Tokens    float64 // at most this share of greedy tokens are lower than that
}

// DefaultLimits are measured by TestCalibration on the demo model. Steps of one
// row and of many agree in all exponents, with mantissas 0.23 apart on average
// at most (the gaps come of rounding); kernels of 8-bit activations and float64
// in 98.4 % of exponents, with mantissas 1.41 apart. (TOPLOC allows 90 of 128
// exponents, and 10 and 8, for other GPUs in bfloat16.) The mean is what tells
// weights of other bits: 1.4 to 4.1, so that some of their chunks pass and
// many do not. A layer without its experts has 11.8 and more.
func DefaultLimits() Limits {
	return Limits{Exponents: 0.95, Mean: 2.1, Median: 2, Margin: 0.15, Routes: 0.02, Gap: 0.15, Tokens: 0.05}
}

// Seen is what a verifier saw of a chunk.
type Seen struct {
	Difference
	Routes float64 // share of experts further down than the margin
	Tokens float64 // share of tokens further down than the gap; 0 if the answer is not greedy
}

// Within says whether a chunk keeps the limits.
func (s Seen) Within(l Limits) bool {
	return s.Exponents >= l.Exponents && s.Mean <= l.Mean && s.Median <= l.Median && s.Routes <= l.Routes && s.Tokens <= l.Tokens
}

// Failed is the share of chunks that break the limits, in millionths.
func Failed(all []Seen, l Limits) uint32 {
	bad := 0
	for _, s := range all {
		if !s.Within(l) {
			bad++
		}
	}
	return uint32(int64(bad) * 1_000_000 / int64(max(len(all), 1)))
}

// Config of a [Verifier].
type Config struct {
	Model   *expert.Model // stays open
	Applier expert.Applier
	Pool    *ggml.Pool
	Limits  Limits // zero: DefaultLimits
	Rows    int    // of a step; 0: 64
}

// Verifier runs transcripts again. It does one at a time.
type Verifier struct {
	cfg   Config
	trunk *trunk.Trunk
	lane  *trunk.Lane
	mixer *forced
}

// NewVerifier checks the configuration.
func NewVerifier(cfg Config) (*Verifier, error) {
	if cfg.Model == nil || cfg.Applier == nil {
		return nil, errors.New("transcript: needs a model and an applier")
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Rows == 0 {
		cfg.Rows = 64
	}
	f := &forced{cfg: cfg, rule: gating.RuleOf(cfg.Model), layers: cfg.Model.Shape().SparseLayers}
	tr, err := trunk.New(trunk.Config{Model: cfg.Model, Mixer: f, Pool: cfg.Pool})
	if err != nil {
		return nil, err
	}
	return &Verifier{cfg: cfg, trunk: tr, lane: tr.NewLane(), mixer: f}, nil
}

// Run computes the transcript again and says what it saw of each chunk. Call
// [Transcript.Verify] before. An error that wraps ledger.ErrMalformed says that
// the transcript itself cannot be right: tokens or experts that there are not.
func (v *Verifier) Run(ctx context.Context, t *Transcript) ([]Seen, error) {
	if err := v.fits(t); err != nil {
		return nil, err
	}
	defer v.trunk.Release(0)
	ids := append(slices.Clone(t.Prompt), t.Answer()...)
	last := len(ids) - 1 // no row is run for the last token
	first := len(t.Prompt) - 1
	v.mixer.begin(t, last)
	dim := v.cfg.Model.Dim()
	hidden := make([]float32, 0, (last-first)*dim)
	low := make([]bool, 0, last-first)
	for at := 0; at < last; at += v.cfg.Rows {
		end := min(at+v.cfg.Rows, last)
		s := trunk.Step{Tokens: ids[at:end]}
		for p := at; p < end; p++ {
			s.Positions, s.Slots = append(s.Positions, p), append(s.Slots, 0)
			if p >= first {
				s.Hidden = append(s.Hidden, p-at)
			}
		}
		s.Logits = s.Hidden
		v.mixer.at = at
		logits, err := v.lane.Forward(ctx, s)
		if err != nil {
			return nil, err
		}
		hidden = append(hidden, v.lane.Hidden().Data...)
		for i, row := range s.Hidden {
			low = append(low, below(logits.Row(i), int(ids[at+row+1]), v.cfg.Limits.Gap))
		}
	}
	return v.compare(t, hidden, low), nil
}

// compare cuts what was computed into chunks.
func (v *Verifier) compare(t *Transcript, hidden []float32, low []bool) []Seen {
	dim := v.cfg.Model.Dim()
	var all []Seen
	rows, from := 0, 0
	for i := range t.Parts {
		p := &t.Parts[i]
		n := len(p.Tokens)
		s := Seen{Difference: p.Print.Compare(hidden[rows*dim : (rows+n)*dim])}
		if len(p.Print) < min(Values, n*dim) {
			s.Exponents = 0 // who leaves values out shows nothing
		}
		if t.Greedy {
			s.Tokens = share(low[rows : rows+n])
		}
		through := rows + n + len(t.Prompt) - 1
		s.Routes = share(v.mixer.far[from*v.mixer.perRow() : through*v.mixer.perRow()])
		rows, from = rows+n, through
		all = append(all, s)
	}
	return all
}

func share(b []bool) float64 {
	n := 0
	for _, x := range b {
		if x {
			n++
		}
	}
	return float64(n) / float64(max(len(b), 1))
}

// fits checks what Run relies on.
func (v *Verifier) fits(t *Transcript) error {
	if len(t.Prompt) == 0 || len(t.Parts) == 0 {
		return fmt.Errorf("%w: a transcript of nothing", ledger.ErrMalformed)
	}
	shape := v.cfg.Model.Shape()
	n := 0
	for i := range t.Parts {
		p := &t.Parts[i]
		rows := len(p.Tokens)
		if i == 0 {
			rows += len(t.Prompt) - 1
		}
		if len(p.Tokens) == 0 || len(p.Routes) != rows*v.mixer.perRow() {
			return fmt.Errorf("%w: part %d has %d tokens and %d experts", ledger.ErrMalformed, i, len(p.Tokens), len(p.Routes))
		}
		k := min(v.mixer.rule.TopK, shape.Experts)
		for at, e := range p.Routes {
			if int(e) >= shape.Experts || slices.Contains(p.Routes[at-at%k:at], e) {
				return fmt.Errorf("%w: expert %d of %d, or twice in a row", ledger.ErrMalformed, e, shape.Experts)
			}
		}
		n += rows
	}
	if n >= shape.Context {
		return fmt.Errorf("%w: %d rows in a context of %d", ledger.ErrMalformed, n, shape.Context)
	}
	for _, id := range append(slices.Clone(t.Prompt), t.Answer()...) {
		if id < 0 || int(id) >= shape.Vocab {
			return fmt.Errorf("%w: token %d of %d", ledger.ErrMalformed, id, shape.Vocab)
		}
	}
	return nil
}

// below says whether a value is further under the best than so many standard
// deviations of all.
func below(all []float32, at int, gap float64) bool {
	return float64(slices.Max(all)-all[at]) > gap*deviation(all)
}

func deviation(v []float32) float64 {
	var sum, squares float64
	for _, x := range v {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	n := float64(len(v))
	return math.Sqrt(math.Max(squares/n-sum/n*sum/n, 0))
}
