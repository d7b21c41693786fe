package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/demo"
)

func (p program) model(ctx context.Context, args []string) error {
	const synopsis = "model import FILE | model list | model show NAME | model verify | model gc | model rm ID  [--data DIR]"
	fs := p.flags("model", synopsis, `
  moeswarm model import ~/Downloads/Qwen3-30B-A3B-Q4_K_M.gguf
      check the file, hash its experts and remember it by name; the file stays where it is
  moeswarm model list
  moeswarm model show demo
  moeswarm model verify
      read every part of a model that came from peers, and remove what is damaged
  moeswarm model gc
      remove parts that no model in use names
  moeswarm model rm 13f6dd702aff
      forget a model that came from peers, and remove its parts
`)
	data := fs.String("data", "", "`directory` of the imported models (default: as for moeswarm node)")
	ops, err := parse(fs, args, 1, 2)
	if err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	switch {
	case ops[0] == "gc" && len(ops) == 1:
		return p.modelGC(dir)
	case ops[0] == "verify" && len(ops) == 1:
		return p.modelVerify(ctx, dir)
	case ops[0] == "rm" && len(ops) == 2:
		return p.modelRemove(dir, ops[1])
	}
	store, err := expert.OpenStore(dir)
	if err != nil {
		return err
	}
	switch {
	case ops[0] == "import" && len(ops) == 2:
		return p.modelImport(ctx, store, ops[1])
	case ops[0] == "list" && len(ops) == 1:
		return p.modelList(store, dir)
	case ops[0] == "show" && len(ops) == 2:
		return p.modelShow(ctx, store, ops[1])
	}
	return usagef("want \"model import FILE\", \"model list\", \"model show NAME\", \"model verify\", \"model gc\" or \"model rm ID\"")
}

func (p program) modelImport(ctx context.Context, store *expert.Store, file string) error {
	if file == demo.Name {
		if _, err := os.Stat(file); err != nil {
			return usagef("the model demo is built in; there is nothing to import")
		}
	}
	e, err := store.Import(ctx, file, p.progress("hashing "+file))
	if err != nil {
		return err
	}
	if e.Note != "" {
		p.say("%s", e.Note)
	}
	fmt.Fprintf(p.stdout, "imported %s as %s, model %s\n", e.Path, e.Name, e.Model)
	return nil
}

func (p program) modelList(store *expert.Store, dir string) error {
	entries, err := store.List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tMODEL\tMB\tFILE")
	m, err := expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t(built in)\n", demo.Name, m.ID().Short(), len(demo.GGUF())/1_000_000)
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", e.Name, e.Model.Short(), e.Size/1_000_000, e.Path)
	}
	parts, err := content.Open(dir, 0)
	if errors.Is(err, content.ErrInUse) {
		fmt.Fprintln(w, "-\t-\t-\t(models that came from peers: a node has them open; see moeswarm status)")
		return w.Flush()
	}
	if err != nil {
		return err
	}
	defer parts.Close()
	for _, m := range parts.Models() {
		fmt.Fprintf(w, "-\t%s\t%d\t(parts from peers; %.1f MB of all models are here)\n", m.ID().Short(), m.Bytes()/1_000_000, float64(parts.Used())/1e6)
	}
	return w.Flush()
}

func (p program) modelShow(ctx context.Context, store *expert.Store, name string) error {
	opened, err := p.openModel(ctx, store, name)
	if err != nil {
		return err
	}
	m := opened.Model
	defer m.Close()
	s, man := m.Shape(), m.Manifest()
	var experts int64
	for _, e := range man.Experts {
		experts += e.Size
	}
	first, err := m.Weights(man.IDs()[0])
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]any{
		{"name", opened.Name},
		{"model", m.ID()},
		{"architecture", s.Arch},
		{"layers", fmt.Sprintf("%d, %d of them with experts", s.Layers, len(s.SparseLayers))},
		{"experts", fmt.Sprintf("%d a layer, %d in use", s.Experts, s.TopK)},
		{"hidden", fmt.Sprintf("%d, expert width %d", s.Dim, s.FF)},
		{"attention", fmt.Sprintf("%d query and %d key/value heads of %d", s.Heads, s.KVHeads, s.HeadDim)},
		{"vocabulary", s.Vocab},
		{"context", s.Context},
		{"types", fmt.Sprintf("%v for W1 and W3, %v for W2", first.W1.Type, first.W2.Type)},
		{"trunk", fmt.Sprintf("%.1f MB, what a gating node needs", float64(man.Trunk.Size)/1e6)},
		{"all experts", fmt.Sprintf("%.1f MB, %.2f MB each", float64(experts)/1e6, float64(experts)/1e6/float64(len(man.Experts)))},
		{"trunk hash", fmt.Sprintf("%x", man.Trunk.Hash)},
	} {
		fmt.Fprintf(w, "%s\t%v\n", row[0], row[1])
	}
	return w.Flush()
}
