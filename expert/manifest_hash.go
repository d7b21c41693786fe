package expert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Progress hears how many of how many bytes are done. It is called often and
// never by two goroutines at once; it must not block. Nil is allowed.
type Progress func(done, total int64)

// hashStep is how much is hashed between two looks at the context and calls
// of Progress: about a millisecond of work.
const hashStep = 1 << 20

// The first bytes of what is hashed tell the kinds of hash apart.
const (
	trunkPrefix  = "moeswarm trunk 1\n"
	expertPrefix = "moeswarm expert 1\n"
)

// HashExpert names an expert by content. The tensors may come from anywhere;
// [Manifest] documents the layout.
func HashExpert(w Weights) Piece {
	h := newExpertHash(w)
	for _, t := range w.Tensors() {
		h.Write(t.Data)
	}
	return Piece{Hash: Digest(h.Sum(nil)), Size: w.Bytes()}
}

func newExpertHash(w Weights) hash.Hash {
	b := []byte(expertPrefix)
	for _, t := range w.Tensors() {
		b = t.appendHeader(b)
	}
	h := sha256.New()
	h.Write(b)
	return h
}

// appendHeader appends a tensor's type and shape as they are hashed.
func (t Tensor) appendHeader(b []byte) []byte {
	shape := t.Shape
	for len(shape) > 1 && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Type))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(shape)))
	for _, n := range shape {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// hashMetadata hashes the KVs that decide what is computed.
func hashMetadata(f *gguf.File) (Digest, error) {
	kvs := slices.DeleteFunc(slices.Clone(f.KVs), func(kv gguf.KV) bool { return forPeople(kv.Key) })
	slices.SortFunc(kvs, func(a, b gguf.KV) int { return cmp.Compare(a.Key, b.Key) })
	h := sha256.New()
	var b []byte
	for _, kv := range kvs {
		var err error
		if b, err = gguf.AppendKV(b[:0], kv); err != nil {
			return Digest{}, err
		}
		h.Write(b)
	}
	return Digest(h.Sum(nil)), nil
}

// forPeople reports whether a key says something about the file that does not
// change what it computes. The architecture is part of the shape.
func forPeople(key string) bool {
	for _, prefix := range []string{"general.", "split.", "quantize."} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// hashModel computes the manifest of an open model.
func hashModel(ctx context.Context, m *Model, p Progress) (*Manifest, error) {
	metadata, err := hashMetadata(m.file)
	if err != nil {
		return nil, err
	}
	out := &Manifest{Shape: m.Shape(), Metadata: metadata}
	out.Experts = make([]Piece, len(out.Shape.SparseLayers)*out.Shape.Experts)
	trunk := m.trunk()
	digests := make([]Digest, len(trunk))
	w := hashWork{progress: p}
	for i, t := range trunk {
		out.Trunk.Size += int64(len(t.Data))
		w.add(sha256.New(), &digests[i], t.Data)
	}
	for i, l := range out.Shape.SparseLayers {
		for e := range out.Shape.Experts {
			weights, err := m.weights(l, e)
			if err != nil {
				return nil, err
			}
			piece := &out.Experts[i*out.Shape.Experts+e]
			piece.Size = weights.Bytes()
			var data [][]byte
			for _, t := range weights.Tensors() {
				data = append(data, t.Data)
			}
			w.add(newExpertHash(weights), &piece.Hash, data...)
		}
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	h := sha256.New()
	io.WriteString(h, trunkPrefix)
	for i, t := range trunk {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(t.Name)))
		h.Write(t.appendHeader(append(b, t.Name...)))
		h.Write(digests[i][:])
	}
	out.Trunk.Hash = Digest(h.Sum(nil))
	return out.seal(), nil
}

// trunk lists the tensors that hold no experts, by name.
func (m *Model) trunk() []Tensor {
	stacked := make(map[string]bool)
	for _, l := range m.shape.SparseLayers {
		stacked[w1Name(l)], stacked[w2Name(l)], stacked[w3Name(l)] = true, true, true
	}
	var trunk []Tensor
	for _, t := range m.file.Tensors {
		if !stacked[t.Name] {
			tensor, _ := m.Tensor(t.Name)
			trunk = append(trunk, tensor)
		}
	}
	slices.SortFunc(trunk, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return trunk
}

// hashWork is a list of hashes to be computed on all processors.
type hashWork struct {
	jobs     []hashJob
	total    int64
	progress Progress
	next     atomic.Int64 // first job nobody has taken

	mu   sync.Mutex // guards done and calls of progress
	done int64
}

type hashJob struct {
	h    hash.Hash // already holds the header
	into *Digest
	data [][]byte
}

func (w *hashWork) add(h hash.Hash, into *Digest, data ...[]byte) {
	w.jobs = append(w.jobs, hashJob{h: h, into: into, data: data})
	for _, d := range data {
		w.total += int64(len(d))
	}
}

// run works the list off and returns when all its goroutines have ended.
func (w *hashWork) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(w.jobs)) {
		wg.Go(func() {
			for {
				i := int(w.next.Add(1)) - 1
				if i >= len(w.jobs) || !w.hash(ctx, w.jobs[i]) {
					return
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// hash does one job, and reports false when the context ended first.
func (w *hashWork) hash(ctx context.Context, j hashJob) bool {
	for _, d := range j.data {
		for step := range slices.Chunk(d, hashStep) {
			if ctx.Err() != nil {
				return false
			}
			j.h.Write(step)
			w.report(len(step))
		}
	}
	*j.into = Digest(j.h.Sum(nil))
	return true
}

func (w *hashWork) report(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += int64(n)
	if w.progress != nil {
		w.progress(w.done, w.total)
	}
}
