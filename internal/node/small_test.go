package node

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// A draft model must have the vocabulary of the model it drafts for.
func TestSmallModelMustAgree(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	tok, err := tokenizer.New(m.File())
	if err != nil {
		t.Fatal(err)
	}
	pool := ggml.NewPool(1)
	own := Model{Name: "demo", Model: m}
	small, err := newSmall(own, tok, own, pool)
	if err != nil || small.Vocab != m.Shape().Vocab || small.Context != m.Shape().Context {
		t.Errorf("%+v, %v", small, err)
	}
	path := filepath.Join(t.TempDir(), "other.gguf")
	shape, err := synth.Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if err := synth.WriteFile(t.Context(), path, shape, nil); err != nil {
		t.Fatal(err)
	}
	other, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = newSmall(own, tok, Model{Name: "other", Model: other}, pool)
	if err == nil || !strings.Contains(err.Error(), "other cannot draft for demo") {
		t.Errorf("a model with another vocabulary: %v", err)
	}
}
