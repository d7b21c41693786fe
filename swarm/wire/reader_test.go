package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

// TestReaderTakesFramesInOrder: frames of all sizes, read, half read and
// skipped, over a stream that gives one byte at a time.
func TestReaderTakesFramesInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	var payloads [][]byte
	for i := range 60 {
		p := make([]byte, rnd.IntN(1<<(i%18)))
		for j := range p {
			p[j] = byte(rnd.Uint32())
		}
		payloads = append(payloads, p)
		stream = AppendPing(stream, uint64(i), p)
	}
	for name, src := range map[string]io.Reader{
		"whole":         bytes.NewReader(stream),
		"byte by byte":  iotest.OneByteReader(bytes.NewReader(stream)),
		"error and end": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := NewReader(src)
		var buf []byte
		for i, p := range payloads {
			h, err := r.Next()
			if err != nil || h.Kind != KindPing || h.ID != uint64(i) || h.Len != len(p) {
				t.Fatalf("%s: frame %d: %v, %v", name, i, h, err)
			}
			if i%3 == 0 {
				continue // skipped by Next
			}
			if buf, err = r.Body(buf); err != nil || !bytes.Equal(buf, p) {
				t.Fatalf("%s: body %d: %v", name, i, err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: %v at the end, want io.EOF itself", name, err)
		}
	}
}

// TestReaderGrowsWithWhatComes: a peer that announces 16 MiB and sends little
// does not cost much memory; one that sends it all gets it through.
func TestReaderGrowsWithWhatComes(t *testing.T) {
	head := appendHeader(nil, KindCall, 1, MaxBody(KindCall))
	spent := testing.AllocsPerRun(1, func() {
		r := NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(make([]byte, 1000))))
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, 16)
		if _, err := r.Body(buf); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v, want ErrUnexpectedEOF", err)
		}
	})
	if res := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			r := NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(make([]byte, 1000))))
			_, _ = r.Next()
			_, _ = r.Body(nil)
		}
	}); res.AllocedBytesPerOp() > 2*firstRead {
		t.Errorf("%d bytes in %v allocations for a body that never came", res.AllocedBytesPerOp(), spent)
	}
	whole := make([]byte, 3*firstRead+5)
	whole[len(whole)-1] = 7
	r := NewReader(bytes.NewReader(AppendPing(nil, 1, whole)))
	_, _ = r.Next()
	if got, err := r.Body(nil); err != nil || !bytes.Equal(got, whole) || cap(got) > 2*len(whole) {
		t.Errorf("long body: %d of %d bytes, %v", len(got), len(whole), err)
	}
}

func TestReaderFillsInPlace(t *testing.T) {
	buf := make([]byte, 0, 2*firstRead)
	r := NewReader(bytes.NewReader(AppendPing(nil, 1, make([]byte, 2*firstRead))))
	_, _ = r.Next()
	got, err := r.Body(buf)
	if err != nil || &got[0] != &buf[:1][0] {
		t.Errorf("%v, or the body lies elsewhere", err)
	}
}

func TestReaderErrors(t *testing.T) {
	frame := AppendPing(nil, 1, []byte("abc"))
	with := func(at int, b ...byte) []byte {
		f := slices.Clone(frame)
		copy(f[at:], b)
		return f
	}
	for name, row := range map[string]struct {
		stream []byte
		want   error
	}{
		"empty":         {nil, io.EOF},
		"half a header": {frame[:5], io.ErrUnexpectedEOF},
		"version":       {with(4, 1), ErrVersion},
		"short length":  {with(0, 9), ErrFormat},
		"long length":   {with(0, 1, 0, 0, 1), ErrTooLarge},
		"longest":       {with(0, 255, 255, 255, 255), ErrTooLarge},
		"long for kind": {with(5, byte(KindCancel)), ErrTooLarge},
		"kind":          {with(5, 99), ErrKind},
	} {
		if _, err := NewReader(bytes.NewReader(row.stream)).Next(); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
		if _, _, err := ParseFrame(row.stream); err == nil {
			t.Errorf("%s: ParseFrame accepts it", name)
		}
	}
	r := NewReader(bytes.NewReader(frame[:len(frame)-1]))
	_, _ = r.Next()
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("skipping a body cut off: %v", err)
	}
}

// TestReaderSkipsUnknownKinds: a newer peer may send more kinds, and the
// stream goes on.
func TestReaderSkipsUnknownKinds(t *testing.T) {
	stream := append(appendHeader(nil, 99, 5, 3), "abc"...)
	r := NewReader(bytes.NewReader(AppendCancel(stream, 6)))
	if h, err := r.Next(); !errors.Is(err, ErrKind) || h.ID != 5 {
		t.Errorf("%v, %v, want ErrKind and the id", h, err)
	}
	if h, err := r.Next(); err != nil || h.Kind != KindCancel || h.ID != 6 {
		t.Errorf("%v, %v, want the cancel after it", h, err)
	}
}

// FuzzReader: no stream of bytes makes the reader panic or loop, and what it
// takes off the stream is what ParseFrame sees.
func FuzzReader(f *testing.F) {
	f.Add(AppendCancel(AppendPing(nil, 1, []byte("abc")), 2))
	f.Add(append(appendHeader(nil, 99, 5, 3), "abc"...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := NewReader(bytes.NewReader(stream))
		rest := stream
		for {
			h, err := r.Next()
			if errors.Is(err, ErrKind) {
				rest = rest[min(len(rest), HeaderLen+h.Len):]
				continue
			}
			if err != nil {
				return
			}
			body, err := r.Body(nil)
			if err != nil {
				return
			}
			h2, body2, err := ParseFrame(rest[:HeaderLen+h.Len])
			if err != nil || h2 != h || !bytes.Equal(body, body2) {
				t.Fatalf("%v, %v and %v, %v", h, len(body), h2, err)
			}
			rest = rest[HeaderLen+h.Len:]
		}
	})
}
