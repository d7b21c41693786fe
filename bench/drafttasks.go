package bench

import (
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// draftTask is a prompt to answer.
type draftTask struct {
	kind     string // edit or nothing
	text     string
	sampling prompt.Sampling
	want     []int32 // what one machine answers
}

func (t draftTask) request(m *expert.Model, o Options) prompt.Request {
	return prompt.Request{Model: m.ID(), Text: t.text, MaxTokens: o.NewTokens, Sampling: t.sampling}
}

// draftTasks are code that is being edited, answered greedily, and prompts
// whose answers have next to nothing in common with anything before: sampled
// at a temperature where tokens are nearly even. A model asked so does not
// repeat itself, and greedy answers of a small one always do.
func draftTasks(o Options) (tasks []draftTask) {
	for i, text := range editing() {
		if o.Quick && i > 0 || o.virtual && i > 2 {
			break
		}
		tasks = append(tasks, draftTask{kind: "edit", text: text})
	}
	for i, text := range []string{"Write a story about a lighthouse.\n", "// Package harbour keeps ships apart.\n", "The weather in the mountains, the price of salt and"} {
		if (o.Quick || o.virtual) && i > 0 {
			break
		}
		tasks = append(tasks, draftTask{kind: "nothing", text: text, sampling: prompt.Sampling{Temperature: 3, Seed: o.Seed + uint64(i)}})
	}
	return tasks
}

// endpointTasks are the same as an endpoint over HTTP takes them: at a temperature
// of 2 at most.
func endpointTasks(tasks []draftTask) []draftTask {
	tasks = slices.Clone(tasks)
	for i := range tasks {
		tasks[i].sampling.Temperature = min(tasks[i].sampling.Temperature, 2)
	}
	return tasks
}

// editing are pieces of Go in the middle of a change that goes on as it began.
func editing() []string {
	return []string{`package shape

// Point is a place in the plane.
type Point struct {
	X, Y float64
}

// Add returns the sum of p and q.
func (p Point) Add(q Point) Point {
	return Point{p.X + q.X, p.Y + q.Y}
}

// Sub returns the difference of p and q.
func (p Point) Sub(q Point) Point {
	return Point{p.X - q.X, p.Y - q.Y}
}

// Mul returns the product of p and k.
func (p Point) Mul(k float64) Point {
	return Point{p.X * k, p.Y * k}
}

// Div returns p divided by k.
func (p Point) Div(k float64) Point {
`, `func (k Kind) String() string {
	switch k {
	case KindBool:
		return "bool"
	case KindInt:
		return "int"
	case KindInt8:
		return "int8"
	case KindInt16:
		return "int16"
	case KindInt32:
		return "int32"
	case KindInt64:
		return "int64"
	case KindUint:
		return "uint"
	case KindUint8:
		return "uint8"
	case KindUint16:
`, `func (d *decoder) header() error {
	version, err := d.uint32()
	if err != nil {
		return fmt.Errorf("version: %w", err)
	}
	flags, err := d.uint32()
	if err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	length, err := d.uint32()
	if err != nil {
		return fmt.Errorf("length: %w", err)
	}
	offset, err := d.uint32()
	if err != nil {
		return fmt.Errorf("offset: %w", err)
	}
	count, err := d.uint32()
	if err != nil {
`, `func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}

func sum64(values []int64) int64 {
	total := int64(0)
	for _, v := range values {
		total += v
	}
	return total
}

func sumFloat(values []float64) float64 {
	total := float64(0)
	for _, v := range values {
`, `var tests = []struct {
	in   string
	want int
}{
	{"", 0},
	{"a", 1},
	{"ab", 2},
	{"abc", 3},
	{"abcd", 4},
	{"abcde", 5},
`}
}
