package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// stage is what the scenarios over real processes share: a model, a prompt, and
// one machine's answer to it, with which every answer is compared.
type stage struct {
	o      Options
	cast   simswarm.Cast
	path   string
	model  *expert.Model
	prompt string
	want   []int32
	out    Metrics
}

// onStage plays a scenario over real processes. tokens is how long the local
// answer is. Goroutines that are left in the end are an error.
func (o Options) onStage(ctx context.Context, cast simswarm.Cast, tokens int, play func(*stage) error) (Metrics, error) {
	s := &stage{o: o, cast: cast, out: Metrics{"holders": float64(cast.Holders), "replicas": float64(cast.Replicas)}}
	var err error
	if s.path, err = o.modelPath(ctx); err != nil {
		return nil, err
	}
	if s.model, err = o.open(ctx); err != nil {
		return nil, err
	}
	defer s.model.Close()
	if s.prompt, _, err = promptFor(s.model, o.Prompt, o.Seed); err != nil {
		return nil, err
	}
	o.NewTokens = tokens
	if s.want, err = localText(ctx, s.model, s.prompt, o); err != nil {
		return nil, err
	}
	left := leaks()
	if err := play(s); err != nil {
		return s.out, err
	}
	return s.out, checkLeaks(left, s.out)
}

// swarm has play work with a swarm of processes and ends it, see startProcesses.
func (s *stage) swarm(ctx context.Context, fault func(holder int) string, play func(*processes) error, args ...string) error {
	p, err := startProcesses(ctx, s.o, s.path, s.model, s.cast, fault, args...)
	if err != nil {
		return err
	}
	return errors.Join(play(p), p.close())
}

// answer asks for n tokens after the prompt, no more than the local answer has,
// and holds them against it.
func (s *stage) answer(ctx context.Context, p *processes, n int) (client.Answer, error) {
	a, err := askFor(ctx, p.entry, s.prompt, n, s.o.Seed, nil)
	if err == nil && !slices.Equal(a.Tokens, s.want[:min(len(s.want), len(a.Tokens))]) {
		err = fmt.Errorf("tokens %v differ from the local %v", a.Tokens, s.want)
	}
	return a, err
}

// steps asks for answers until n tokens were timed, each from the one before it.
func (s *stage) steps(ctx context.Context, p *processes, n int) (steps []time.Duration, err error) {
	for len(steps) < n {
		a, err := s.answer(ctx, p, len(s.want))
		if err != nil {
			return steps, err
		}
		for i := 1; i < len(a.Arrived); i++ {
			steps = append(steps, a.Arrived[i].Sub(a.Arrived[i-1]))
		}
	}
	return steps[:n], nil
}

// oneLayer has a scenario over processes use a model whose only layer makes a
// step one round, and which takes next to no time to compute.
func (o *Options) oneLayer() {
	if o.Fabric == fabricProcesses && o.Model == "" && o.Synthetic == "" {
		o.Synthetic, o.Layers = "tiny", 1
	}
}
