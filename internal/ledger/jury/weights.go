package jury

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/internal/gguf"
	"github.com/moeswarm/moeswarm/internal/tree"
)

// Stored is a matrix as it lies in a file. It implements [Matrix].
type Stored struct {
	in, out int
	row     int // bytes
	data    []byte
	widen   func(block []byte, dst []float64)
	values  int // of a block
	bytes   int // of a block
}

// NewStored views data as a matrix of out rows of in values.
func NewStored(t gguf.Type, in, out int, data []byte) (*Stored, error) {
	widen := wideners()[t]
	switch {
	case widen == nil:
		return nil, fmt.Errorf("%w: weights of type %v", ErrBadCase, t)
	case in <= 0 || out <= 0 || t.RowBytes(in) == 0 || len(data)%t.RowBytes(in) != 0 || len(data)/t.RowBytes(in) != out:
		return nil, fmt.Errorf("%w: a (%d, %d) matrix of %v in %d bytes", ErrBadCase, out, in, t, len(data))
	}
	return &Stored{in: in, out: out, row: t.RowBytes(in), data: data, widen: widen, values: t.BlockSize(), bytes: t.TypeSize()}, nil
}

// Size implements [Matrix].
func (s *Stored) Size() (in, out int) { return s.in, s.out }

// Row implements [Matrix].
func (s *Stored) Row(i int, dst []float64) {
	row := s.data[i*s.row : (i+1)*s.row]
	for b := 0; b*s.values < s.in; b++ {
		s.widen(row[b*s.bytes:(b+1)*s.bytes], dst[b*s.values:(b+1)*s.values])
	}
}

// tensors are the names in an expert's blob, in order; the biases may lack.
var tensors = [...]string{"w1", "w2", "w3", "b1", "b2", "b3"}

// Open reads an expert's blob, as nodes hash and send it, and checks that it is
// the one with this hash. The network refers to the blob.
func Open(blob []byte, want tree.Hash, act Activation) (Network, error) {
	got, _, err := tree.Build(bytes.NewReader(blob), int64(len(blob)))
	if err != nil {
		return Network{}, fmt.Errorf("%w: %v", ErrBadCase, err)
	}
	if got != want {
		return Network{}, fmt.Errorf("%w: the weights have hash %x, the manifest says %x", ErrBadCase, got[:6], want[:6])
	}
	f, err := gguf.Parse(bytes.NewReader(blob), int64(len(blob)))
	if err != nil {
		return Network{}, fmt.Errorf("%w: %v", ErrBadCase, err)
	}
	if n := len(f.Tensors); n != 3 && n != len(tensors) {
		return Network{}, fmt.Errorf("%w: %d tensors are no expert", ErrBadCase, n)
	}
	n := Network{Act: act}
	for i, t := range f.Tensors {
		data := blob[t.Offset : t.Offset+t.Size]
		if t.Name != tensors[i] {
			return Network{}, fmt.Errorf("%w: tensor %q in the place of %s", ErrBadCase, t.Name, tensors[i])
		}
		if i >= 3 {
			if t.Type != gguf.F32 || len(t.Shape) != 1 {
				return Network{}, fmt.Errorf("%w: biases of type %v", ErrBadCase, t.Type)
			}
			*[]*[]float32{&n.B1, &n.B2, &n.B3}[i-3] = floats(data)
			continue
		}
		if len(t.Shape) != 2 {
			return Network{}, fmt.Errorf("%w: a matrix of shape %v", ErrBadCase, t.Shape)
		}
		m, err := NewStored(t.Type, t.Shape[0], t.Shape[1], data)
		if err != nil {
			return Network{}, err
		}
		*[]*Matrix{&n.W1, &n.W2, &n.W3}[i] = m
	}
	_, _, err = n.sizes()
	return n, err
}

func floats(data []byte) []float32 {
	v := make([]float32, 0, len(data)/4)
	for c := range slices.Chunk(data, 4) {
		v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(c)))
	}
	return v
}
