package gguf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// allKinds has a value of every form.
func allKinds() []KV {
	return []KV{
		{"u8", uint8(200)}, {"i8", int8(-3)}, {"u16", uint16(60000)}, {"i16", int16(-300)},
		{"u32", uint32(4e9)}, {"i32", int32(-5)}, {"u64", uint64(1 << 63)}, {"i64", int64(-1 << 62)},
		{"f32", float32(1.5)}, {"f64", math.Pi}, {"bool", true}, {"text", "Ġ\x00\xff"}, {"", "empty key"},
		{"u8s", []uint8{1, 2}}, {"i8s", []int8{-1}}, {"u16s", []uint16{9}}, {"i16s", []int16{-9, 7}},
		{"u32s", []uint32{1 << 31}}, {"i32s", []int32{-1, 0, 1}}, {"u64s", []uint64{1 << 63}}, {"i64s", []int64{-1}},
		{"f32s", []float32{0.5, -2}}, {"f64s", []float64{1e300}}, {"bools", []bool{true, false}},
		{"texts", []string{"", "a", "\n"}}, {"none", []string{}},
	}
}

// tensor is a spec whose data are the low bytes of its name and position.
func tensor(name string, t Type, shape ...int) TensorSpec {
	return TensorSpec{Name: name, Type: t, Shape: shape, Data: func(w io.Writer) error {
		_, err := w.Write(content(name, t, shape))
		return err
	}}
}

func content(name string, t Type, shape []int) []byte {
	size, err := sizeOf(name, t, shape)
	if err != nil {
		panic(err)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ name[0]
	}
	return b
}

func allTensors() []TensorSpec {
	return []TensorSpec{
		tensor("a.weight", F32, 3),
		tensor("blk.3.ffn_up_exps.weight", Q4_K, 256, 2, 3),
		tensor("c", Q8_0, 64, 1, 1, 2),
		tensor("d", I8, 1),
	}
}

func write(t testing.TB, kvs []KV, tensors []TensorSpec) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, kvs, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(b []byte) (*File, error) { return Parse(bytes.NewReader(b), int64(len(b))) }

func TestRoundTrip(t *testing.T) {
	for _, alignTo := range []uint32{0, 1, 8, 4096} {
		kvs := allKinds()
		if alignTo != 0 {
			kvs = append(kvs, KV{"general.alignment", alignTo})
		}
		b := write(t, kvs, allTensors())
		f, err := parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(f.KVs, kvs) {
			t.Errorf("alignment %d: KVs came back as %v", alignTo, f.KVs)
		}
		for i, want := range allTensors() {
			got, ok := f.Tensor(want.Name)
			if !ok || !reflect.DeepEqual(got, f.Tensors[i]) || got.Type != want.Type || !reflect.DeepEqual(got.Shape, want.Shape) {
				t.Errorf("alignment %d: tensor %s came back as %+v", alignTo, want.Name, got)
			}
			if alignTo != 0 && got.Offset%int64(alignTo) != 0 {
				t.Errorf("tensor %s at %d is not aligned to %d", got.Name, got.Offset, alignTo)
			}
			if data := b[got.Offset : got.Offset+got.Size]; !bytes.Equal(data, content(want.Name, want.Type, want.Shape)) {
				t.Errorf("alignment %d: tensor %s has other bytes", alignTo, want.Name)
			}
		}
	}
}

