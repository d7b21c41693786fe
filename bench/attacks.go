package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moeswarm/moeswarm/internal/economy/attacks"
)

// attacking plays every attack on the swarm's money. It fails when one gains
// more than the rules allow.
func attacking(ctx context.Context, o Options) (Metrics, error) {
	metrics := Metrics{}
	var errs []error
	for _, a := range attacks.All() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		got, err := a.Run()
		if err != nil {
			return nil, err
		}
		o.Progress("%-13s %10.3f NEURO gained, %10.3f allowed: %s", a.Name, got.Gain, got.Bound, a.About)
		name := strings.ReplaceAll(a.Name, "-", "_")
		metrics[name+"_gain_neuro"], metrics[name+"_bound_neuro"] = got.Gain, got.Bound
		for k, v := range got.Numbers {
			metrics[name+"_"+k] = v
		}
		if !got.Holds() {
			errs = append(errs, fmt.Errorf("attack %s gains %f NEURO, the rules allow %f", a.Name, got.Gain, got.Bound))
		}
	}
	return metrics, errors.Join(errs...)
}
