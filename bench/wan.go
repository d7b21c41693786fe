package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	wanWork  = 450 * time.Microsecond // of a call, where it is modelled: as measured for lumabri's shape
	wanShape = "lumabri"              // of the published bench
)

func wanDefaults(o *Options) {
	if o.Model == "" && o.Synthetic == "" {
		o.Synthetic = wanShape
		if o.Quick {
			o.Synthetic = "tiny"
		}
	}
	o.Prompt = orDefault(o.Prompt, 8)
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 4, 24))
}

// wan times one gating node and three holders over networks from loopback to
// the Internet. Trunk and experts are really computed, all on this machine's
// processors; each holder computes on one thread, as a machine of its own with
// one core would, and on the farthest network also on two and four, or on
// HolderThreads. Beside what
// was measured stand what the network's draws and the holders' work alone make
// of the same rounds, and the floor, see roundFloor.
func wan(ctx context.Context, o Options) (Metrics, error) {
	if o.Fabric == fabricProcesses {
		return wanProcesses(ctx, o)
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	pool := ggml.NewPool(o.Threads)
	prompt := randomIDs(o.Seed, o.Prompt, m.Shape().Vocab)
	want, err := localAnswers(ctx, m, pool, [][]int32{prompt}, o.NewTokens)
	if err != nil {
		return nil, err
	}
	cast := simswarm.WAN(simswarm.Network{})
	shares := cast.Shares(m.Manifest().IDs())
	out := Metrics{"holders": float64(cast.Holders), "replicas": float64(cast.Replicas), "layers": float64(m.Layers()), "threads": float64(pool.Workers()), "new_tokens": float64(o.NewTokens)}
	left := leaks()
	far := simswarm.Networks()[len(simswarm.Networks())-1]
	for _, c := range wanCases(far, o.HolderThreads) {
		var sets []expert.Applier
		for _, held := range shares {
			set, err := expert.NewSet(m, held, ggml.NewPool(c.cores))
			if err != nil {
				return nil, err
			}
			sets = append(sets, o.work(set, wanWork/time.Duration(c.cores)))
		}
		for _, mode := range hedging() {
			if mode == "off" && c.cores > 1 && o.HolderThreads == 0 {
				continue
			}
			seen := &trips{}
			s := simswarm.New(simswarm.Config{Seed: o.Seed, Sleep: o.sleep(), Link: c.Link, Saw: seen.saw})
			for i, held := range shares {
				s.Join(simswarm.Holder{Name: cast.Name(i), Held: held, Apply: sets[i]})
			}
			a, err := startAsker(askerConfig{swarm: s, model: m, pool: pool, policy: hedged(routing.Policy{Seed: o.Seed + 1}, mode)})
			if err != nil {
				return nil, err
			}
			a.mixer.ended = seen.ended
			r, err := wanRun(ctx, a, seen, prompt, want[0], o)
			if cerr := a.close(); err == nil {
				err = cerr
			}
			if err != nil {
				return nil, fmt.Errorf("RTT %s, hedging %s: %w", c.name, mode, err)
			}
			name := "rtt_" + c.name + "_hedge_" + mode + "_"
			r.into(out, name)
			out[name+"round_floor_p50_ms"] = ms(roundFloor(c.Link, m.TopK(), cast.Holders, r.perCall, o.Seed))
			o.Progress("RTT %-12s hedging %-4s %6.2f tokens/s, layer round p50 %.2f ms, p99 %.2f ms; drawn %.2f ms, floor %.2f ms at %.2f ms a call",
				c.name, mode, out[name+"tokens_per_s"], out[name+"round_p50_ms"], out[name+"round_p99_ms"], out[name+"round_drawn_p50_ms"], out[name+"round_floor_p50_ms"], ms(r.perCall))
			if r.duplicates > duplicateBudget && r.calls > 200 {
				return out, fmt.Errorf("RTT %s: %.1f %% of calls were duplicated, the budget is %.0f %%", c.name, 100*r.duplicates, 100*duplicateBudget)
			}
		}
		wanPublished()[c.name].into(out, "rtt_"+c.name+"_", o)
	}
	return out, checkLeaks(left, out)
}

// wanCase is a network, and how many cores each holder has.
type wanCase struct {
	name  string
	cores int
	simswarm.Link
}

// wanCases are the networks with holders of one core, as in the published
// bench, and the farthest with holders of two and four; or all networks with
// holders of so many cores.
func wanCases(far simswarm.Network, cores int) (all []wanCase) {
	for _, n := range simswarm.Networks() {
		all = append(all, wanCase{n.Name, max(1, cores), n.Link})
	}
	if cores > 0 {
		return all
	}
	return append(all, wanCase{far.Name + "_2cores", 2, far.Link}, wanCase{far.Name + "_4cores", 4, far.Link})
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// wanResult is one run of one configuration.
type wanResult struct {
	steps, rounds, compute []time.Duration
	drawn                  []time.Duration // what the network and the holders' work alone made of the rounds
	perCall                time.Duration   // of a holder's work
	calls                  int
	duplicates             float64 // share of calls
}

func (r wanResult) into(m Metrics, name string) {
	m[name+"tokens_per_s"] = float64(len(r.steps)) / total(r.steps).Seconds()
	m[name+"token_p50_ms"] = quantile(r.steps, 0.5)
	m[name+"round_p50_ms"] = quantile(r.rounds, 0.5)
	m[name+"round_p99_ms"] = quantile(r.rounds, 0.99)
	m[name+"round_drawn_p50_ms"] = quantile(r.drawn, 0.5)
	m[name+"call_compute_ms"] = ms(r.perCall)
	m[name+"holder_compute_p50_ms"] = quantile(r.compute, 0.5)
	m[name+"duplicates_pct"] = 100 * r.duplicates
}

// wanRun answers the prompt once unmeasured, for a few tokens, and once
// measured, and compares the tokens.
func wanRun(ctx context.Context, a *asker, seen *trips, prompt, want []int32, o Options) (wanResult, error) {
	if _, _, err := a.answer(ctx, prompt, min(4, o.NewTokens)); err != nil {
		return wanResult{}, err
	}
	a.tally.take()
	seen.reset()
	before := a.router.Totals()
	a.mixer.rounds = a.mixer.rounds[:0]
	tokens, steps, err := a.answer(ctx, prompt, o.NewTokens)
	if err != nil {
		return wanResult{}, err
	}
	if !slices.Equal(tokens, want) {
		return wanResult{}, fmt.Errorf("tokens %v differ from the local %v", tokens, want)
	}
	r := wanResult{steps: steps}
	// The prompt's rounds, one a layer, are not decoding.
	r.rounds = a.mixer.rounds[len(a.mixer.rounds)/len(tokens):]
	r.drawn, r.perCall = seen.rounds[len(seen.rounds)/len(tokens):], seen.perCall()
	var sent int
	sent, r.compute = a.tally.take()
	after := a.router.Totals()
	r.calls = sent
	r.duplicates = float64(duplicates(after)-duplicates(before)) / float64(max(1, sent))
	return r, nil
}

func total(d []time.Duration) (sum time.Duration) {
	for _, t := range d {
		sum += t
	}
	return sum
}
