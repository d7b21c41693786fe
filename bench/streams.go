package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/groups"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
	"github.com/moeswarm/moeswarm/routing"
)

// What streams must reach; see streamTargets.
const (
	streamsShare = 0.85 // of the smaller of the rate at the least RTT and one token per stream and layers × RTT
	streamsFar   = 0.8  // 64 streams at 30 ms, of their rate at 1 ms
	streamsGain  = 6    // 8 streams at 30 ms, times one
)

const (
	streamHolders  = 3
	streamReplicas = 2
)

// streamsTime is how long a configuration decodes at least, where the network
// decides.
const streamsTime = 16 * time.Second

func streamsDefaults(o *Options) {
	if o.Model == "" && o.Synthetic == "" && !o.Quick {
		o.Synthetic = "lumabri"
	}
	o.Prompt = orDefault(o.Prompt, 8)
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 12, 48))
	if o.Streams > 0 {
		o.counts = []int{o.Streams}
	}
}

// streamGrid says what is measured. The first RTT is what the others are compared
// with.
func (o Options) streamGrid() (rtts []time.Duration, streams []int, err error) {
	rtts, streams = []time.Duration{1 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond}, []int{1, 4, 8, 16, 64}
	if o.Quick {
		rtts, streams = rtts[:2], []int{1, 8}
	}
	if o.counts != nil {
		streams = o.counts
	}
	if o.RTT == "" {
		return rtts, streams, nil
	}
	only, err := time.ParseDuration(o.RTT)
	if err != nil || only < time.Millisecond {
		return nil, nil, fmt.Errorf("--rtt %.40q: want 1ms or more", o.RTT)
	}
	if rtts = rtts[:1]; only > rtts[0] {
		rtts = append(rtts, only)
	}
	return rtts, streams, nil
}

// streams times many answers at once at one gating node, over networks of
// growing RTT: the whole engine, the trunk and the holders really compute, all
// on this machine's processors.
func streams(ctx context.Context, o Options) (Metrics, error) {
	rtts, counts, err := o.streamGrid()
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	pool := ggml.NewPool(o.Threads)
	most := slices.Max(counts)
	defer leaveRoom(pool.Workers())()
	b := streamBed{o: o, m: m, pool: pool}
	if err := b.prompts(ctx, most); err != nil {
		return nil, err
	}
	out := Metrics{"layers": float64(len(m.Shape().SparseLayers)), "threads": float64(pool.Workers()), "holders": streamHolders}
	rates := map[time.Duration]map[int]float64{}
	left := leaks()
	timed, err := b.steps(ctx, most)
	if err != nil {
		return out, err
	}
	for _, t := range timed {
		out[fmt.Sprintf("step_%d_rows_ms", t.rows)], out[fmt.Sprintf("step_%d_rows_busy_ms", t.rows)] = ms(t.took), ms(t.busy)
	}
	for _, rtt := range rtts {
		rates[rtt] = map[int]float64{}
		for _, n := range counts {
			r, err := b.run(ctx, rtt, n)
			if err != nil {
				return out, fmt.Errorf("RTT %v, %d streams: %w", rtt, n, err)
			}
			rates[rtt][n] = r.rate
			name := fmt.Sprintf("rtt_%dms_streams_%d_", rtt.Milliseconds(), n)
			possible, rows := groups.Possible(n, rtt*time.Duration(out["layers"]), workOf(timed))
			out[name+"tokens_per_s"], out[name+"lanes"], out[name+"first_token_ms"] = r.rate, r.lanes, r.first
			out[name+"possible_tokens_per_s"], out[name+"share_of_possible"] = possible, r.rate/possible
			o.Progress("RTT %5v %3d streams: %7.1f tokens/s, %.1f rows a step; possible %.1f with %d rows: %.2f of it", rtt, n, r.rate, r.lanes, possible, rows, r.rate/possible)
		}
	}
	streamTargets(o, out, rates, rtts, counts)
	return out, checkLeaks(left, out)
}

