package bench

import (
	"math"
	"math/rand/v2"
	"time"
)

// Churn as measured in file sharing. Session lengths there follow Weibull
// distributions with a shape well below 1, so most sessions are short and most
// of those online stay for long: D. Stutzbach and R. Rejaie, Understanding
// Churn in Peer-to-Peer Networks, IMC 2006, and for 18 BitTorrent traces B.
// Zhang, A. Iosup, J. Pouwelse and D. Epema, The Peer-to-Peer Trace Archive, TU
// Delft report PDS-2010, table 14. The numbers are those of its trace T6'05:
// scale 288 min, shape 0.63, which makes the mean 6.8 h and the median 2.7 h.
const (
	sessionScale = 288 * time.Minute
	sessionShape = 0.63
	// crashes is the share of sessions that end without a goodbye. Not
	// measured: a guess at the unkind side.
	crashes = 0.3
)

// weibull draws from a Weibull distribution.
func weibull(r *rand.Rand, scale time.Duration, shape float64) time.Duration {
	return time.Duration(float64(scale) * math.Pow(r.ExpFloat64(), 1/shape))
}

// session draws how long a node stays.
func session(r *rand.Rand) time.Duration { return weibull(r, sessionScale, sessionShape) }

// absence draws how long it is away, so that a share of the nodes is online.
func absence(r *rand.Rand, online float64) time.Duration {
	// Nobody is back before all have noticed that he went.
	return max(2*placeUnseen, weibull(r, time.Duration(float64(sessionScale)*(1-online)/online), sessionShape))
}

// residual draws what is left of a session, or an absence, seen at a random
// moment: long ones are met more often.
func residual(r *rand.Rand, draw func() time.Duration) time.Duration {
	longest, sum := time.Duration(0), make([]time.Duration, 64)
	for i := range sum {
		longest += draw()
		sum[i] = longest
	}
	at := time.Duration(r.Float64() * float64(longest))
	for _, end := range sum {
		if at < end {
			return end - at
		}
	}
	return 0
}

// memory draws what a node gives to experts, in bytes: half of them 2 GiB, a
// few 64. A guess; nobody has measured it.
func memory(r *rand.Rand) int64 {
	draw := r.Float64()
	for _, m := range []struct {
		upTo float64
		gib  int64
	}{{0.50, 2}, {0.75, 4}, {0.90, 8}, {0.98, 16}} {
		if draw < m.upTo {
			return m.gib << 30
		}
	}
	return 64 << 30
}

// rate draws what a node's line fetches, in bytes a second: log-normal, median
// 40 Mbit/s, one in six above 110.
func rate(r *rand.Rand) float64 { return 5e6 * math.Exp(r.NormFloat64()) }

// popularity draws how often an expert is asked for: log-normal with sigma 1,
// made to average 1 over a layer. The gate of a trained model balances less
// than its loss asks for; hot experts get several times the average.
func popularity(r *rand.Rand, demand []float64) {
	for l := 0; l < len(demand); l += placeExperts {
		sum := 0.0
		for i := range placeExperts {
			demand[l+i] = math.Exp(r.NormFloat64())
			sum += demand[l+i]
		}
		for i := range placeExperts {
			demand[l+i] *= placeExperts / sum
		}
	}
}
