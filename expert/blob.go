package expert

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/moeswarm/moeswarm/internal/gguf"
	"github.com/moeswarm/moeswarm/internal/tree"
)

// A model travels as blobs, one for the trunk and one for each expert. A blob
// is a GGUF file in canonical form, so whoever has it maps it and computes:
//
//   - the trunk's has all metadata that decides what is computed, sorted by
//     key, with general.architecture, and every tensor that holds no experts,
//     sorted by name;
//   - an expert's has no metadata and the tensors w1, w2, w3 and, where the
//     architecture has biases, b1, b2, b3.
//
// Shapes are written without trailing ones, data is aligned to 32 bytes. Equal
// content gives equal bytes, whichever file it came from.

// Blob is the bytes of a part of a model, which lie where they lie: head and
// padding in memory, tensors in the mapping of the model's file. It is
// read-only and may be read by several goroutines.
type Blob struct {
	parts []blobPart // by offset, without gaps
	size  int64
}

type blobPart struct {
	at   int64
	data []byte // zeros of that length when nil
	end  int64
}

// Size is the number of bytes.
func (b *Blob) Size() int64 { return b.size }

// ReadAt implements io.ReaderAt.
func (b *Blob) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("read of a blob before its beginning")
	}
	i := sort.Search(len(b.parts), func(i int) bool { return b.parts[i].end > off })
	for ; n < len(p) && i < len(b.parts); i++ {
		part := b.parts[i]
		from := off + int64(n) - part.at
		if part.data == nil {
			k := min(len(p)-n, int(part.end-part.at-from))
			clear(p[n : n+k])
			n += k
			continue
		}
		n += copy(p[n:], part.data[from:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// newBlob lays out a GGUF file over tensors that are in memory.
func newBlob(kvs []gguf.KV, tensors []Tensor) (*Blob, error) {
	specs := make([]gguf.TensorSpec, len(tensors))
	for i, t := range tensors {
		shape := t.Shape
		for len(shape) > 1 && shape[len(shape)-1] == 1 {
			shape = shape[:len(shape)-1]
		}
		specs[i] = gguf.TensorSpec{Name: t.Name, Type: t.Type, Shape: shape}
	}
	head, offsets, size, err := gguf.Plan(kvs, specs)
	if err != nil {
		return nil, err
	}
	b := &Blob{size: size}
	b.add(head)
	for i, t := range tensors {
		b.pad(offsets[i])
		b.add(t.Data)
	}
	b.pad(size)
	return b, nil
}

func (b *Blob) end() int64 {
	if len(b.parts) == 0 {
		return 0
	}
	return b.parts[len(b.parts)-1].end
}

func (b *Blob) add(data []byte) {
	b.parts = append(b.parts, blobPart{at: b.end(), data: data, end: b.end() + int64(len(data))})
}

func (b *Blob) pad(to int64) {
	if to > b.end() {
		b.parts = append(b.parts, blobPart{at: b.end(), end: to})
	}
}

// Blob is the form in which an expert is hashed and sent.
func (w Weights) Blob() (*Blob, error) {
	tensors := w.Tensors()
	for i := range tensors {
		tensors[i].Name = expertTensors[i]
	}
	return newBlob(nil, tensors)
}

// expertTensors names the tensors of an expert's blob, as Weights.Tensors
// orders them.
var expertTensors = [...]string{"w1", "w2", "w3", "b1", "b2", "b3"}

// parseExpert reads an expert's blob in place.
func parseExpert(data []byte) (Weights, error) {
	f, err := gguf.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return Weights{}, err
	}
	if n := len(f.Tensors); len(f.KVs) != 0 || n != 3 && n != 6 {
		return Weights{}, fmt.Errorf("%d keys and %d tensors are no expert", len(f.KVs), n)
	}
	var w Weights
	for i, to := range []*Tensor{&w.W1, &w.W2, &w.W3, &w.B1, &w.B2, &w.B3}[:len(f.Tensors)] {
		t := f.Tensors[i]
		if t.Name != expertTensors[i] {
			return Weights{}, fmt.Errorf("tensor %s in the place of %s", plain(t.Name), expertTensors[i])
		}
		*to = Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Data: data[t.Offset : t.Offset+t.Size : t.Offset+t.Size]}
	}
	return w, nil
}

// trunkBlob is the form in which the trunk of an open file is hashed and sent.
func (m *Model) trunkBlob() (*Blob, error) {
	kvs := slices.DeleteFunc(slices.Clone(m.file.KVs), func(kv gguf.KV) bool { return forPeople(kv.Key) })
	kvs = append(kvs, gguf.KV{Key: "general.architecture", Value: m.shape.Arch})
	slices.SortFunc(kvs, func(a, b gguf.KV) int { return cmp.Compare(a.Key, b.Key) })
	return newBlob(kvs, m.trunk())
}

// forPeople reports whether a key says something about the file that does not
// change what it computes. The architecture is put in from the shape.
func forPeople(key string) bool {
	for _, prefix := range []string{"general.", "split.", "quantize."} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// pieceOf hashes a blob.
func pieceOf(b *Blob, r io.Reader) (Piece, error) {
	h, _, err := tree.Build(r, b.size)
	return Piece{Hash: h, Size: b.size}, err
}
