package court

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const (
	// MaxRows bounds the rows of an exhibit: a lie shows in one.
	MaxRows = 4
	// MaxDim bounds their width; the widest model has 18,432.
	MaxDim = 1 << 15
	// maxPath bounds a path: 2^24 rows of output in a frame.
	maxPath = 24
	// exhibitMagic begins an exhibit, and names its version.
	exhibitMagic = "moeswarm exhibit 1\n"
)

// Errors of evidence.
var (
	// ErrUnproven: the evidence does not show that the accused said this.
	ErrUnproven = errors.New("the evidence does not prove what was said")
	// ErrForm: it is none.
	ErrForm = fmt.Errorf("%w: malformed", ErrUnproven)
)

// Exhibit is some rows of one expert's output that a holder signed, with what
// they were made of.
type Exhibit struct {
	Header ledger.Result
	Expert uint16
	Rows   []Row
}

// Row is one row of output, X and Y of the same width, and the proofs that both
// are where the header says.
type Row struct {
	Place   uint32 // among the frame's rows of output
	X, Y    []float32
	In, Out []ledger.Hash // paths
}

// Exhibit shows rows k of call i of the frame that the header is about.
func (f Frame) Exhibit(header ledger.Result, call int, rows []int) (Exhibit, error) {
	x, y := f.leaves()
	if header.Rows != uint32(len(x)) || header.Input != x.Root() || header.Output != y.Root() {
		return Exhibit{}, fmt.Errorf("%w: the header is about another frame", ErrUnproven)
	}
	first := 0
	for _, c := range f.Calls[:call] {
		first += len(c.Rows)
	}
	c := f.Calls[call]
	e := Exhibit{Header: header, Expert: c.Expert.Index}
	for _, k := range rows[:min(len(rows), MaxRows)] {
		at := first + k
		e.Rows = append(e.Rows, Row{Place: uint32(at), X: f.In.Row(int(c.Rows[k])), Y: f.Results[call].Out.Row(k), In: x.Path(at), Out: y.Path(at)})
	}
	return e, nil
}

// Check says whether the accused of a case signed these rows on this chain. The
// error wraps ErrUnproven.
func (e Exhibit) Check(chain string, c ledger.Case) error {
	h := e.Header
	call := h.Call()
	switch {
	case h.Holder != c.Accused || h.Model != c.Model || h.Epoch != c.Epoch || ledger.Sum([]byte("deed"), call[:]) != c.Evidence:
		return fmt.Errorf("%w: the header is of another case", ErrUnproven)
	case ledger.Verify(chain, h) != nil:
		return fmt.Errorf("%w: the header is not signed", ErrUnproven)
	}
	return e.prove()
}

// prove climbs from the rows to the roots of the header.
func (e Exhibit) prove() error {
	n := int(e.Header.Rows)
	if len(e.Rows) == 0 || n > 1<<maxPath {
		return fmt.Errorf("%w: %d rows of a frame of %d", ErrUnproven, len(e.Rows), n)
	}
	for i, r := range e.Rows {
		at := int(r.Place)
		if at >= n || len(r.In) != ledger.PathLen(at, n) || len(r.Out) != len(r.In) || len(r.X) != len(r.Y) || len(r.X) != len(e.Rows[0].X) || i > 0 && r.Place <= e.Rows[i-1].Place {
			return fmt.Errorf("%w: row %d", ErrUnproven, r.Place)
		}
		in := inLeaf(nil, e.Expert, sha256.Sum256(floats(nil, r.X)))
		if ledger.Climb(in, at, n, r.In) != e.Header.Input || ledger.Climb(outLeaf(nil, r.Y), at, n, r.Out) != e.Header.Output {
			return fmt.Errorf("%w: row %d is not in the header", ErrUnproven, r.Place)
		}
	}
	return nil
}

// Inputs and Outputs are the rows one behind the other.
func (e Exhibit) Inputs() (x []float32) {
	for _, r := range e.Rows {
		x = append(x, r.X...)
	}
	return x
}

// Outputs are the rows that the holder gave, one behind the other.
func (e Exhibit) Outputs() (y []float32) {
	for _, r := range e.Rows {
		y = append(y, r.Y...)
	}
	return y
}

// Encode writes the exhibit as it is named by hash and sent: magic, length of
// the header u16, header, expert u16, rows u8, width u32, and for each row
// its place u32, X and Y, little-endian floats, the length of the paths u8, and
// both paths. Other numbers are big-endian.
func (e Exhibit) Encode() []byte {
	head := ledger.Encode(&e.Header)
	b := append([]byte(exhibitMagic), 0, 0)
	binary.BigEndian.PutUint16(b[len(exhibitMagic):], uint16(len(head)))
	b = append(b, head...)
	b = binary.BigEndian.AppendUint16(b, e.Expert)
	b = append(b, uint8(len(e.Rows)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Rows[0].X)))
	for _, r := range e.Rows {
		b = binary.BigEndian.AppendUint32(b, r.Place)
		b = floats(floats(b, r.X), r.Y)
		b = append(b, uint8(len(r.In)))
		for _, h := range append(r.In[:len(r.In):len(r.In)], r.Out...) {
			b = append(b, h[:]...)
		}
	}
	return b
}

// ParseExhibit reads what Encode wrote, and nothing else. The error wraps
// ErrForm. It does not check what the exhibit proves.
func ParseExhibit(b []byte) (Exhibit, error) {
	r := reader{b: b}
	var e Exhibit
	if string(r.take(len(exhibitMagic))) != exhibitMagic {
		return e, fmt.Errorf("%w: no exhibit", ErrForm)
	}
	head := r.take(int(r.u16()))
	e.Expert = r.u16()
	n, dim := int(r.u8()), int(r.u32())
	if r.short || n == 0 || n > MaxRows || dim == 0 || dim > MaxDim {
		return e, fmt.Errorf("%w: %d rows of %d", ErrForm, n, dim)
	}
	if err := ledger.Decode(head, &e.Header); err != nil {
		return e, fmt.Errorf("%w: %w", ErrForm, err)
	}
	for range n {
		row := Row{Place: r.u32(), X: r.floats(dim), Y: r.floats(dim)}
		p := int(r.u8())
		if r.short || p > maxPath {
			return e, fmt.Errorf("%w: cut short, or a path of %d", ErrForm, p)
		}
		row.In, row.Out = r.hashes(p), r.hashes(p)
		e.Rows = append(e.Rows, row)
	}
	if r.short || len(r.b) > 0 {
		return e, fmt.Errorf("%w: of another length", ErrForm)
	}
	return e, nil
}

// reader takes bytes off the front; short once there were too few.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short = true
		return make([]byte, min(n, 8)) // for the numbers below
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

func (r *reader) floats(n int) []float32 {
	b := r.take(4 * n)
	if r.short {
		return nil
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func (r *reader) hashes(n int) []ledger.Hash {
	b := r.take(32 * n)
	if r.short || n == 0 {
		return nil
	}
	h := make([]ledger.Hash, n)
	for i := range h {
		h[i] = ledger.Hash(b[32*i:])
	}
	return h
}
