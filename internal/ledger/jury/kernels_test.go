//go:build cgo

package jury

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing/audit"
)

// TestWidensAsTheKernelsDo: ggml widens to the same weights, but for the
// rounding of its 32 bits.
func TestWidensAsTheKernelsDo(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 13))
	for _, typ := range types {
		const in, out = 512, 16
		data := randomBlocks(r, typ, in*out/typ.BlockSize())
		theirs, err := ggml.NewMatrix(typ, in, out, data)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := NewStored(typ, in, out, data)
		if err != nil {
			t.Fatal(err)
		}
		a, b := make([]float64, in), make([]float32, in)
		for o := range out {
			ours.Row(o, a)
			theirs.Dequantize(o, b)
			for i := range a {
				// The terms of a difference may be larger than the difference.
				if off := math.Abs(a[i] - float64(b[i])); off > 0x1p-22*max(math.Abs(a[i]), 1) {
					t.Fatalf("%v row %d value %d: %v, ggml says %v", typ, o, i, a[i], b[i])
				}
			}
		}
	}
}

func opened(t testing.TB, m *expert.Model, id expert.ID) Network {
	t.Helper()
	w, err := m.Weights(id)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := w.Blob()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		t.Fatal(err)
	}
	piece, _ := m.Manifest().Piece(int(id.Layer), int(id.Index))
	n, err := Open(data, piece.Hash, SwiGLU)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHonestAndCheats judges the project's own kernels, honest and cheating,
// on the demo model. It is the calibration that the package comment quotes.
func TestHonestAndCheats(t *testing.T) {
	const seed, rows, samples = 14, 8, 24
	ctx := context.Background()
	m, err := expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ids := m.Manifest().IDs()
	set, err := expert.NewSet(m, ids, ggml.NewPool(2))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	found := map[string][]uint32{}
	must := map[string]bool{}
	for range samples {
		id := ids[r.IntN(len(ids))]
		n := opened(t, m, id)
		x := expert.NewBatch(rows, m.Dim())
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		call := expert.Call{Expert: id}
		for k := range rows {
			call.Rows = append(call.Rows, int32(k))
		}
		for _, way := range append([]audit.Cheat{{Name: "honest", Apply: set.Apply}}, audit.Cheats(set, seed)...) {
			got := way.Apply(ctx, x, []expert.Call{call})[0]
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			ruling, err := Judge(ctx, n, x.Data, got.Out.Data)
			if err != nil {
				t.Fatal(err)
			}
			found[way.Name] = append(found[way.Name], ruling.Error)
			must[way.Name] = way.Must
			finding := Grade(ruling.Error, DefaultTau)
			switch {
			case way.Name == "honest" && finding != ledger.Innocent:
				t.Errorf("%v: honest kernels are %v, error %.4g", id, finding, float64(ruling.Error)/Unit)
			case way.Must && finding != ledger.Guilty:
				t.Errorf("%v: %s is %v, error %.4g", id, way.Name, finding, float64(ruling.Error)/Unit)
			}
		}
	}
	for name, e := range found {
		slices.Sort(e)
		t.Logf("%-42s %.5f to %.5f, must be found: %v", name, float64(e[0])/Unit, float64(e[len(e)-1])/Unit, must[name])
	}
}

// BenchmarkJudge is a juror's work for one row of an expert of the demo model.
func BenchmarkJudge(b *testing.B) {
	m, err := expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	n := opened(b, m, m.Manifest().IDs()[0])
	x := make([]float32, m.Dim())
	for i := range x {
		x[i] = float32(i%13) - 6
	}
	for b.Loop() {
		if _, err := Judge(context.Background(), n, x, x); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzOpen: a stranger's blob makes an error or a network, never a crash.
func FuzzOpen(f *testing.F) {
	m, err := expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	if err != nil {
		f.Fatal(err)
	}
	w, err := m.Weights(m.Manifest().IDs()[0])
	if err != nil {
		f.Fatal(err)
	}
	blob, err := w.Blob()
	if err != nil {
		f.Fatal(err)
	}
	data, _ := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	f.Add(data)
	f.Add(data[:300])
	f.Add([]byte("GGUF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		h, _, err := tree.Build(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Open(data, h, SwiGLU)
		if err != nil {
			return
		}
		dim, _ := n.W1.Size()
		if _, err := n.Apply(context.Background(), Floats, make([]float32, dim)); err != nil {
			t.Fatal(err)
		}
	})
}
