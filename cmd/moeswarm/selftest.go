package main

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// govSelfTest runs a model's public prompt here and prints what comes of it.
func (p program) govSelfTest(ctx context.Context, args []string) error {
	fs := p.flags("gov self-test", "gov self-test FILE|NAME", `
  moeswarm gov self-test olmoe-1b-7b.Q4_K_M.gguf
  moeswarm gov self-test demo
`)
	threads := fs.Int("threads", 0, "`threads` to compute with (0: one for each processor)")
	ops, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	m, err := p.openModel(ctx, nil, ops[0])
	if err != nil {
		return err
	}
	defer m.Model.Close()
	if !m.Model.Whole() {
		return fmt.Errorf("%s is there in parts; the self-test needs all of the model", ops[0])
	}
	pool := ggml.NewPool(*threads)
	set, err := expert.NewSet(m.Model, m.Model.Manifest().IDs(), pool)
	if err != nil {
		return err
	}
	marks, err := transcript.SelfTest(ctx, transcript.Config{Model: m.Model, Applier: set, Pool: pool})
	if err != nil {
		return err
	}
	t := ledger.SelfTest{Model: ledger.Hash(m.Model.ID()), Marks: marks}
	_, err = fmt.Fprintln(p.stdout, base64.RawURLEncoding.EncodeToString(ledger.Encode(&t)))
	return err
}

// parseSelfTest reads what govSelfTest prints; an empty text is none.
func parseSelfTest(text string) (t ledger.SelfTest, err error) {
	if text == "" {
		return t, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = ledger.Decode(b, &t)
	}
	if err != nil {
		return t, usagef("--self-test is no text that \"moeswarm gov self-test\" prints: %w", err)
	}
	return t, nil
}
