package expert_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lukechampine.com/blake3"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// demoID pins the canonical form down: if it changes, nodes of different
// versions no longer agree on which model is which.
const demoID = "13f6dd702affa67e302a30f4a01425998693f02e924215e7da8df0ff3980886d"

func TestDemoID(t *testing.T) {
	if got := open(t, demo.GGUF()).ID().String(); got != demoID {
		t.Errorf("got %s, want %s", got, demoID)
	}
}

// TestManifestGolden writes the canonical form by hand, from the layout in the
// documentation.
func TestManifestGolden(t *testing.T) {
	tiny := tinyFile(t, "Q8_0")
	m := open(t, tiny)
	le := binary.LittleEndian
	b := append([]byte("MoEM"), 1, 0, 0, 0, 8)
	b = append(b, "qwen3moe"...)
	for _, n := range []uint32{2, 8, 2, 256, 256, 300, 1024, 4, 2, 64, math.Float32bits(1e6), math.Float32bits(1e-6)} {
		b = le.AppendUint32(b, n)
	}
	hash, size := slowTrunk(t, m)
	b = le.AppendUint64(append(b, hash...), uint64(size))
	b = append(b, 2, 0, 0, 0, 1, 0)
	for layer := range 2 {
		for index := range 8 {
			hash, size := slowExpert(t, m, layer, index)
			b = le.AppendUint64(append(b, hash...), uint64(size))
		}
	}
	got := m.Manifest().AppendBinary(nil)
	if !bytes.Equal(got, b) {
		t.Errorf("got\n%s\nwant\n%s", hex.EncodeToString(got), hex.EncodeToString(b))
	}
	if want := expert.ModelID(sha256.Sum256(b)); m.ID() != want {
		t.Errorf("id %v, want %v", m.ID(), want)
	}
}

// slowTrunk and slowExpert write the blobs as GGUF files, front to back.
func slowTrunk(t *testing.T, m *expert.Model) (hash []byte, size int) {
	kvs := slices.DeleteFunc(slices.Clone(m.File().KVs), func(kv gguf.KV) bool { return strings.HasPrefix(kv.Key, "general.") })
	kvs = append(kvs, gguf.KV{Key: "general.architecture", Value: "qwen3moe"})
	slices.SortFunc(kvs, func(a, b gguf.KV) int { return strings.Compare(a.Key, b.Key) })
	var specs []gguf.TensorSpec
	for _, x := range m.File().Tensors {
		if !strings.Contains(x.Name, "_exps.") {
			x, _ := m.Tensor(x.Name)
			specs = append(specs, spec(x.Name, x.Type, x.Shape, x.Data))
		}
	}
	slices.SortFunc(specs, func(a, b gguf.TensorSpec) int { return strings.Compare(a.Name, b.Name) })
	return slowBlob(t, kvs, specs)
}

func slowExpert(t *testing.T, m *expert.Model, layer, index int) (hash []byte, size int) {
	var specs []gguf.TensorSpec
	for i, part := range []string{"gate", "down", "up"} {
		x, _ := m.Tensor("blk." + string(rune('0'+layer)) + ".ffn_" + part + "_exps.weight")
		n := len(x.Data) / x.Shape[2]
		specs = append(specs, spec([]string{"w1", "w2", "w3"}[i], x.Type, x.Shape[:2], x.Data[index*n:(index+1)*n]))
	}
	return slowBlob(t, nil, specs)
}

func slowBlob(t *testing.T, kvs []gguf.KV, specs []gguf.TensorSpec) (hash []byte, size int) {
	var b bytes.Buffer
	if err := gguf.Write(&b, kvs, specs); err != nil {
		t.Fatal(err)
	}
	sum := blake3.Sum256(b.Bytes())
	return sum[:], b.Len()
}