// leaveRoom gives Go's code as many places as a node with so many workers has,
// until undo. With many more, as many steps as there are places compute at a time,
// in each other's way.
func leaveRoom(workers int) (undo func()) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(before, workers+ggml.Spare))
	return func() { runtime.GOMAXPROCS(before) }
}

// streamTargets compares the rates with what they should be. Each target is a
// metric that is met at 1 and above.
func streamTargets(o Options, out Metrics, rates map[time.Duration]map[int]float64, rtts []time.Duration, counts []int) {
	least := math.Inf(1)
	for _, rtt := range rtts {
		for _, n := range counts {
			could := min(rates[rtts[0]][n], float64(n)/(out["layers"]*rtt.Seconds()))
			share := rates[rtt][n] / (streamsShare * could)
			out[fmt.Sprintf("rtt_%dms_streams_%d_share_of_target", rtt.Milliseconds(), n)] = share
			if share < 1 {
				o.Progress("RTT %v, %d streams: %.2f of what there could be, target %.2f: missed", rtt, n, share*streamsShare, streamsShare)
			}
			least = min(least, share)
		}
	}
	out["least_share_of_target"] = least
	far, near := rates[30*time.Millisecond], rates[rtts[0]]
	if far[64] > 0 {
		out["streams_64_at_30ms_share_of_target"] = far[64] / near[64] / streamsFar
		o.Progress("64 streams at 30 ms: %.2f of 1 ms, target %.2f", far[64]/near[64], streamsFar)
	}
	if far[1] > 0 && far[8] > 0 {
		out["streams_8_over_1_at_30ms_share_of_target"] = far[8] / far[1] / streamsGain
		o.Progress("8 streams at 30 ms: %.1f times one, target %d", far[8]/far[1], streamsGain)
	}
}

// streamBed is what the runs share.
type streamBed struct {
	o     Options
	m     *expert.Model
	pool  *ggml.Pool
	tok   *endless
	texts []string
	ids   [][]int32 // of the texts
	want  [][]int32 // local greedy answers
}

// endless is a tokenizer whose texts do not end: random weights end them at
// random.
type endless struct{ *tokenizer.Tokenizer }

func (endless) EndsText(int32) bool { return false }

// prompts makes one prompt for each of n streams and answers it locally.
func (b *streamBed) prompts(ctx context.Context, n int) error {
	tok, err := tokenizer.New(b.m.File())
	if err != nil {
		return err
	}
	b.tok = &endless{tok}
	for i := range n {
		text, ids, err := promptFor(b.m, b.o.Prompt, b.o.Seed+uint64(i))
		if err != nil {
			return err
		}
		b.texts, b.ids = append(b.texts, text), append(b.ids, ids)
	}
	b.o.Progress("%d answers of %d tokens on this machine alone, to compare with", n, b.o.NewTokens)
	b.want, err = localBatch(ctx, b.m, b.pool, b.ids, b.o.NewTokens)
	return err
}

// streamRun is what one configuration gave.
type streamRun struct {
	rate  float64 // tokens/s of all streams, while all of them decode
	lanes float64 // rows of a step, on average
	first float64 // ms from the prompts to the first token, the median of all streams
}

// start starts a gating node whose holders are so far away; close must follow.
func (b *streamBed) start(rtt time.Duration) (*asker, error) {
	s := simswarm.New(simswarm.Config{Seed: b.o.Seed, Sleep: b.o.sleep(), Link: simswarm.Link{RTT: rtt}})
	for i, held := range (simswarm.Cast{Holders: streamHolders, Replicas: streamReplicas}).Shares(b.m.Manifest().IDs()) {
		set, err := expert.NewSet(b.m, held, ggml.NewPool(1))
		if err != nil {
			return nil, err
		}
		s.Join(simswarm.Holder{Name: holderName(i), Held: held, Apply: b.o.work(set, streamsWork)})
	}
	return startAsker(askerConfig{swarm: s, model: b.m, pool: b.pool, merge: true, policy: routing.Policy{Seed: b.o.Seed + 1}})
}

