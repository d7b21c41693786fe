package oracle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

var (
	renew = flag.Bool("renew", false, "ask llama.cpp again and write testdata/golden.json; needs npm install --ignore-scripts in this directory")
	only  = flag.String("only", "", "the cases whose names contain this")
)

// vanishing log-probabilities are those that llama.cpp's floats no longer
// tell apart well.
const vanishing = -40

const goldenFile = "testdata/golden.json"

func cases() []Case {
	return slices.DeleteFunc(Cases(), func(c Case) bool { return !strings.Contains(c.Name, *only) })
}

// TestRenew asks llama.cpp, when told to.
func TestRenew(t *testing.T) {
	if !*renew {
		t.Skip("without -renew")
	}
	golden := map[string]Golden{}
	if *only != "" {
		golden = load(t)
	}
	todo := slices.DeleteFunc(cases(), func(c Case) bool { return c.As != c.Name })
	for seed := uint64(1); len(todo) > 0 && seed <= mostSeeds; seed++ {
		got := ask(t, todo, seed)
		todo = slices.DeleteFunc(todo, func(c Case) bool {
			g, ok := got[c.Name]
			if ok && g.Margin >= LeastMargin(c.Config.Quant) {
				golden[c.Name] = g
			}
			return !ok || g.Margin >= LeastMargin(c.Config.Quant)
		})
	}
	for _, c := range todo {
		t.Errorf("%s: none of %d seeds has a margin of %g", c.Name, mostSeeds, LeastMargin(c.Config.Quant))
	}
	var b bytes.Buffer
	b.WriteString("{\n")
	names := slices.Sorted(maps.Keys(golden))
	for i, name := range names {
		line, err := json.Marshal(golden[name])
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(`"` + name + `": ` + string(line))
		if i < len(names)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	if err := os.WriteFile(goldenFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mostSeeds is how many seeds are tried for a case; about one in six will do.
const mostSeeds = 100

// question is what llamacpp.mjs reads.
type question struct {
	Name   string  `json:"name"`
	Seed   uint64  `json:"seed"`
	File   string  `json:"file"`
	Prompt []int32 `json:"prompt"`
	Answer int     `json:"answer"`
	Places []int   `json:"places"`
	Top    int     `json:"top"`
}

// ask has llama.cpp answer cases. Those that it cannot load have no answer.
func ask(t *testing.T, cases []Case, seed uint64) map[string]Golden {
	var all []question
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	for _, c := range cases {
		c = c.Seeded(seed)
		path := filepath.Join(dir, strings.NewReplacer("/", "-", "+", "-").Replace(c.Name)+".gguf")
		if err := synth.WriteFile(t.Context(), path, c.Config, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, question{c.Name, seed, path, c.Prompt, AnswerLen, Places(), Top})
	}
	golden := map[string]Golden{}
	for len(all) > 0 {
		in, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "node", "llamacpp.mjs")
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
		failed := cmd.Run()
		for line := range bytes.Lines(out.Bytes()) {
			var one map[string]Golden
			if err := json.Unmarshal(line, &one); err != nil {
				t.Fatalf("%.200s: %v", line, err)
			}
			for name := range one {
				all = slices.DeleteFunc(all, func(q question) bool { return q.Name == name })
			}
			maps.Copy(golden, one)
		}
		if len(all) > 0 { // llama.cpp refused one, or died of it: go on without it
			t.Errorf("%s: %v", all[0].Name, failed)
			all = all[1:]
		}
	}
	return golden
}

func load(t *testing.T) map[string]Golden {
	t.Helper()
	raw, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]Golden
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

// open makes a case's model in memory.
func open(t testing.TB, c Case) *expert.Model {
	t.Helper()
	var file bytes.Buffer
	if err := synth.Write(context.Background(), &file, c.Config, nil); err != nil {
		t.Fatal(err)
	}
	m, err := expert.NewModel(c.Name, file.Bytes(), expert.Options{Dense: true})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// local is a trunk whose experts are all here.
func local(t testing.TB, m *expert.Model, workers int) *trunk.Trunk {
	t.Helper()
	pool := ggml.NewPool(workers)
	cfg := trunk.Config{Model: m, Pool: pool}
	if m.Experts() > 0 {
		set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Mixer, err = gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set}); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := trunk.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// run feeds tokens from a position on and returns the logits after each.
func run(t testing.TB, tr *trunk.Trunk, slot, from int, ids []int32) [][]float32 {
	t.Helper()
	s := trunk.Step{Tokens: ids}
	for i := range ids {
		s.Positions, s.Slots, s.Logits = append(s.Positions, from+i), append(s.Slots, slot), append(s.Logits, i)
	}
	out, err := tr.Forward(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]float32, len(ids))
	for i := range rows {
		rows[i] = slices.Clone(out.Row(i))
	}
	return rows
}

// candidates lists all tokens, the likeliest first.
func candidates(logits []float32) []Candidate {
	var sum float64
	top := slices.Max(logits)
	for _, x := range logits {
		sum += math.Exp(float64(x - top))
	}
	out := make([]Candidate, len(logits))
	for i, x := range logits {
		out[i] = Candidate{int32(i), float64(x-top) - math.Log(sum)}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int { return cmp.Compare(b.LogProb, a.LogProb) })
	return out
}

// TestEqualsLlamaCpp: greedy answers are llama.cpp's token for token, and the
// ten likeliest tokens have its log-probabilities within the tolerance.
func TestEqualsLlamaCpp(t *testing.T) {
	golden := load(t)
	for _, c := range cases() {
		t.Run(c.Name, func(t *testing.T) {
			want, ok := golden[c.As]
			if !ok {
				t.Fatal("llama.cpp has not been asked: make oracle")
			}
			c = c.Seeded(want.Seed)
			tr := local(t, open(t, c), 2)
			logits := run(t, tr, 0, 0, c.Prompt)
			var answer []int32
			for len(answer) < AnswerLen {
				next := candidates(logits[len(logits)-1])[0].Token
				answer = append(answer, next)
				logits = append(logits, run(t, tr, 0, len(logits), []int32{next})...)
			}
			if !slices.Equal(answer, want.Answer) {
				t.Errorf("answer\n%v, llama.cpp's is\n%v", answer, want.Answer)
			}
			worst := 0.0
			for i, place := range Places() {
				if place >= len(c.Prompt) && !slices.Equal(answer, want.Answer) {
					break
				}
				got := map[int32]float64{}
				for _, x := range candidates(logits[place]) {
					got[x.Token] = x.LogProb
				}
				for _, x := range want.Tops[i] {
					if x.LogProb < vanishing {
						continue
					}
					worst = max(worst, math.Abs(got[x.Token]-x.LogProb))
				}
			}
			t.Logf("log-probabilities within %.5f", worst)
			if worst > c.Tolerance() {
				t.Errorf("log-probabilities differ by %.4f, tolerated is %g", worst, c.Tolerance())
			}
		})
	}
}

// TestBatchesDoNotMatter: logits are the same to the last bit however a text is
// cut into steps, whatever else is in them, and however many workers there are.
func TestBatchesDoNotMatter(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.Name, func(t *testing.T) {
			c = c.Seeded(1)
			m := open(t, c)
			ids := c.Prompt[:24]
			whole := run(t, local(t, m, 1), 0, 0, ids)
			tr := local(t, m, 3)
			var pieces [][]float32
			for at, n := 0, 1; at < len(ids); at, n = at+n, n*2 {
				pieces = append(pieces, run(t, tr, 0, at, ids[at:min(at+n, len(ids))])...)
			}
			for i := range whole {
				if !slices.Equal(whole[i], pieces[i]) {
					t.Fatalf("after %d tokens: other logits in pieces", i+1)
				}
			}
			// Rows of two sequences in turn.
			s := trunk.Step{}
			for i := range 12 {
				for slot := range 2 {
					s.Tokens, s.Positions, s.Slots = append(s.Tokens, ids[i]), append(s.Positions, i), append(s.Slots, 10+slot)
					s.Logits = append(s.Logits, len(s.Logits))
				}
			}
			out, err := tr.Forward(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			for i := range s.Tokens {
				if !slices.Equal(out.Row(i), whole[i/2]) {
					t.Fatalf("row %d: other logits in company", i)
				}
			}
		})
	}
}
