package expert

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/internal/tree"
)

// Digest is the BLAKE3 of a blob.
type Digest [32]byte

// Piece is the hash and size of a part of a model that is used, and can be
// sent, on its own: of its [Blob].
type Piece struct {
	Hash Digest
	Size int64 // bytes of the blob
}

// Manifest describes a model by content, whatever its file is called and in
// whichever order it holds its tensors. Its canonical form, version 1, all
// little-endian:
//
//	magic      4 bytes  "MoEM"
//	version    u32      1
//	arch       u8 length, then that many bytes
//	layers, experts, top-k, dim, ff, vocab, context   u32 each
//	heads, key/value heads, head dim                  u32 each
//	rope base, norm epsilon                           float32 each
//	trunk      32 bytes hash, u64 size
//	sparse     u16 count, then u16 for each sparse layer, ascending
//	experts    32 bytes hash, u64 size; by layer, then by index
//
// Hashes are BLAKE3 of blobs, which the source of [Blob] describes. Left out of
// them are the keys that tell people about the file and do not change what it
// computes: general.*, split.* and quantize.*. So a renamed model is the same
// model.
type Manifest struct {
	Shape   Shape
	Trunk   Piece
	Experts []Piece // len(Shape.SparseLayers) × Shape.Experts

	id ModelID // set by seal
}

const (
	manifestMagic   = "MoEM"
	manifestVersion = 1
	// maxArchName: architecture names are short words.
	maxArchName = 64
	// MaxManifest is the size of the largest manifest the limits allow.
	MaxManifest = 4 + 4 + 1 + maxArchName + 12*4 + 40 + 2 + 2*MaxLayers + 40*MaxLayers*MaxExperts
	// maxPiece bounds a size.
	maxPiece = tree.MaxSize
)

// ID is the SHA-256 of the canonical form.
func (m *Manifest) ID() ModelID { return m.id }

// seal computes the id once all fields are set.
func (m *Manifest) seal() *Manifest {
	m.id = sha256.Sum256(m.AppendBinary(nil))
	return m
}

// Piece returns the hash and size of an expert.
func (m *Manifest) Piece(layer, index int) (Piece, bool) {
	i, ok := slices.BinarySearch(m.Shape.SparseLayers, layer)
	if !ok || index < 0 || index >= m.Shape.Experts {
		return Piece{}, false
	}
	return m.Experts[i*m.Shape.Experts+index], true
}

// IDs lists every expert of the model, by layer, then by index.
func (m *Manifest) IDs() []ID {
	ids := make([]ID, 0, len(m.Experts))
	for _, l := range m.Shape.SparseLayers {
		for e := range m.Shape.Experts {
			ids = append(ids, ID{Model: m.id, Layer: uint16(l), Index: uint16(e)})
		}
	}
	return ids
}

// Bytes is the size of all experts and the trunk together.
func (m *Manifest) Bytes() int64 {
	n := m.Trunk.Size
	for _, p := range m.Experts {
		n += p.Size
	}
	return n
}

// AppendBinary appends the canonical form.
func (m *Manifest) AppendBinary(b []byte) []byte {
	le := binary.LittleEndian
	s := m.Shape
	b = le.AppendUint32(append(b, manifestMagic...), manifestVersion)
	b = append(append(b, byte(len(s.Arch))), s.Arch...)
	for _, n := range []int{s.Layers, s.Experts, s.TopK, s.Dim, s.FF, s.Vocab, s.Context, s.Heads, s.KVHeads, s.HeadDim} {
		b = le.AppendUint32(b, uint32(n))
	}
	b = le.AppendUint32(b, math.Float32bits(s.RopeBase))
	b = le.AppendUint32(b, math.Float32bits(s.NormEps))
	b = m.Trunk.append(b)
	b = le.AppendUint16(b, uint16(len(s.SparseLayers)))
	for _, l := range s.SparseLayers {
		b = le.AppendUint16(b, uint16(l))
	}
	for _, p := range m.Experts {
		b = p.append(b)
	}
	return b
}

func (p Piece) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(b, p.Hash[:]...), uint64(p.Size))
}

// ParseManifest reads the canonical form, and nothing but it.
func ParseManifest(b []byte) (*Manifest, error) {
	m, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("model manifest: %w", err)
	}
	return m, nil
}

