package expert

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// A model need not come from one file: OpenParts makes it of a manifest, the
// blob of the trunk if this node gates, and blobs of experts as they arrive.

// parts is the experts of a model that came as blobs.
type parts struct {
	mu      sync.RWMutex
	experts map[Slot]Weights
}

// OpenParts makes a model of a manifest and the blob of its trunk, which may be
// nil: the model then has experts only. The blob is used in place; its bytes
// must be those that the manifest names, must begin at a multiple of 32 bytes
// in memory and must not change any more. Experts are added with [Model.Take].
func OpenParts(name string, man *Manifest, trunk []byte, o Options) (*Model, error) {
	m := &Model{name: name, shape: man.Shape, release: func() error { return nil },
		parts: &parts{experts: make(map[Slot]Weights)}}
	m.manifest.m = man
	if trunk == nil {
		return m, nil
	}
	if err := m.readTrunk(aligned(trunk), o); err != nil {
		return nil, fmt.Errorf("trunk of model %s: %w", whole(name), err)
	}
	return m, nil
}

// readTrunk is read for a blob that has the trunk only.
func (m *Model) readTrunk(data []byte, o Options) error {
	f, err := gguf.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	l, err := layoutOf(f, false)
	if err != nil {
		return err
	}
	if !l.shape.equal(m.shape) {
		return errors.New("the manifest describes another model")
	}
	want := slices.DeleteFunc(l.tensors, func(w wantTensor) bool { return w.experts })
	if err := checkTensors(f, want, o.supported()); err != nil {
		return err
	}
	m.file, m.data, m.design = f, [][]byte{data}, l.design
	return nil
}

// Gates reports whether the trunk is here, so that the model can be gated. Only
// then has it a File.
func (m *Model) Gates() bool { return m.file != nil }

// Whole reports whether the model is one file with everything in it.
func (m *Model) Whole() bool { return m.parts == nil }

// Take adds an expert to a model made of parts. The blob is used in place, as
// in [OpenParts], until [Model.Forget].
func (m *Model) Take(s Slot, blob []byte, o Options) error {
	w, err := parseExpert(blob)
	if err == nil {
		err = m.checkExpert(w, o.supported())
	}
	if err != nil {
		return fmt.Errorf("layer %d expert %d of model %s: %w", s.Layer, s.Index, whole(m.name), err)
	}
	if _, ok := m.Manifest().Piece(s.Layer, s.Index); !ok || m.parts == nil {
		return fmt.Errorf("%w: layer %d expert %d is not to be added", ErrUnknownExpert, s.Layer, s.Index)
	}
	m.parts.mu.Lock()
	defer m.parts.mu.Unlock()
	m.parts.experts[s] = w
	return nil
}

// Forget removes an expert from a model made of parts. Nobody may use its
// weights any more: see [Set.Drop].
func (m *Model) Forget(s Slot) {
	m.parts.mu.Lock()
	defer m.parts.mu.Unlock()
	delete(m.parts.experts, s)
}

// Slots lists the experts whose weights are here, by layer and index.
func (m *Model) Slots() []Slot {
	if m.parts == nil {
		return SlotsOf(m.Manifest().IDs())
	}
	m.parts.mu.RLock()
	defer m.parts.mu.RUnlock()
	var slots []Slot
	for s := range m.parts.experts {
		slots = append(slots, s)
	}
	sortSlots(slots)
	return slots
}

func (p *parts) weights(s Slot) (Weights, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	w, ok := p.experts[s]
	if !ok {
		return Weights{}, fmt.Errorf("%w: expert %d of layer %d is not on this node", ErrUnknownExpert, s.Index, s.Layer)
	}
	return w, nil
}

// checkExpert compares an expert with the model's shape.
func (m *Model) checkExpert(w Weights, supported func(gguf.Type) bool) error {
	s := m.shape
	shapes := [][]int{{s.Dim, s.FF}, {s.FF, s.Dim}, {s.Dim, s.FF}, {s.FF}, {s.Dim}, {s.FF}}
	for i, t := range w.Tensors() {
		want := wantTensor{name: t.Name, shape: shapes[i]}
		if i >= 3 {
			want.kind = vector
		}
		if err := want.check(gguf.Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape}, supported); err != nil {
			return err
		}
	}
	return nil
}

// Part returns the blob with this hash, when this node has its content; ok is
// false otherwise. Its bytes are not checked against the hash.
func (m *Model) Part(hash Digest) (b *Blob, ok bool) {
	m.blobs.once.Do(func() {
		man := m.Manifest()
		m.blobs.slots = make(map[Digest]Slot, len(man.Experts))
		for i, id := range man.IDs() {
			m.blobs.slots[man.Experts[i].Hash] = Slot{int(id.Layer), int(id.Index)}
		}
		if m.Whole() {
			m.blobs.trunk, _ = m.trunkBlob() // it was laid out before, to be hashed
		}
	})
	if hash == m.Manifest().Trunk.Hash {
		return m.blobs.trunk, m.blobs.trunk != nil
	}
	s, ok := m.blobs.slots[hash]
	if !ok {
		return nil, false
	}
	w, err := m.weights(s.Layer, s.Index)
	if err != nil {
		return nil, false
	}
	b, err = w.Blob()
	return b, err == nil
}

// blobs finds parts by their hashes. It is filled on first use.
type blobs struct {
	once  sync.Once
	trunk *Blob // nil: not here as a part of a file
	slots map[Digest]Slot
}

func (o Options) supported() func(gguf.Type) bool {
	if o.Supported == nil {
		return Multiplies
	}
	return o.Supported
}
