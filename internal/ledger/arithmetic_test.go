package ledger_test

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestSplitExample is a chain's run of 100 payments of 401,000: 37,293,000 to
// providers, 2,245,600 to the treasury, 561,400 burned.
func TestSplitExample(t *testing.T) {
	p := ledger.DefaultParams()
	var provider, treasury, burned ledger.Amount
	for range 100 {
		s := ledger.SplitGross(401_000, p)
		provider += s.Gate + s.Pool
		treasury += s.Treasury
		burned += s.Burn
	}
	if provider != 37_293_000 || treasury != 2_245_600 || burned != 561_400 {
		t.Errorf("providers %d, treasury %d, burned %d", provider, treasury, burned)
	}
	if s := ledger.SplitGross(401_000, p); s.Gate != 93_232 {
		t.Errorf("the gate has %d of 372930", s.Gate)
	}
}

func TestSplitIsWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 20_000 {
		p := ledger.DefaultParams()
		p.FeeBps, p.BurnBps, p.GateBps = 500+rng.Uint64N(501), rng.Uint64N(10_001), rng.Uint64N(5_001)
		gross := ledger.Amount(rng.Uint64N(uint64(ledger.MaxSupply) >> rng.IntN(60)))
		s := ledger.SplitGross(gross, p)
		if s.Burn+s.Treasury+s.Gate+s.Pool != gross {
			t.Fatalf("%d falls into %+v", gross, s)
		}
		total, left := uint64(0), s.Pool
		units := make([]uint64, 1+rng.IntN(20))
		for i := range units {
			units[i] = rng.Uint64N(1 << 50)
			total += units[i]
		}
		for _, u := range units {
			share := ledger.Share(s.Pool, u, total)
			if share > left {
				t.Fatalf("shares of %d exceed it", s.Pool)
			}
			left -= share
		}
		if total > 0 && left >= ledger.Amount(len(units)) {
			t.Fatalf("dust of %d among %d", left, len(units))
		}
	}
}

func TestMulDiv(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	most := new(big.Int).SetUint64(1<<64 - 1)
	for range 50_000 {
		a, b, c := rng.Uint64()>>rng.IntN(64), rng.Uint64()>>rng.IntN(64), rng.Uint64()>>rng.IntN(64)|1
		want := new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
		want.Div(want, new(big.Int).SetUint64(c))
		if want.Cmp(most) > 0 {
			want = most
		}
		if got := ledger.MulDiv(a, b, c); got != want.Uint64() {
			t.Fatalf("%d x %d / %d = %d, want %v", a, b, c, got, want)
		}
	}
}

func TestEmission(t *testing.T) {
	p := ledger.DefaultParams()
	start := ledger.Amount(p.EmissionStart)
	if got := ledger.Scheduled(0, p); got != start {
		t.Errorf("first epoch %v", got)
	}
	if got := ledger.Scheduled(p.HalvingEpochs, p); got != start/2 {
		t.Errorf("after a halving %v", got)
	}
	last := start
	for k := uint64(0); k < 10*p.HalvingEpochs; k += 97 {
		s := ledger.Scheduled(k, p)
		if s > last {
			t.Fatalf("the schedule rises in epoch %d", k)
		}
		last = s
	}
	if got := ledger.Scheduled(64*p.HalvingEpochs, p); got != 0 {
		t.Errorf("after 64 halvings %v", got)
	}
	target := ledger.Amount(p.EmissionTarget)
	if got := ledger.Emission(0, target, 0, p); got != 0 {
		t.Errorf("with revenue at its target %v", got)
	}
	if got := ledger.Emission(0, target-5, 0, p); got != 5 {
		t.Errorf("with a gap of 5: %v", got)
	}
	if got := ledger.Emission(0, 0, ledger.MaxSupply-3, p); got != 3 {
		t.Errorf("with 3 to the cap: %v", got)
	}
}
