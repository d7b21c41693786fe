package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// WantKind says what is wanted of a blob.
type WantKind uint8

// The kinds. A hash names a blob, for WantManifest the hash is the model id.
const (
	WantManifest WantKind = iota // bytes of a model's manifest
	WantTree                     // the tree above a blob's chunks, whole
	WantChunk                    // bytes of a blob
)

// Want asks for part of what a model is made of.
type Want struct {
	Kind   WantKind
	Hash   expert.Digest
	Offset int64
	Length int // 1 to [MaxRange]; 0 for a tree
}

// Blob answers a want.
type Blob struct {
	Size int64  // of the whole manifest, tree or blob
	Data []byte // a view into the body
}

const (
	wantFixed = 1 + 3 + 32 + 8 + 4
	blobFixed = 8
	// maxBlobSize: sizes are whole numbers with a sign elsewhere.
	maxBlobSize = 1 << 40
)

// AppendWant appends a want frame.
func AppendWant(b []byte, id uint64, w Want) []byte {
	b = appendHeader(b, KindWant, id, wantFixed)
	b = append(b, uint8(w.Kind), 0, 0, 0)
	b = append(b, w.Hash[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(w.Offset))
	return binary.LittleEndian.AppendUint32(b, uint32(w.Length))
}

// ParseWant reads a want frame's body. An error wraps [ErrFormat].
func ParseWant(body []byte) (Want, error) {
	k := cursor{b: body}
	w := Want{Kind: WantKind(k.u8())}
	reserved := k.take(3)
	copy(w.Hash[:], k.take(len(w.Hash)))
	offset, length := k.u64(), k.u32()
	w.Offset, w.Length = int64(offset), int(length)
	switch {
	case k.short || len(k.b) > 0 || reserved[0]|reserved[1]|reserved[2] != 0:
		return Want{}, fmt.Errorf("%w: want of %d bytes", ErrFormat, len(body))
	case w.Kind > WantChunk:
		return Want{}, fmt.Errorf("%w: want of kind %d", ErrFormat, w.Kind)
	case offset > maxBlobSize, length > MaxRange, (length == 0) != (w.Kind == WantTree), w.Kind == WantTree && offset != 0:
		return Want{}, fmt.Errorf("%w: %d bytes wanted at %d", ErrFormat, length, offset)
	}
	return w, nil
}

// BlobHeader is the length of a blob frame before its data.
const BlobHeader = HeaderLen + blobFixed

// AppendBlob appends a blob frame.
func AppendBlob(b []byte, id uint64, x Blob) []byte {
	b = slices.Grow(b, BlobHeader+len(x.Data))
	return append(appendBlobHeader(b, id, x.Size, len(x.Data)), x.Data...)
}

// PutBlobHeader writes the first [BlobHeader] bytes of a blob frame into b, for
// who has n bytes of data behind them.
func PutBlobHeader(b []byte, id uint64, size int64, n int) {
	appendBlobHeader(b[:0:BlobHeader], id, size, n)
}

func appendBlobHeader(b []byte, id uint64, size int64, n int) []byte {
	b = appendHeader(b, KindBlob, id, blobFixed+n)
	return binary.LittleEndian.AppendUint64(b, uint64(size))
}

// ParseBlob reads a blob frame's body. An error wraps [ErrFormat].
func ParseBlob(body []byte) (Blob, error) {
	k := cursor{b: body}
	size := k.u64()
	if k.short || size > maxBlobSize || uint64(len(k.b)) > size {
		return Blob{}, fmt.Errorf("%w: blob of %d bytes", ErrFormat, len(body))
	}
	return Blob{Size: int64(size), Data: k.b}, nil
}

// ReadBlob reads the body of a blob frame whose header was read: its data into
// buf's memory, or into new memory where buf has too little. An error that wraps
// [ErrFormat] is the sender's fault.
func (r *Reader) ReadBlob(buf []byte) (Blob, error) {
	var fixed [blobFixed]byte
	n := min(r.left, blobFixed)
	k, err := io.ReadFull(r.r, fixed[:n])
	r.left -= k
	if err != nil {
		return Blob{}, fmt.Errorf("body cut off after %d bytes: %w", k, err)
	}
	left := r.left
	b, err := ParseBlob(fixed[:n])
	switch {
	case err != nil:
		return Blob{}, err
	case int64(left) > b.Size:
		return Blob{}, fmt.Errorf("%w: %d bytes of a blob of %d", ErrFormat, left, b.Size)
	}
	b.Data, err = r.Body(buf)
	return b, err
}
