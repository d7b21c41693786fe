package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const magic = "GGUF"

// readBuffer is large enough that a vocabulary of 150,000 short strings costs
// some tens of reads of the file.
const readBuffer = 256 << 10

// Parse reads the table of contents of the GGUF file of size bytes behind r.
// It reads the head of the file only, and checks that every tensor lies in
// the file, aligned and without overlap.
func Parse(r io.ReaderAt, size int64) (*File, error) {
	head := min(size, MaxHeader)
	p := &parser{
		r:    bufio.NewReaderSize(io.NewSectionReader(r, 0, head), int(min(readBuffer, head))),
		left: head, size: size,
	}
	f, err := p.file()
	if err != nil {
		return nil, err
	}
	if err := f.place(p.at()); err != nil {
		return nil, err
	}
	return f, nil
}

// parser reads the head of a file front to back. left bytes of the head are
// unread; nothing longer is ever allocated for.
type parser struct {
	r          *bufio.Reader
	left, size int64
	buf        [8]byte
}

func (p *parser) at() int64 { return min(p.size, MaxHeader) - p.left }

// short is the error for a head that ends before n more bytes of what.
func (p *parser) short(what string, n uint64) error {
	if p.size > MaxHeader {
		return fmt.Errorf("%s needs %d bytes at byte %d: metadata and tensor table may have %d bytes in all", what, n, p.at(), MaxHeader)
	}
	return fmt.Errorf("%w: %s needs %d bytes at byte %d, file has %d", ErrTruncated, what, n, p.at(), p.size)
}

func (p *parser) full(b []byte, what string) error {
	if int64(len(b)) > p.left {
		return p.short(what, uint64(len(b)))
	}
	if _, err := io.ReadFull(p.r, b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: the file shrank while it was read", ErrTruncated)
		}
		return fmt.Errorf("read %s: %w", what, err)
	}
	p.left -= int64(len(b))
	return nil
}

func (p *parser) u32(what string) (uint32, error) {
	err := p.full(p.buf[:4], what)
	return binary.LittleEndian.Uint32(p.buf[:4]), err
}

func (p *parser) u64(what string) (uint64, error) {
	err := p.full(p.buf[:8], what)
	return binary.LittleEndian.Uint64(p.buf[:8]), err
}

func (p *parser) str(what string, limit uint64) (string, error) {
	n, err := p.u64(what)
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", fmt.Errorf("%s is %d bytes long, the limit is %d", what, n, limit)
	}
	if n > uint64(p.left) {
		return "", p.short(what, n)
	}
	b := make([]byte, n)
	if err := p.full(b, what); err != nil {
		return "", err
	}
	return string(b), nil
}

// file reads everything up to the tensor data; offsets stay relative.
func (p *parser) file() (*File, error) {
	if err := p.full(p.buf[:4], "magic"); err != nil || string(p.buf[:4]) != magic {
		if err != nil && !errors.Is(err, ErrTruncated) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: it does not begin with the letters GGUF", ErrNotGGUF)
	}
	version, err := p.u32("version")
	if err != nil {
		return nil, err
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	tensors, err := p.u64("tensor count")
	if err != nil {
		return nil, err
	}
	kvs, err := p.u64("key count")
	if err != nil {
		return nil, err
	}
	if tensors > MaxTensors {
		return nil, fmt.Errorf("file claims %d tensors, the limit is %d", tensors, MaxTensors)
	}
	if kvs > MaxKVs {
		return nil, fmt.Errorf("file claims %d metadata keys, the limit is %d", kvs, MaxKVs)
	}
	f := &File{Version: version, Size: p.size, values: make(map[string]any), tensors: make(map[string]int)}
	for range kvs {
		if err := p.kv(f); err != nil {
			return nil, err
		}
	}
	for range tensors {
		if err := p.tensor(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func checkVersion(v uint32) error {
	switch {
	case v == 2 || v == 3:
		return nil
	case v == 1:
		return errors.New("GGUF version 1 is out of use; convert the model again (versions 2 and 3 are supported)")
	case v&0xffff == 0 && v != 0:
		return errors.New("big-endian GGUF is not supported; use the little-endian file")
	}
	return fmt.Errorf("GGUF version %d is not supported (versions 2 and 3 are)", v)
}

func (p *parser) kv(f *File) error {
	key, err := p.str(fmt.Sprintf("metadata key %d", len(f.KVs)), MaxKey)
	if err != nil {
		return err
	}
	what := "key " + show(key)
	if f.Has(key) {
		return fmt.Errorf("%s occurs twice", what)
	}
	t, err := p.u32(what)
	if err != nil {
		return err
	}
	v, err := p.value(valueType(t), what)
	if err != nil {
		return err
	}
	f.KVs = append(f.KVs, KV{Key: key, Value: v})
	f.values[key] = v
	return nil
}

func (p *parser) value(t valueType, what string) (any, error) {
	if t == typeString {
		return p.str(what, math.MaxInt64)
	}
	if t == typeArray {
		return p.array(what)
	}
	size := t.size()
	if size == 0 {
		return nil, fmt.Errorf("%s has unknown value type %d", what, t)
	}
	b := p.buf[:size]
	if err := p.full(b, what); err != nil {
		return nil, err
	}
	return decodeScalar(t, b), nil
}

func (p *parser) tensor(f *File) error {
	name, err := p.str(fmt.Sprintf("name of tensor %d", len(f.Tensors)), MaxName)
	if err != nil {
		return err
	}
	what := "tensor " + show(name)
	if _, twice := f.tensors[name]; twice {
		return fmt.Errorf("%s occurs twice", what)
	}
	dims, err := p.u32(what)
	if err != nil {
		return err
	}
	if dims == 0 || dims > MaxDims {
		return fmt.Errorf("%s has %d dimensions, want 1 to %d", what, dims, MaxDims)
	}
	t := Tensor{Name: name, Shape: make([]int, dims)}
	for i := range t.Shape {
		n, err := p.u64(what)
		if err != nil {
			return err
		}
		if n == 0 || n > MaxDim {
			return fmt.Errorf("%s has length %d in dimension %d, want 1 to %d", what, n, i, MaxDim)
		}
		t.Shape[i] = int(n)
	}
	typ, err := p.u32(what)
	if err != nil {
		return err
	}
	offset, err := p.u64(what)
	if err != nil {
		return err
	}
	if offset > math.MaxInt64 {
		return fmt.Errorf("%s begins at byte %d of the data", what, offset)
	}
	t.Type, t.Offset = Type(typ), int64(offset)
	if t.Size, err = sizeOf(t.Name, t.Type, t.Shape); err != nil {
		return err
	}
	f.tensors[name] = len(f.Tensors)
	f.Tensors = append(f.Tensors, t)
	return nil
}