// TestSameModel: what does not change the computation does not change the id.
func TestSameModel(t *testing.T) {
	tiny := tinyFile(t, "Q8_0")
	want := open(t, tiny).ID()
	for name, change := range map[string]func(*contents){
		"renamed":   func(c *contents) { c.set("general.name", "My Model"); c.set("general.author", "me") },
		"imatrix":   func(c *contents) { c.set("quantize.imatrix.file", "imatrix.dat") },
		"reordered": func(c *contents) { slices.Reverse(c.kvs); slices.Reverse(c.tensors) },
		"aligned":   func(c *contents) { c.set("general.alignment", uint32(4096)) },
	} {
		parts := takeApart(t, tiny)
		change(parts)
		if got := open(t, parts.join(t)).ID(); got != want {
			t.Errorf("%s: another id", name)
		}
	}
}

// TestOtherModel: each part of the model decides the part of the manifest
// that names it, and so the id.
func TestOtherModel(t *testing.T) {
	tiny := tinyFile(t, "Q8_0")
	was := open(t, tiny).Manifest()
	changed := func(change func(*contents)) *expert.Manifest {
		parts := takeApart(t, tiny)
		change(parts)
		m := open(t, parts.join(t)).Manifest()
		if m.ID() == was.ID() {
			t.Error("the same id")
		}
		return m
	}
	if m := changed(func(c *contents) { c.set("qwen3moe.rope.freq_base", float32(5e5)) }); m.Trunk == was.Trunk || !slices.Equal(m.Experts, was.Experts) {
		t.Error("a key changes more or less than the trunk")
	}
	if m := changed(func(c *contents) { c.set("tokenizer.chat_template", "x") }); m.Trunk == was.Trunk {
		t.Error("the chat template does not count")
	}
	if m := changed(func(c *contents) { c.replace("output_norm.weight", gguf.F32, 256) }); m.Trunk == was.Trunk || !slices.Equal(m.Experts, was.Experts) {
		t.Error("a norm changes more or less than the trunk hash")
	}
	// One byte of one expert, the last of W2 of layer 1, expert 5.
	data := bytes.Clone(tiny)
	f := open(t, data).File()
	w2, _ := f.Tensor("blk.1.ffn_down_exps.weight")
	data[w2.Offset+w2.Size/8*6-1] ^= 1
	m := open(t, data).Manifest()
	for _, id := range was.IDs() {
		a, _ := was.Piece(int(id.Layer), int(id.Index))
		b, _ := m.Piece(int(id.Layer), int(id.Index))
		if (a == b) == (id.Layer == 1 && id.Index == 5) {
			t.Errorf("%v: %x was %x", id, b.Hash, a.Hash)
		}
	}
	if m.Trunk != was.Trunk || m.ID() == was.ID() {
		t.Error("an expert changed the trunk or not the id")
	}
}

// TestPieces: the hash of a piece is that of the expert's weights, wherever
// they came from.
func TestPieces(t *testing.T) {
	m := open(t, demo.GGUF())
	for _, id := range m.Manifest().IDs() {
		w, err := m.Weights(id)
		if err != nil {
			t.Fatal(err)
		}
		w.W1.Name, w.W1.Data = "", bytes.Clone(w.W1.Data)
		if p, ok := m.Manifest().Piece(int(id.Layer), int(id.Index)); !ok || p != hashed(t, w) {
			t.Errorf("%v: %v, %+v", id, ok, p)
		}
	}
	for _, at := range [][2]int{{4, 0}, {-1, 0}, {0, 16}, {0, -1}} {
		if p, ok := m.Manifest().Piece(at[0], at[1]); ok {
			t.Errorf("layer %d expert %d has piece %+v", at[0], at[1], p)
		}
	}
}

