package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// readBuffer holds a few small frames, so that a burst of them costs one
	// read of the stream. Larger bodies go past it, straight to their place.
	readBuffer = 16 << 10
	// firstRead is the most memory a body gets before any of its bytes have
	// come. A frame of 32 rows of 2048 floats fits; a longer one grows by
	// doubling as it arrives, so a peer that announces much and sends little
	// costs little.
	firstRead = 256 << 10
)

// Reader takes frames off a stream. It is for one goroutine.
type Reader struct {
	r    *bufio.Reader
	left int // bytes of the present body not yet read
}

// NewReader returns a Reader that reads frames from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, readBuffer)} }

// Next skips what is left of the present frame and reads the next header. It
// returns io.EOF at a clean end between frames. With [ErrKind] the header is
// valid and Next may be called again; any other error ends the stream.
func (r *Reader) Next() (Header, error) {
	if err := r.skip(); err != nil {
		return Header{}, err
	}
	b, err := r.r.Peek(HeaderLen)
	if err != nil {
		if errors.Is(err, io.EOF) && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, err
	}
	h, err := parseHeader(b)
	if err != nil && !errors.Is(err, ErrKind) {
		return Header{}, err
	}
	_, _ = r.r.Discard(HeaderLen) // cannot fail: the bytes are buffered
	r.left = h.Len
	return h, err
}

// Body reads the body of the present frame into buf's memory, or into new
// memory where buf has too little, and returns it. Pass a buf of capacity
// [Header].Len where the size is known to be right: it is filled in place.
func (r *Reader) Body(buf []byte) ([]byte, error) {
	n := r.left
	buf = buf[:0]
	if cap(buf) < min(n, firstRead) {
		buf = make([]byte, 0, min(n, firstRead))
	}
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(len(buf), n-len(buf)))
		}
		end := min(cap(buf), n)
		k, err := io.ReadFull(r.r, buf[len(buf):end])
		buf = buf[:len(buf)+k]
		r.left -= k
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("body cut off after %d of %d bytes: %w", len(buf), n, err)
		}
	}
	return buf, nil
}

// skip reads past the rest of the present body.
func (r *Reader) skip() error {
	n, err := r.r.Discard(r.left)
	r.left -= n
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
