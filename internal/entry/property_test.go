package entry

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Whatever fails, and whenever gates come and go, the delivered tokens are
// those of the uninterrupted answer as long as one gate lives.
func TestTokensSurviveAnyFailures(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, round))
		synctest.Test(t, func(t *testing.T) {
			f := newFabric("a", "b", "c", "d")
			stopAt := 0
			if rng.IntN(2) == 0 {
				stopAt = 1 + rng.IntN(20)
			}
			for n, g := range f.gates {
				g.stopAt = stopAt
				if n != "d" { // d lives
					g.play(randomActs(rng)...)
				}
			}
			e := f.entry(t, func(c *Config) {
				c.Policy.MaxFailovers = 1000
				if rng.IntN(2) == 0 {
					c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
						return []string{"d"}, nil
					}
				}
			})
			r := ask(1 + rng.IntN(30))
			var got []prompt.Chunk
			for c, err := range e.Complete(t.Context(), r) {
				if err != nil {
					t.Fatalf("seed %d, round %d: after %d tokens: %v", seed, round, len(got), err)
				}
				got = append(got, c)
				shuffleKnown(rng, f, e.cfg.Find != nil)
			}
			whole(t, r, stopAt, got)
			time.Sleep(time.Minute) // virtual: lets the timers of shuffleKnown end
		})
	}
}

func randomActs(rng *rand.Rand) []act {
	bad := prompt.Chunk{PromptTokens: -5, HasToken: true, Token: 666}
	acts := make([]act, rng.IntN(12))
	for i := range acts {
		acts[i].after = rng.IntN(5)
		switch rng.IntN(8) {
		case 0:
			acts[i].hang = true
		case 1:
			acts[i].chunk = &bad
		case 2:
			acts[i].err = prompt.ErrUnknownModel
		case 3:
			acts[i].after, acts[i].err = 1, prompt.ErrBadRequest
		case 4:
			acts[i].err = errors.New("boom")
		case 5: // ends without a word
		default:
			acts[i].err = prompt.ErrLost
		}
	}
	return acts
}

// shuffleKnown sometimes changes which gates are known. d stays known, comes
// back within seconds, or can be found.
func shuffleKnown(rng *rand.Rand, f *fabric, findable bool) {
	if rng.IntN(3) > 0 {
		return
	}
	all := []string{"a", "b", "c", "d"}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	some := all[:rng.IntN(5)]
	f.know(some...)
	if !findable {
		time.AfterFunc(time.Duration(rng.IntN(5000))*time.Millisecond, func() { f.know(all...) })
	}
}
