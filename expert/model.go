package expert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/moeswarm/moeswarm/internal/gguf"
	"github.com/moeswarm/moeswarm/internal/mapping"
)

// dataAlignment is what ggml's CPU kernels want of the address where a file's
// bytes begin; tensors inside are aligned by the format.
const dataAlignment = 32

// Options of [OpenModel] and [NewModel]. The zero value is good.
type Options struct {
	// Supported says which types of matrix can be multiplied; nil means
	// [Multiplies].
	Supported func(gguf.Type) bool
	// Known is the manifest, when the caller knows that it belongs to these
	// bytes. Nothing is hashed then. It is checked against the file's shape.
	Known *Manifest
	// Dense accepts a model without experts, which one node computes alone;
	// otherwise opening one fails with [ErrDense].
	Dense bool
}

// Model is a GGUF file opened in place, or the parts of one. Its methods may be
// called by several goroutines at once.
type Model struct {
	name    string
	file    *gguf.File
	data    [][]byte // of file, by part
	shape   Shape
	design  Design
	experts map[string]bool // names of the tensors that hold experts
	release func() error
	mapped  bool   // data are mappings of files
	parts   *parts // nil: all experts are in the file
	blobs   blobs

	manifest struct {
		mu sync.Mutex
		m  *Manifest // nil until hashed
	}
}

// Tensor is one tensor of a model. Data is shared, read-only memory, valid
// until the model is closed.
type Tensor struct {
	Name  string
	Type  gguf.Type
	Shape []int // ne0, the length of a row, first
	Data  []byte
}

// OpenModel maps the GGUF file at path read-only and checks it. Pages are
// read from disk when they are used, and belong to the operating system, which
// drops them when memory is short. The file must not shrink while it is open:
// touching a page that is gone ends the process. For a model split into several
// files it is enough to name one; the others lie beside it.
func OpenModel(path string, o Options) (*Model, error) {
	data, release, err := mapModel(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	m, err := newModel(path, data, o)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	m.release = release
	m.mapped = true
	return m, nil
}

// NewModel checks the GGUF file whose bytes are data, which must not change
// any more. They are used in place when they begin at a multiple of 32 bytes
// in memory, and copied once otherwise.
func NewModel(name string, data []byte, o Options) (*Model, error) {
	return newModel(name, [][]byte{aligned(data)}, o)
}

func newModel(name string, data [][]byte, o Options) (*Model, error) {
	m := &Model{name: name, data: data, release: func() error { return nil }}
	if err := m.read(o); err != nil {
		if errors.Is(err, gguf.ErrTruncated) {
			err = fmt.Errorf("%w; fetch or copy the file again", err)
		}
		return nil, fmt.Errorf("model %s: %w", whole(name), err)
	}
	return m, nil
}

func (m *Model) read(o Options) error {
	f, err := parseModel(m.data)
	if err != nil {
		return err
	}
	l, err := layoutOf(f, o.Dense)
	if err != nil {
		return err
	}
	if err := checkTensors(f, l.tensors, o.supported()); err != nil {
		return err
	}
	m.file, m.shape, m.design = f, l.shape, l.design
	m.experts = make(map[string]bool)
	for _, w := range l.tensors {
		if w.experts {
			m.experts[w.name] = true
		}
	}
	if o.Known == nil {
		return nil
	}
	if err := o.Known.fits(m.shape); err != nil {
		return err
	}
	m.manifest.m = o.Known
	return nil
}

// aligned returns data, or a copy that begins at a multiple of dataAlignment.
func aligned(data []byte) []byte {
	off := func(b []byte) int {
		return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % dataAlignment)
	}
	if off(data) == 0 {
		return data
	}
	room := make([]byte, len(data)+dataAlignment)
	start := (dataAlignment - off(room)) % dataAlignment
	copied := room[start : start+len(data) : start+len(data)]
	copy(copied, data)
	return copied
}

// Close unmaps the file. Nobody may use the model's tensors any more.
func (m *Model) Close() error { return m.release() }

// Name is the path or name the model was opened with.
func (m *Model) Name() string { return m.name }

// File is the table of contents, with all metadata; nil for a model made of
// parts without its trunk. Of one with its trunk it lists no experts.
func (m *Model) File() *gguf.File { return m.file }

// Shape says how large the model is. Every tensor was checked against it.
func (m *Model) Shape() Shape {
	s := m.shape
	s.SparseLayers = slices.Clone(s.SparseLayers)
	return s
}

// Design says how the model computes. It is shared: read only.
func (m *Model) Design() Design { return m.design }

