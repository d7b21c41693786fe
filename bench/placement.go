package bench

import (
	"context"
	"math"
	"time"
)

// The model of the placement scenario has the shape of Qwen3-235B-A22B: 94
// layers of 128 experts, 8 of them for each token and layer, each of three
// matrices of 4096 × 1536 at 4.8 bits a weight (Q4_K_M).
const (
	placeLayers  = 94
	placeExperts = 128
	placeTopK    = 8
	placeBytes   = 3 * 4096 * 1536 * 48 / 80
)

// placeSwarm is a population of the placement scenario.
type placeSwarm struct {
	name    string // prefix of its metrics
	nodes   int    // that exist; those online are some of them
	online  float64
	horizon time.Duration // observed, after as long a warm-up at the most
}

// placementAtScale simulates how experts spread over nodes that come and go, with the
// decisions of package placement and modelled everything else.
func placementAtScale(ctx context.Context, o Options) (Metrics, error) {
	swarms := []placeSwarm{
		{"nodes_10000", 10_000, 0.4, 12 * time.Hour},
		{"nodes_500", 500, 0.4, 24 * time.Hour},
		{"nodes_150", 150, 0.4, 24 * time.Hour},
	}
	if o.Quick {
		swarms = []placeSwarm{{"nodes_150", 150, 0.4, time.Hour}}
	}
	out := Metrics{"layers": placeLayers, "experts": placeLayers * placeExperts, "expert_mb": placeBytes / 1e6}
	for _, w := range swarms {
		o.Progress("%d nodes, %v after %v of warming up", w.nodes, w.horizon, warmUp(w))
		s := newPlaceSim(w, o.Seed)
		if err := s.run(ctx, warmUp(w)+w.horizon); err != nil {
			return nil, err
		}
		for name, v := range s.metrics() {
			out[w.name+"_"+name] = v
		}
	}
	return out, nil
}

// warmUp lets disks and sessions forget how the simulation began: sessions
// last 7 h on average.
func warmUp(w placeSwarm) time.Duration { return min(w.horizon, 12*time.Hour) }

// placeStats is what the simulation counts after the warm-up.
type placeStats struct {
	span         time.Duration
	samples      float64 // of the swarm's state, one a minute
	online       float64
	copies       float64 // per expert
	missing      float64 // experts with no holder online
	scarce       float64 // experts with fewer than two
	whole        float64 // samples with nothing missing
	stale        float64 // holders in view that are gone, as a share
	records      float64 // provider records per node online
	unseen       float64 // calls per token for an expert with no holder in view
	fewest       float64 // holders of the expert that has least: lowest sample
	ratio        float64 // copies of the hottest twentieth over those of the coldest
	moved        [4]float64
	holes        []time.Duration // how long an expert had fewer than two holders
	lost         int             // times that an expert's last holder went
	last, handed int             // last copies at nodes that said goodbye, and those handed over
	confirmed    int
	gaveWay      int
	puts         float64
}

// metrics are means over the observed time unless the name says otherwise.
func (s *placeSim) metrics() Metrics {
	st, hours := &s.stats, s.stats.span.Hours()
	gb := func(why int) float64 { return st.moved[why] / 1e9 / hours }
	perNode := 0.0
	for _, b := range st.moved {
		perNode += b / 1e6 / hours / (st.online / st.samples)
	}
	out := Metrics{
		"online":                             st.online / st.samples,
		"replicas_per_expert":                st.copies / st.samples,
		"replicas_fewest":                    st.fewest,
		"replicas_hot_over_cold":             st.ratio / st.samples,
		"experts_missing":                    st.missing / st.samples,
		"experts_below_two":                  st.scarce / st.samples,
		"time_complete_percent":              100 * st.whole / st.samples,
		"moved_missing_gb_per_h":             gb(0),
		"moved_scarce_gb_per_h":              gb(1),
		"moved_spare_gb_per_h":               gb(2),
		"moved_better_gb_per_h":              gb(3),
		"moved_mb_per_h_per_node":            perNode,
		"hole_p50_s":                         quantile(st.holes, 0.5) / 1000,
		"hole_p99_s":                         quantile(st.holes, 0.99) / 1000,
		"holes_per_h":                        float64(len(st.holes)) / hours,
		"last_holder_gone_per_h":             float64(st.lost) / hours,
		"goodbye_last_copies":                float64(st.last),
		"goodbye_handed_over":                float64(st.handed),
		"fetches_given_way":                  float64(st.gaveWay),
		"fetches_confirmed":                  float64(st.confirmed),
		"stale_holders_percent":              100 * st.stale / st.samples,
		"dht_records_per_node":               st.records / st.samples,
		"dht_puts_per_node_per_s":            st.puts / st.samples,
		"dht_lookups_per_token":              st.unseen / st.samples,
		"dht_lookups_per_token_no_gossip":    s.lookupsAlone(1),
		"gossip_kb_per_s_per_listener":       st.online / st.samples * announcementBytes / 10 / 1000,
		"holdings_table_claims_per_listener": st.copies / st.samples * float64(len(s.seen)),
	}
	return out
}

// announcementBytes is the size of an announcement of a model of this shape:
// a bit for each expert and some 80 bytes.
const announcementBytes = placeLayers*placeExperts/8 + 80

// lookupsAlone is how many look-ups a token would take if a gating node knew
// holders by look-ups alone, which last ten minutes (foundTTL of package
// swarm), at the given tokens a second.
func (s *placeSim) lookupsAlone(rate float64) float64 {
	const kept = 600.0
	sum := 0.0
	for i := range s.demand {
		p := math.Min(1, s.demand[i]*placeTopK/placeExperts)
		sum += (1 - math.Pow(1-p, kept*rate)) / (kept * rate)
	}
	return sum
}