func parseManifest(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%d bytes long, the limit is %d", len(b), MaxManifest)
	}
	r := &manifestReader{b: b}
	if string(r.next(len(manifestMagic))) != manifestMagic {
		return nil, errors.New("not a manifest")
	}
	if v := r.u32(); v != manifestVersion {
		return nil, fmt.Errorf("version %d is unknown here (version %d is)", v, manifestVersion)
	}
	m := &Manifest{}
	s := &m.Shape
	s.Arch = string(r.next(int(r.u8())))
	for _, n := range []*int{&s.Layers, &s.Experts, &s.TopK, &s.Dim, &s.FF, &s.Vocab, &s.Context, &s.Heads, &s.KVHeads, &s.HeadDim} {
		*n = int(r.u32())
	}
	s.RopeBase = math.Float32frombits(r.u32())
	s.NormEps = math.Float32frombits(r.u32())
	m.Trunk = r.piece()
	sparse := int(r.u16())
	if sparse > MaxLayers {
		return nil, fmt.Errorf("%d sparse layers, the limit is %d", sparse, MaxLayers)
	}
	for range sparse {
		s.SparseLayers = append(s.SparseLayers, int(r.u16()))
	}
	if r.short {
		return nil, errors.New("too short")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if want := sparse * s.Experts * pieceSize; len(r.b) != want {
		return nil, fmt.Errorf("%d bytes for %d × %d experts, want %d", len(r.b), sparse, s.Experts, want)
	}
	m.Experts = make([]Piece, sparse*s.Experts)
	for i := range m.Experts {
		m.Experts[i] = r.piece()
	}
	for _, p := range append(m.Experts, m.Trunk) {
		if p.Size <= 0 || p.Size > maxPiece {
			return nil, fmt.Errorf("a part of %d bytes, want 1 to %d", p.Size, int64(maxPiece))
		}
	}
	return m.seal(), nil
}

// pieceSize is the length of a piece in the canonical form.
const pieceSize = len(Digest{}) + 8

// check reports a shape that no model has.
func (s Shape) check() error {
	if s.Arch == "" || len(s.Arch) > maxArchName {
		return errors.New("no architecture")
	}
	for _, x := range []struct {
		what    string
		n, most int
	}{
		{"layers", s.Layers, MaxLayers}, {"experts", s.Experts, MaxExperts}, {"top-k", s.TopK, s.Experts},
		{"dim", s.Dim, MaxWidth}, {"ff", s.FF, MaxWidth}, {"vocab", s.Vocab, MaxWidth}, {"context", s.Context, MaxWidth},
		{"heads", s.Heads, MaxWidth}, {"key/value heads", s.KVHeads, MaxWidth}, {"head dim", s.HeadDim, MaxWidth},
		{"sparse layers", len(s.SparseLayers), s.Layers},
	} {
		if x.n < 1 || x.n > x.most {
			return fmt.Errorf("%s is %d, want 1 to %d", x.what, x.n, x.most)
		}
	}
	for i, l := range s.SparseLayers {
		if l >= s.Layers || i > 0 && l <= s.SparseLayers[i-1] {
			return fmt.Errorf("sparse layers %v of %d are not ascending", s.SparseLayers, s.Layers)
		}
	}
	for _, x := range []float32{s.RopeBase, s.NormEps} {
		if !(x > 0 && x <= math.MaxFloat32) {
			return fmt.Errorf("%g is no rotary base or norm epsilon", x)
		}
	}
	return nil
}

// equal reports whether two models have the same shape.
func (s Shape) equal(o Shape) bool {
	return slices.Equal(s.SparseLayers, o.SparseLayers) &&
		s.Arch == o.Arch && s.Layers == o.Layers && s.Experts == o.Experts && s.TopK == o.TopK &&
		s.Dim == o.Dim && s.FF == o.FF && s.Vocab == o.Vocab && s.Context == o.Context &&
		s.Heads == o.Heads && s.KVHeads == o.KVHeads && s.HeadDim == o.HeadDim &&
		s.RopeBase == o.RopeBase && s.NormEps == o.NormEps
}

// fits reports whether the manifest can belong to a model of this shape.
func (m *Manifest) fits(s Shape) error {
	if !m.Shape.equal(s) {
		return errors.New("the manifest on record describes another model")
	}
	return nil
}

// manifestReader takes values off the front of b. Past the end it gives zeros
// and sets short.
type manifestReader struct {
	b     []byte
	short bool
}

func (r *manifestReader) next(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *manifestReader) u8() uint8      { return r.next(1)[0] }
func (r *manifestReader) u16() uint16    { return binary.LittleEndian.Uint16(r.next(2)) }
func (r *manifestReader) u32() uint32    { return binary.LittleEndian.Uint32(r.next(4)) }
func (r *manifestReader) digest() Digest { return Digest(r.next(len(Digest{}))) }
func (r *manifestReader) piece() Piece {
	return Piece{Hash: r.digest(), Size: int64(binary.LittleEndian.Uint64(r.next(8)))}
}
