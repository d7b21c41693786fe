package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/demo"
)

// modelPath is what --model of a node takes: "demo", the file named, or a
// synthetic file, written to the cache directory when it is not there yet.
func (o Options) modelPath(ctx context.Context) (string, error) {
	if o.Synthetic == "" {
		return o.Model, nil
	}
	cfg, err := synth.Named(o.Synthetic)
	if err != nil {
		return "", err
	}
	if o.Layers > 0 {
		if cfg, err = cfg.Cut(o.Layers); err != nil {
			return "", err
		}
	}
	if cfg, err = cfg.Thin(o.Experts, o.Vocab); err != nil {
		return "", err
	}
	if o.Seed != 0 {
		cfg.Seed = o.Seed
	}
	dir := o.CacheDir
	if dir == "" {
		if dir, err = os.UserCacheDir(); err != nil {
			return "", err
		}
		dir = filepath.Join(dir, "moeswarm", "synthetic")
	}
	path := filepath.Join(dir, o.fileName(cfg))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	o.Progress("writing %s (kept for the next run)", path)
	last := int64(-1)
	return path, synth.WriteFile(ctx, path, cfg, func(done, total int64) {
		if tenth := done * 10 / max(total, 1); tenth > last {
			last = tenth
			o.Progress("  %d of %d MB", done>>20, total>>20)
		}
	})
}

// fileName has all that the file's content depends on.
func (o Options) fileName(c synth.Config) string {
	name := fmt.Sprintf("%s-%d-layers-", o.Synthetic, c.Shape.Layers)
	if o.Experts > 0 {
		name += fmt.Sprintf("%d-experts-", o.Experts)
	}
	if o.Vocab > 0 {
		name += fmt.Sprintf("%d-tokens-", o.Vocab)
	}
	return name + fmt.Sprintf("seed-%d-%s.gguf", c.Seed, c.Quant)
}

// open opens the model in this process.
func (o Options) open(ctx context.Context) (*expert.Model, error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	if path == demo.Name {
		return expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	}
	return expert.OpenModel(path, expert.Options{})
}