func hashed(t *testing.T, w expert.Weights) expert.Piece {
	p, err := expert.HashExpert(w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseManifest(t *testing.T) {
	want := open(t, demo.GGUF()).Manifest()
	b := want.AppendBinary(nil)
	got, err := expert.ParseManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != want.ID() || !bytes.Equal(got.AppendBinary(nil), b) || got.Bytes() != want.Bytes() {
		t.Error("another manifest came back")
	}
	for n := range b {
		if _, err := expert.ParseManifest(b[:n]); err == nil {
			t.Fatalf("cut at %d: accepted", n)
		}
	}
	if _, err := expert.ParseManifest(append(bytes.Clone(b), 0)); err == nil {
		t.Error("a byte too many: accepted")
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 200 {
		damaged := bytes.Clone(b)
		damaged[i] ^= byte(1 + r.IntN(255))
		checkManifest(t, damaged)
	}
	for change, want := range map[string]string{
		"MoEX": "not a manifest", "MoEM\x02\x00\x00\x00": "version 2 is unknown here",
	} {
		damaged := append([]byte(change), b[len(change):]...)
		if _, err := expert.ParseManifest(damaged); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := expert.ParseManifest(make([]byte, expert.MaxManifest+1)); err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("got %v", err)
	}
}

// checkManifest parses; what is accepted must be the canonical form.
func checkManifest(t testing.TB, b []byte) {
	t.Helper()
	m, err := expert.ParseManifest(b)
	if err != nil {
		oneLine(t, err)
		return
	}
	if !bytes.Equal(m.AppendBinary(nil), b) {
		t.Fatalf("%x is accepted but not canonical", b)
	}
	for _, id := range m.IDs() {
		if p, ok := m.Piece(int(id.Layer), int(id.Index)); !ok || p.Size <= 0 {
			t.Fatalf("%v has piece %+v", id, p)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(open(f, demo.GGUF()).Manifest().AppendBinary(nil))
	b := open(f, tinyFile(f, "Q8_0")).Manifest().AppendBinary(nil)
	f.Add(b)
	f.Add(b[:len(b)-40])
	f.Fuzz(func(t *testing.T, b []byte) { checkManifest(t, b) })
}

// TestShares: every expert is in one share, each layer of a share is one run,
// and the shares are as even as experts allow.
func TestShares(t *testing.T) {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		m := &expert.Manifest{Shape: expert.Shape{Experts: 1 + r.IntN(40)}}
		var largest int64
		for l := range 1 + r.IntN(8) {
			m.Shape.SparseLayers = append(m.Shape.SparseLayers, 2*l)
			size := int64(1 + r.IntN(1000))
			largest = max(largest, size)
			for range m.Shape.Experts {
				m.Experts = append(m.Experts, expert.Piece{Size: size})
			}
		}
		n := 1 + r.IntN(50)
		shares := m.Shares(n)
		if len(shares) != n {
			t.Fatalf("seed %d: %d shares, want %d", seed, len(shares), n)
		}
		checkShares(t, m, shares, largest)
	}
	if got := (&expert.Manifest{}).Shares(0); got != nil {
		t.Errorf("no shares: got %v", got)
	}
}

func checkShares(t *testing.T, m *expert.Manifest, shares [][]expert.Slot, largest int64) {
	t.Helper()
	seen := make(map[expert.Slot]bool)
	least, most := int64(math.MaxInt64), int64(0)
	for _, share := range shares {
		var bytes int64
		for i, s := range share {
			if seen[s] {
				t.Fatalf("%v is in two shares", s)
			}
			seen[s] = true
			if i > 0 && share[i-1].Layer == s.Layer && share[i-1].Index != s.Index-1 {
				t.Fatalf("share %v has a gap", share)
			}
			p, ok := m.Piece(s.Layer, s.Index)
			if !ok {
				t.Fatalf("%v is no expert of the model", s)
			}
			bytes += p.Size
		}
		least, most = min(least, bytes), max(most, bytes)
	}
	if len(seen) != len(m.Experts) || most-least > largest {
		t.Fatalf("%d of %d experts, shares of %d to %d bytes with experts of up to %d", len(seen), len(m.Experts), least, most, largest)
	}
}