// Layers is the number of layers, sparse or not.
func (m *Model) Layers() int { return m.shape.Layers }

// Experts is the number of experts of each sparse layer.
func (m *Model) Experts() int { return m.shape.Experts }

// TopK is the number of experts that each token row uses.
func (m *Model) TopK() int { return m.shape.TopK }

// Dim is the number of values in a row of a token batch.
func (m *Model) Dim() int { return m.shape.Dim }

// Tensor finds a tensor by its name in the file.
func (m *Model) Tensor(name string) (Tensor, bool) {
	if m.file == nil {
		return Tensor{}, false
	}
	t, ok := m.file.Tensor(name)
	if !ok {
		return Tensor{}, false
	}
	end := t.Offset + t.Size
	return Tensor{Name: t.Name, Type: t.Type, Shape: slices.Clone(t.Shape), Data: m.data[t.Part][t.Offset:end:end]}, true
}

// Weights returns one expert, as slices of the mapped file. The error wraps
// [ErrUnknownExpert].
func (m *Model) Weights(id ID) (Weights, error) {
	if id.Model != m.ID() {
		return Weights{}, fmt.Errorf("%w: model %s was asked of model %s", ErrUnknownExpert, id.Model.Short(), m.ID().Short())
	}
	return m.weights(int(id.Layer), int(id.Index))
}

func (m *Model) weights(layer, index int) (Weights, error) {
	if !slices.Contains(m.shape.SparseLayers, layer) || index >= m.shape.Experts {
		return Weights{}, fmt.Errorf("%w: the model has no expert %d in layer %d", ErrUnknownExpert, index, layer)
	}
	if m.parts != nil {
		return m.parts.weights(Slot{layer, index})
	}
	var w Weights
	if m.experts[biasName("gate", layer)] {
		w.B1, w.B2, w.B3 = m.part(biasName("gate", layer), 1, index), m.part(biasName("down", layer), 1, index), m.part(biasName("up", layer), 1, index)
	}
	switch {
	case m.experts[w1Name(layer)]:
		w.W1, w.W2, w.W3 = m.part(w1Name(layer), 2, index), m.part(w2Name(layer), 2, index), m.part(w3Name(layer), 2, index)
	case m.experts[fusedName(layer)]:
		w.W1, w.W3 = m.part(fusedName(layer), 2, index).halves()
		w.W2 = m.part(w2Name(layer), 2, index)
	default:
		w.W1, _ = m.Tensor(oneName("gate", layer, index))
		w.W2, _ = m.Tensor(oneName("down", layer, index))
		w.W3, _ = m.Tensor(oneName("up", layer, index))
	}
	return w, nil
}

// part cuts one expert's matrix, of two dimensions, or bias, of one, out of a
// stacked tensor.
func (m *Model) part(name string, dims, index int) Tensor {
	t, _ := m.Tensor(name)
	size := len(t.Data) / m.shape.Experts
	t.Data = t.Data[index*size : (index+1)*size : (index+1)*size]
	t.Shape = t.Shape[:dims:dims]
	return t
}

// halves cuts a matrix in two of half as many rows.
func (t Tensor) halves() (first, second Tensor) {
	middle := len(t.Data) / 2
	first, second = t, t
	first.Data, second.Data = t.Data[:middle:middle], t.Data[middle:]
	first.Shape = []int{t.Shape[0], t.Shape[1] / 2}
	second.Shape = slices.Clone(first.Shape)
	return first, second
}

// Identify hashes the file, on all processors, unless that was done before.
// Call it before [Model.ID] where an answer must not keep somebody waiting
// without a word: some gigabytes take seconds.
func (m *Model) Identify(ctx context.Context, p Progress) (*Manifest, error) {
	m.manifest.mu.Lock()
	defer m.manifest.mu.Unlock()
	if m.manifest.m == nil {
		manifest, err := hashModel(ctx, m, p)
		if err != nil {
			return nil, fmt.Errorf("hash model %s: %w", whole(m.name), err)
		}
		m.manifest.m = manifest
		if m.mapped { // of a holder of some experts the rest is not needed again
			for _, b := range m.data {
				mapping.Leave(b)
			}
		}
	}
	return m.manifest.m, nil
}

// Manifest returns the canonical description, hashing the file when
// [Model.Identify] was not called before. It is shared: read only.
func (m *Model) Manifest() *Manifest {
	// Only a cancelled context can make Identify fail.
	manifest, _ := m.Identify(context.Background(), nil)
	return manifest
}

// ID names the model by content. Like Manifest it may hash on first use.
func (m *Model) ID() ModelID { return m.Manifest().ID() }