func (b *streamBed) run(ctx context.Context, rtt time.Duration, n int) (streamRun, error) {
	a, err := b.start(rtt)
	if err != nil {
		return streamRun{}, err
	}
	r, err := b.answers(ctx, a, rtt, n)
	return r, errors.Join(err, a.close())
}

// streamsWork is a call's, where it is modelled.
const streamsWork = 50 * time.Microsecond

// answers runs an engine with n streams.
func (b *streamBed) answers(ctx context.Context, a *asker, rtt time.Duration, n int) (streamRun, error) {
	layers := len(b.m.Shape().SparseLayers)
	e, err := engine.New(engine.Config{
		Model: b.m.ID(), Tokenizer: b.tok, Vocab: b.m.Shape().Vocab, Context: b.m.Shape().Context,
		NewLane: func() engine.Forwarder { return a.trunk.NewLane() }, Slots: a.trunk,
		Away:       func() time.Duration { return a.router.Away() * time.Duration(layers) },
		MaxRunning: n, Drafts: -1, Groups: b.o.Groups,
	})
	if err != nil {
		return streamRun{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	if err := b.meet(ctx, e); err != nil {
		cancel()
		return streamRun{}, errors.Join(err, <-done)
	}
	tokens := b.tokens(rtt, n)
	began := time.Now()
	times := make([][]time.Time, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { times[i], errs[i] = b.stream(ctx, e, i, tokens) })
	}
	wg.Wait()
	stats := e.Stats()
	cancel()
	if err := errors.Join(append(errs, <-done)...); err != nil {
		return streamRun{}, err
	}
	rate, err := commonRate(times)
	firsts := make([]time.Duration, n)
	for i, at := range times {
		firsts[i] = at[0].Sub(began)
	}
	return streamRun{rate: rate, lanes: float64(stats.Decoded+stats.Prefilled) / float64(stats.Steps), first: quantile(firsts, 0.5)}, err
}

// meet has the engine measure the network before anything is timed.
func (b *streamBed) meet(ctx context.Context, e *engine.Engine) error {
	for _, err := range e.Complete(ctx, prompt.Request{Model: b.m.ID(), User: "first", Text: "Hello", MaxTokens: 8}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// tokens is how many tokens the answers have: enough to time, also after the last
// of n prompts has been read, without taking forever where the network is slow.
func (b *streamBed) tokens(rtt time.Duration, n int) int {
	round := rtt * time.Duration(len(b.m.Shape().SparseLayers))
	return min(b.o.NewTokens, max(24+n/2, int(streamsTime/max(round, 1))))
}

// stream receives an answer, and compares it with the local one.
func (b *streamBed) stream(ctx context.Context, e *engine.Engine, i, tokens int) (at []time.Time, err error) {
	var got []int32
	for c, err := range e.Complete(ctx, prompt.Request{Model: b.m.ID(), User: fmt.Sprint(i), Text: b.texts[i], MaxTokens: tokens}) {
		if err != nil {
			return nil, err
		}
		if c.HasToken {
			got, at = append(got, c.Token), append(at, time.Now())
		}
	}
	if want := b.want[i][:tokens]; !slices.Equal(got, want) {
		return nil, fmt.Errorf("stream %d: tokens %v differ from the local %v", i, got, want)
	}
	return at, nil
}

// commonRate is the tokens per second of all streams together in the time in
// which all of them decode. The first third of that is left out: the engine
// measures there what it decides by.
func commonRate(times [][]time.Time) (float64, error) {
	var from, to time.Time
	for _, at := range times {
		if first := at[0]; first.After(from) {
			from = first
		}
		if last := at[len(at)-1]; to.IsZero() || last.Before(to) {
			to = last
		}
	}
	from = from.Add(to.Sub(from) / 3)
	n := 0
	for _, at := range times {
		for _, t := range at {
			if t.After(from) && !t.After(to) {
				n++
			}
		}
	}
	if n < len(times) {
		return 0, errors.New("the first answer ends before the last has begun; ask for more --tokens")
	}
	return float64(n) / to.Sub(from).Seconds(), nil
}