// TestGolden pins the byte layout down, so that reader and writer cannot be
// wrong in the same way.
func TestGolden(t *testing.T) {
	const want = "47475546" + "03000000" + "0100000000000000" + "0200000000000000" + // magic, version, tensors, keys
		"0100000000000000" + "6b" + "04000000" + "07000000" + // k: uint32 7
		"0100000000000000" + "6c" + "09000000" + "08000000" + "0100000000000000" + "0200000000000000" + "6869" + // l: ["hi"]
		"0100000000000000" + "74" + "02000000" + "0200000000000000" + "0100000000000000" + "00000000" + "0000000000000000" + // t: F32 (2, 1) at 0
		"0000000000000000000000" + // to a multiple of 32
		"7475767770717273" + // data
		"000000000000000000000000000000000000000000000000"
	got := hex.EncodeToString(write(t, []KV{{"k", uint32(7)}, {"l", []string{"hi"}}}, []TensorSpec{tensor("t", F32, 2, 1)}))
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestGetters(t *testing.T) {
	f, err := parse(write(t, allKinds(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]uint64{"u8": 200, "u16": 60000, "u32": 4e9, "u64": 1 << 63} {
		if n, ok := f.Uint(key); !ok || n != want {
			t.Errorf("Uint(%s) = %d, %v", key, n, ok)
		}
	}
	for _, key := range []string{"i8", "i16", "i32", "i64", "f32", "text", "bool", "u8s", "absent"} {
		if n, ok := f.Uint(key); ok {
			t.Errorf("Uint(%s) = %d, want none", key, n)
		}
	}
	if s, ok := f.String("text"); !ok || s != "Ġ\x00\xff" {
		t.Errorf("String = %q, %v", s, ok)
	}
	if v, ok := f.Bool("bool"); !ok || !v {
		t.Errorf("Bool = %v, %v", v, ok)
	}
	for key, want := range map[string]float64{"f32": 1.5, "f64": math.Pi} {
		if x, ok := f.Float(key); !ok || x != want {
			t.Errorf("Float(%s) = %v, %v", key, x, ok)
		}
	}
	for key, want := range map[string][]int64{"u8s": {1, 2}, "i8s": {-1}, "u16s": {9}, "i16s": {-9, 7}, "u32s": {1 << 31}, "i32s": {-1, 0, 1}, "i64s": {-1}} {
		if n, ok := f.Ints(key); !ok || !reflect.DeepEqual(n, want) {
			t.Errorf("Ints(%s) = %v, %v", key, n, ok)
		}
	}
	if n, ok := f.Ints("u64s"); ok {
		t.Errorf("Ints(u64s) = %v, want none: it does not fit", n)
	}
	for key, want := range map[string][]float32{"f32s": {0.5, -2}, "f64s": {float32(math.Inf(1))}} {
		if x, ok := f.Floats(key); !ok || !reflect.DeepEqual(x, want) {
			t.Errorf("Floats(%s) = %v, %v", key, x, ok)
		}
	}
	if s, ok := f.Strings("texts"); !ok || len(s) != 3 {
		t.Errorf("Strings = %q, %v", s, ok)
	}
	if f.Has("absent") || !f.Has("none") {
		t.Error("Has is wrong")
	}
}

// raw builds files that Write refuses to.
type raw []byte

func start(version uint32, tensors, kvs uint64) raw {
	b := raw(binary.LittleEndian.AppendUint32(raw(magic), version))
	return b.u64(tensors).u64(kvs)
}
func (b raw) u32(n uint32) raw     { return binary.LittleEndian.AppendUint32(b, n) }
func (b raw) u64(n uint64) raw     { return binary.LittleEndian.AppendUint64(b, n) }
func (b raw) str(s string) raw     { return appendString(b, s) }
func (b raw) zeros(n int) raw      { return append(b, make([]byte, n)...) }
func (b raw) key(s string) raw     { return b.str(s) }
func (b raw) padded(data int) raw  { return b.zeros((32-len(b)%32)%32 + data) }
func (b raw) kind(t valueType) raw { return b.u32(uint32(t)) }
func (b raw) text(s string) raw    { return b.kind(typeString).str(s) }
func (b raw) name(n string) raw    { return b.str(n) }
func (b raw) dims(n ...uint64) raw { return b.u32(uint32(len(n))).each(n) }
func (b raw) each(n []uint64) raw  { return eachU64(b, n) }
func (b raw) at(t Type, o int) raw { return b.u32(uint32(t)).u64(uint64(o)) }
func eachU64(b raw, n []uint64) raw { // dimensions
	for _, x := range n {
		b = b.u64(x)
	}
	return b
}

func TestRefuses(t *testing.T) {
	one := func() raw { return start(3, 1, 0).name("w") }
	two := func() raw { return start(3, 2, 0).name("v").dims(8).at(F32, 0).name("w") }
	for _, c := range []struct {
		name string
		file []byte
		want string
		is   error
	}{
		{"empty", nil, "not a GGUF file", ErrNotGGUF},
		{"short magic", []byte("GG"), "not a GGUF file", ErrNotGGUF},
		{"zip", []byte("PK\x03\x04 and more bytes than a header has"), "not a GGUF file", ErrNotGGUF},
		{"magic alone", []byte("GGUF"), "truncated: version needs 4 bytes at byte 4, file has 4", ErrTruncated},
		{"version 1", start(1, 0, 0), "version 1 is out of use", nil},
		{"version 4", start(4, 0, 0), "version 4 is not supported", nil},
		{"big-endian", start(3<<24, 0, 0), "big-endian", nil},
		{"tensors", start(3, MaxTensors+1, 0), "65537 tensors, the limit is 65536", nil},
		{"keys", start(3, 0, 1<<60), "metadata keys, the limit is 16384", nil},
		{"long key", start(3, 0, 1).u64(MaxKey + 1), "metadata key 0 is 65536 bytes long", nil},
		{"huge key", start(3, 0, 1).u64(math.MaxUint64), "metadata key 0 is 18446744073709551615 bytes long", nil},
		{"key cut", start(3, 0, 1).u64(10).zeros(3), "truncated: metadata key 0 needs 10 bytes at byte 32, file has 35", ErrTruncated},
		{"value type", start(3, 0, 1).key("k").u32(13).u64(0), "key k has unknown value type 13", nil},
		{"value cut", start(3, 0, 1).key("k").kind(typeUint64).u32(0), "truncated: key k needs 8 bytes", ErrTruncated},
		{"huge text", start(3, 0, 1).key("k").kind(typeString).u64(1 << 62).zeros(99), "truncated: key k needs 4611686018427387904 bytes", ErrTruncated},
		{"key twice", start(3, 0, 2).key("k").text("a").key("k").text("b"), "key k occurs twice", nil},
		{"array of arrays", start(3, 0, 1).key("k").kind(typeArray).kind(typeArray).u64(1), "key k is an array of type 9", nil},
		{"huge array", start(3, 0, 1).key("k").kind(typeArray).kind(typeUint64).u64(1 << 62).zeros(64), "truncated: key k needs 18446744073709551615 bytes", ErrTruncated},
		{"many texts", start(3, 0, 1).key("k").kind(typeArray).kind(typeString).u64(9).zeros(64), "truncated: key k needs 72 bytes", ErrTruncated},
		{"odd name", start(3, 0, 1).key("a\nb").u32(13), `key "a\nb" has unknown`, nil},
		{"alignment text", start(3, 0, 1).key("general.alignment").text(strings.Repeat("x\n", 999)), "general.alignment is a string", nil},
		{"alignment 3", start(3, 0, 1).key("general.alignment").kind(typeUint32).u32(3), "general.alignment is 3", nil},
		{"alignment 0", start(3, 0, 1).key("general.alignment").kind(typeUint32).u32(0), "general.alignment is 0", nil},
		{"alignment large", start(3, 0, 1).key("general.alignment").kind(typeUint32).u32(1 << 31), "general.alignment is 2147483648", nil},
		{"long name", start(3, 1, 0).u64(MaxName + 1).zeros(999), "name of tensor 0 is 257 bytes long", nil},
		{"no dims", one().dims().at(F32, 0), "tensor w has 0 dimensions", nil},
		{"five dims", one().dims(1, 1, 1, 1, 1).at(F32, 0), "tensor w has 5 dimensions", nil},
		{"zero dim", one().dims(4, 0).at(F32, 0), "tensor w has length 0 in dimension 1", nil},
		{"wide dim", one().dims(1<<31).at(F32, 0), "tensor w has length 2147483648 in dimension 0", nil},
		{"overflow", one().dims(1<<30, 1<<30, 1<<30, 1<<30).at(F32, 0), "is too large", nil},
		{"withdrawn type", one().dims(32).at(Type(4), 0), "tensor w has unknown type 4", nil},
		{"half a block", one().dims(33).at(Q8_0, 0), "tensor w has rows of 33 values, Q8_0 needs a multiple of 32", nil},
		{"unaligned", one().dims(4).at(F32, 4).padded(64), "tensor w begins at byte 4 of the data, want a multiple of 32", nil},
		{"offset overflow", one().dims(4).at(F32, math.MaxInt64-31).padded(64), "tensor w begins at byte 9223372036854775776 of the data", nil},
		{"offset negative", one().dims(4).u32(0).u64(1 << 63), "tensor w begins at byte 9223372036854775808 of the data", nil},
		{"data cut", one().dims(4).at(F32, 32).padded(47), "truncated: tensor w ends at byte 112, file has 111", ErrTruncated},
		{"tensor twice", start(3, 2, 0).name("w").dims(8).at(F32, 0).name("w").dims(8).at(F32, 32), "tensor w occurs twice", nil},
		{"overlap", two().dims(8).at(F32, 0).padded(32), "tensors v and w overlap at byte 96", nil},
		{"table cut", two().dims(8), "truncated: tensor w needs 4 bytes", ErrTruncated},
	} {
		f, err := parse(c.file)
		if err == nil {
			t.Errorf("%s: accepted as %+v", c.name, f)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not contain %q", c.name, err, c.want)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %q is not %q", c.name, err, c.is)
		}
		checkLine(t, err)
	}
}

// checkLine fails unless the error is one short line.
func checkLine(t testing.TB, err error) {
	t.Helper()
	if s := err.Error(); strings.ContainsAny(s, "\n\r") || len(s) > 600 {
		t.Errorf("not one short line: %q", s)
	}
}

// TestClaimsCostNothing: lengths are believed only as far as there are bytes.
func TestClaimsCostNothing(t *testing.T) {
	files := []raw{
		start(3, MaxTensors, MaxKVs),
		start(3, 0, 1).key("k").kind(typeString).u64(100 << 20).zeros(64),
		start(3, 0, 1).key("k").kind(typeArray).kind(typeUint64).u64(10 << 20).zeros(64),
		start(3, 0, 1).key("k").kind(typeArray).kind(typeString).u64(10 << 20).zeros(64),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i, b := range files {
		if _, err := parse(b); err == nil {
			t.Errorf("file %d is accepted", i)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("refusing %d tiny files took %d bytes", len(files), got)
	}
}

// TestHeadLimit: a file of any size may have only so much metadata.
func TestHeadLimit(t *testing.T) {
	b := start(3, 0, 1).key("k").kind(typeArray).kind(typeUint8).u64(MaxHeader)
	_, err := Parse(zeroTail(b), 1<<40)
	if err == nil || !strings.Contains(err.Error(), "may have 134217728 bytes in all") || errors.Is(err, ErrTruncated) {
		t.Fatalf("got %v", err)
	}
}

// zeroTail reads as these bytes and zeros without end.
type zeroTail []byte

func (z zeroTail) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	if at < int64(len(z)) {
		copy(b, z[at:])
	}
	return len(b), nil
}

func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := Parse(errReader{broken}, 1000)
	if !errors.Is(err, broken) || errors.Is(err, ErrNotGGUF) {
		t.Fatalf("got %v", err)
	}
	b := write(t, allKinds(), allTensors())
	if _, err := Parse(bytes.NewReader(b[:50]), int64(len(b))); !errors.Is(err, ErrTruncated) {
		t.Fatalf("a file that shrinks: got %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// TestEveryCut: cut anywhere, the file is refused in one line. The padding
// after the last tensor is not missed.
func TestEveryCut(t *testing.T) {
	b := write(t, allKinds(), allTensors())
	f, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	last := f.Tensors[len(f.Tensors)-1]
	for n := range int(last.Offset + last.Size) {
		_, err := parse(b[:n])
		if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrNotGGUF) {
			t.Fatalf("cut at %d: got %v", n, err)
		}
		checkLine(t, err)
	}
}

// TestDamage: whatever byte of the head changes, the file is refused in one
// line or still fits itself.
func TestDamage(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 0))
	b := write(t, allKinds(), allTensors())
	f, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int(f.DataOffset) {
		for range 8 {
			damaged := bytes.Clone(b)
			damaged[i] ^= byte(1 + r.IntN(255))
			checkParse(t, damaged)
		}
	}
}

// checkParse parses and checks what a File promises.
func checkParse(t testing.TB, b []byte) {
	t.Helper()
	f, err := parse(b)
	if err != nil {
		checkLine(t, err)
		return
	}
	for _, ten := range f.Tensors {
		if ten.Offset < f.DataOffset || ten.Size <= 0 || ten.Offset+ten.Size > int64(len(b)) || (ten.Offset-f.DataOffset)%f.Alignment != 0 {
			t.Fatalf("%+v in a file of %d bytes", ten, len(b))
		}
	}
	for _, kv := range f.KVs {
		if _, err := AppendKV(nil, kv); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	whole := write(f, allKinds(), allTensors())
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(write(f, []KV{{"general.architecture", "qwen3moe"}, {"general.alignment", uint32(64)}}, allTensors()[:1]))
	f.Add([]byte(start(2, 0, 0)))
	f.Add([]byte(start(3, 0, 1).key("k").kind(typeArray).kind(typeString).u64(9).zeros(64)))
	f.Fuzz(func(t *testing.T, b []byte) { checkParse(t, b) })
}

func TestVersion2(t *testing.T) {
	b := write(t, allKinds(), allTensors())
	b[4] = 2
	f, err := parse(b)
	if err != nil || f.Version != 2 || len(f.Tensors) != 4 {
		t.Fatalf("got %+v, %v", f, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	short := TensorSpec{Name: "w", Type: F32, Shape: []int{2}, Data: func(w io.Writer) error { _, err := w.Write(make([]byte, 7)); return err }}
	long := TensorSpec{Name: "w", Type: F32, Shape: []int{2}, Data: func(w io.Writer) error { _, err := w.Write(make([]byte, 9)); return err }}
	for _, c := range []struct {
		kvs     []KV
		tensors []TensorSpec
		want    string
	}{
		{[]KV{{"k", 7}}, nil, "no form for a int"},
		{[]KV{{"general.alignment", uint32(5)}}, nil, "general.alignment is 5"},
		{nil, []TensorSpec{{Name: "w", Type: Q8_0, Shape: []int{31}}}, "needs a multiple of 32"},
		{nil, []TensorSpec{{Name: "w", Type: F32, Shape: []int{0}}}, "out of range"},
		{nil, []TensorSpec{{Name: "w", Type: F32}}, "out of range"},
		{nil, []TensorSpec{{Name: strings.Repeat("w", 999), Type: F32, Shape: []int{1}}}, "out of range"},
		{nil, []TensorSpec{short}, "1 bytes are missing"},
		{nil, []TensorSpec{long}, "more bytes than"},
	} {
		err := Write(io.Discard, c.kvs, c.tensors)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func ExampleParse() {
	var b bytes.Buffer
	_ = Write(&b, []KV{{"general.architecture", "qwen3moe"}}, []TensorSpec{tensor("output_norm.weight", F32, 4)})
	f, err := Parse(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	arch, _ := f.String("general.architecture")
	norm, _ := f.Tensor("output_norm.weight")
	fmt.Println(arch, norm.Type, norm.Shape, norm.Size)
	// Output: qwen3moe F32 [4] 16
}
