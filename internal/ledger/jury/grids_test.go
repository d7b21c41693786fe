//go:build cgo

package jury

import (
	"encoding/binary"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// TestGrids: every entry of every table is what ggml reads for it, in blocks with
// a scale of 1 and no signs.
func TestGrids(t *testing.T) {
	if len(grids) != 2*gridsEnd {
		t.Fatalf("%d bytes of tables, want %d", len(grids), 2*gridsEnd)
	}
	const one = 0x3c00
	put := binary.LittleEndian.PutUint16
	for _, g := range []struct {
		typ      gguf.Type
		n, width int // entries, values of each
		fill     func(b []byte, slot, index int)
	}{
		{gguf.IQ2XXS, 256, 8, func(b []byte, s, i int) { put(b, one); b[2+8*(s/4)+s%4] = byte(i) }},
		{gguf.IQ2XS, 512, 8, func(b []byte, s, i int) { put(b, one); put(b[2+2*s:], uint16(i)) }},
		{gguf.IQ2S, 1024, 8, func(b []byte, s, i int) { put(b, one); b[2+s] = byte(i); b[66+s/4] |= byte(i>>8) << (2 * (s % 4)) }},
		{gguf.IQ3XXS, 256, 4, func(b []byte, s, i int) { put(b, one); b[2+s] = byte(i) }},
		{gguf.IQ3S, 512, 4, func(b []byte, s, i int) { put(b, one); b[2+s] = byte(i); b[66+s/8] |= byte(i>>8) << (s % 8) }},
		{gguf.IQ1S, 2048, 8, func(b []byte, s, i int) {
			put(b, one)
			b[2+s] = byte(i)
			h := b[34+2*(s/4):]
			put(h, binary.LittleEndian.Uint16(h)|uint16(i>>8)<<(3*(s%4)))
		}},
		{gguf.IQ1M, 2048, 8, func(b []byte, s, i int) {
			b[55] = 3 << 4 // the scale's top nibble, and no others
			b[s] = byte(i)
			b[32+s/2] |= byte(i>>8) << (4 * (s % 2))
		}},
	} {
		slots := superBlock / g.width
		for first := 0; first < g.n; first += slots {
			b := make([]byte, g.typ.TypeSize())
			for s := range slots {
				g.fill(b, s, first+s)
			}
			theirs, err := ggml.NewMatrix(g.typ, superBlock, 1, b)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := NewStored(g.typ, superBlock, 1, b)
			if err != nil {
				t.Fatal(err)
			}
			want, got := make([]float32, superBlock), make([]float64, superBlock)
			theirs.Dequantize(0, want)
			ours.Row(0, got)
			for i := range want {
				if float64(want[i]) != got[i] || want[i] == 0 {
					t.Fatalf("%v, entry %d, value %d: %v, ggml says %v", g.typ, first+i/g.width, i%g.width, got[i], want[i])
				}
			}
		}
	}
}

const superBlock = 256
