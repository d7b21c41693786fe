package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moeswarm/moeswarm/internal/economy"
)

// defaultYears is how long an economy is simulated.
const defaultYears = 5

// economies simulates one of the scenarios of package economy, or all of them.
func economies(ctx context.Context, o Options) (Metrics, error) {
	run := economy.Scenarios()
	if o.Economy != "" {
		s, err := economy.Find(o.Economy)
		if err != nil {
			return nil, err
		}
		run = []economy.Scenario{s}
	}
	if o.SVG != "" {
		if err := os.MkdirAll(o.SVG, 0o755); err != nil {
			return nil, fmt.Errorf("--svg: %w", err)
		}
	}
	metrics := Metrics{}
	for _, s := range run {
		o.Progress("%s: %s", s.Name, s.About)
		r, err := economy.Run(ctx, s, orDefault(o.Years, quickly(&o, 1, defaultYears)), o.Seed)
		if err != nil {
			return nil, err
		}
		for name, v := range r.Sums {
			metrics[s.Name+"_"+name] = v
		}
		if o.SVG == "" {
			continue
		}
		path := filepath.Join(o.SVG, "economy-"+s.Name+".svg")
		if err := plot(r, path); err != nil {
			return nil, err
		}
		o.Progress("  plotted to %s", path)
	}
	return metrics, nil
}

func plot(r economy.Result, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	if err := r.SVG(f); err != nil {
		_ = f.Close() // the first error says more
		return fmt.Errorf("--svg: %w", err)
	}
	return f.Close()
}
