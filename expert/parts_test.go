package expert_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// blob reads a part of a model, as a peer would get it.
func blob(t testing.TB, m *expert.Model, p expert.Piece) []byte {
	t.Helper()
	b, ok := m.Part(p.Hash)
	if !ok || b.Size() != p.Size {
		t.Fatalf("no part %x of %d bytes", p.Hash, p.Size)
	}
	data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPartsMakeTheModel: a model put together from its parts is the model, bit
// for bit.
func TestPartsMakeTheModel(t *testing.T) {
	whole := open(t, demo.GGUF())
	man := whole.Manifest()
	m, err := expert.OpenParts("parts", man, blob(t, whole, man.Trunk), expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !m.Gates() || m.Whole() || !whole.Whole() || m.ID() != whole.ID() || len(m.Slots()) != 0 {
		t.Errorf("gates %v, whole %v, id %v, experts %v", m.Gates(), m.Whole(), m.ID(), m.Slots())
	}
	for _, x := range m.File().Tensors {
		a, _ := m.Tensor(x.Name)
		b, ok := whole.Tensor(x.Name)
		if !ok || a.Type != b.Type || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
			t.Fatalf("tensor %s is another", x.Name)
		}
	}
	for i, id := range man.IDs() {
		s := expert.SlotsOf([]expert.ID{id})[0]
		if _, err := m.Weights(id); !errors.Is(err, expert.ErrUnknownExpert) {
			t.Fatalf("%v before it came: %v", id, err)
		}
		if _, ok := m.Part(man.Experts[i].Hash); ok {
			t.Fatalf("%v has a part before it came", id)
		}
		if err := m.Take(s, blob(t, whole, man.Experts[i]), expert.Options{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(blob(t, m, man.Experts[i]), blob(t, whole, man.Experts[i])) {
			t.Fatalf("%v is passed on as something else", id)
		}
	}
	pool := ggml.NewPool(1)
	a, err := expert.NewSet(whole, man.IDs(), pool)
	if err != nil {
		t.Fatal(err)
	}
	b, err := expert.NewSet(m, man.IDs(), pool)
	if err != nil {
		t.Fatal(err)
	}
	in := experttest.Batch(1, 3, m.Dim())
	for _, id := range man.IDs() {
		calls := []expert.Call{{Expert: id, Rows: []int32{0, 2}}}
		want, got := a.Apply(t.Context(), in, calls)[0], b.Apply(t.Context(), in, calls)[0]
		if want.Err != nil || got.Err != nil || !slices.Equal(want.Out.Data, got.Out.Data) {
			t.Fatalf("%v computes something else: %v, %v", id, want.Err, got.Err)
		}
	}
	if a.Bytes() != b.Bytes() || !slices.Equal(a.IDs(), b.IDs()) {
		t.Errorf("%d and %d bytes", a.Bytes(), b.Bytes())
	}
}

// TestTakeRefuses: a blob that is no expert of this model, or damaged in its
// head, is an error and nothing else.
func TestTakeRefuses(t *testing.T) {
	const seed = 3
	whole := open(t, tinyFile(t, "Q8_0"))
	man := whole.Manifest()
	trunk := blob(t, whole, man.Trunk)
	m, err := expert.OpenParts("parts", man, nil, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Gates() || m.File() != nil {
		t.Error("a trunk from nowhere")
	}
	good := blob(t, whole, man.Experts[0])
	other := open(t, smallFile(t, "F32"))
	for name, b := range map[string][]byte{
		"empty": nil, "the trunk": trunk, "cut": good[:len(good)-1], "another model's": blob(t, other, other.Manifest().Experts[0]),
	} {
		if err := m.Take(expert.Slot{}, b, expert.Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			oneLine(t, err)
		}
	}
	if err := m.Take(expert.Slot{Layer: 7}, good, expert.Options{}); !errors.Is(err, expert.ErrUnknownExpert) {
		t.Errorf("got %v", err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		bad := bytes.Clone(good)
		bad[r.IntN(200)] ^= byte(1 + r.IntN(255))
		_ = m.Take(expert.Slot{}, bad, expert.Options{})
		bad = bytes.Clone(trunk)
		bad[r.IntN(2000)] ^= byte(1 + r.IntN(255))
		_, _ = expert.OpenParts("parts", man, bad, expert.Options{})
	}
}

// TestSetChanges: experts come and go while calls run; a call computes or is
// refused, and none uses weights after Drop has returned.
func TestSetChanges(t *testing.T) {
	whole := open(t, tinyFile(t, "Q8_0"))
	man := whole.Manifest()
	m, err := expert.OpenParts("parts", man, nil, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := expert.NewSet(m, nil, ggml.NewPool(2))
	if err != nil {
		t.Fatal(err)
	}
	ids := man.IDs()[:4]
	if err := set.Hold(ids); !errors.Is(err, expert.ErrUnknownExpert) {
		t.Errorf("experts that are not here: %v", err)
	}
	in := experttest.Batch(1, 2, m.Dim())
	calls := []expert.Call{{Expert: ids[0], Rows: []int32{0}}, {Expert: ids[1], Rows: []int32{1}}}
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for ctx.Err() == nil {
				for _, r := range set.Apply(context.Background(), in, calls) {
					if r.Err != nil && !errors.Is(r.Err, expert.ErrUnknownExpert) {
						t.Error(r.Err)
						return
					}
				}
			}
		})
	}
	for range 50 {
		copies := make([][]byte, len(ids))
		for i, s := range expert.SlotsOf(ids) {
			copies[i] = blob(t, whole, man.Experts[i])
			if err := m.Take(s, copies[i], expert.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := set.Hold(ids); err != nil {
			t.Fatal(err)
		}
		if !set.Holds(ids[0]) || set.Bytes() == 0 || len(set.IDs()) != 4 {
			t.Fatal("not held")
		}
		set.Drop(ids)
		for i, s := range expert.SlotsOf(ids) {
			m.Forget(s)
			clear(copies[i]) // under -race, a reader that is left is told of
		}
		if set.Holds(ids[0]) || set.Bytes() != 0 {
			t.Fatal("still held")
		}
	}
	stop()
	callers.Wait()
}

func FuzzTake(f *testing.F) {
	whole := open(f, smallFile(f, "F32"))
	man := whole.Manifest()
	f.Add(blob(f, whole, man.Experts[0]))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := expert.OpenParts("parts", man, nil, expert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Take(expert.Slot{}, b, expert.Options{}) != nil {
			return
		}
		if _, err := expert.NewSet(m, man.IDs()[:1], ggml.NewPool(1)); err != nil {
			t.Fatal(err)
		}
	})
}
