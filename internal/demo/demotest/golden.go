// Package demotest gives tests the demo model's two quantised files and the
// reference answers that were made for them with PyTorch and llama.cpp.
package demotest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo"
)

// Golden is the part of golden.json that tests read; README.md in the folder
// above describes the file.
type Golden struct {
	Tokenisation []struct {
		Text string
		Ids  []int32
	}
	Prompts []Prompt
}

// Prompt has results by file ("Q4_K_M", "Q8_0") and engine ("pytorch",
// "llama.cpp").
type Prompt struct {
	Text    string
	Ids     []int32
	Results map[string]map[string]Result
}

// Result of one engine on one file.
type Result struct {
	Greedy []int32      // 64 tokens, going on past end-of-text
	Top5   [][2]float64 // id and logit at the first generated position
	Gaps   []float64    // lead of the best logit at each step; pytorch only
}

func dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// Load reads the reference answers.
func Load(t testing.TB) Golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir(), "testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g Golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// Model opens the demo model: the embedded file for "Q4_K_M", the file beside
// the reference answers for "Q8_0".
func Model(t testing.TB, quant string) *expert.Model {
	t.Helper()
	var (
		m   *expert.Model
		err error
	)
	if quant == "Q4_K_M" {
		m, err = expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	} else {
		m, err = expert.OpenModel(filepath.Join(dir(), "testdata", "gopher-moe-15M-A6M-"+quant+".gguf"), expert.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}
