package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// size is the number of bytes of one scalar of the type, 0 for texts, arrays
// and unknown types.
func (t valueType) size() int {
	switch t {
	case typeUint8, typeInt8, typeBool:
		return 1
	case typeUint16, typeInt16:
		return 2
	case typeUint32, typeInt32, typeFloat32:
		return 4
	case typeUint64, typeInt64, typeFloat64:
		return 8
	}
	return 0
}

// decodeScalar reads a value of type t from b, which has t.size() bytes.
func decodeScalar(t valueType, b []byte) any {
	switch t {
	case typeUint8:
		return b[0]
	case typeInt8:
		return int8(b[0])
	case typeBool:
		return b[0] != 0
	case typeUint16:
		return binary.LittleEndian.Uint16(b)
	case typeInt16:
		return int16(binary.LittleEndian.Uint16(b))
	case typeUint32:
		return binary.LittleEndian.Uint32(b)
	case typeInt32:
		return int32(binary.LittleEndian.Uint32(b))
	case typeFloat32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case typeUint64:
		return binary.LittleEndian.Uint64(b)
	case typeInt64:
		return int64(binary.LittleEndian.Uint64(b))
	case typeFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return nil
}

// array reads an array value. A count is believed only as far as the head of
// the file has bytes for it.
func (p *parser) array(what string) (any, error) {
	elem, err := p.u32(what)
	if err != nil {
		return nil, err
	}
	n, err := p.u64(what)
	if err != nil {
		return nil, err
	}
	t := valueType(elem)
	if t == typeString {
		return p.texts(n, what)
	}
	size := uint64(t.size())
	if size == 0 {
		return nil, fmt.Errorf("%s is an array of type %d, want numbers, truth values or texts", what, elem)
	}
	if n > uint64(p.left)/size {
		return nil, p.short(what, satMul(n, size))
	}
	b := make([]byte, n*size)
	if err := p.full(b, what); err != nil {
		return nil, err
	}
	return decodeArray(t, b), nil
}

// texts reads n strings, each of which takes at least the 8 bytes of its
// length.
func (p *parser) texts(n uint64, what string) ([]string, error) {
	const least = 8
	if n > uint64(p.left)/least {
		return nil, p.short(what, satMul(n, least))
	}
	s := make([]string, n)
	for i := range s {
		var err error
		if s[i], err = p.str(what, math.MaxInt64); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// satMul multiplies for an error text: a product too large is the largest
// number there is.
func satMul(a, b uint64) uint64 {
	if a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}

func decodeArray(t valueType, b []byte) any {
	switch t {
	case typeUint8:
		return b
	case typeInt8:
		return elements[int8](t, b)
	case typeBool:
		return elements[bool](t, b)
	case typeUint16:
		return elements[uint16](t, b)
	case typeInt16:
		return elements[int16](t, b)
	case typeUint32:
		return elements[uint32](t, b)
	case typeInt32:
		return elements[int32](t, b)
	case typeFloat32:
		return elements[float32](t, b)
	case typeUint64:
		return elements[uint64](t, b)
	case typeInt64:
		return elements[int64](t, b)
	case typeFloat64:
		return elements[float64](t, b)
	}
	return nil
}

// elements decodes an array whose scalars decodeScalar returns as T.
func elements[T any](t valueType, b []byte) []T {
	size := t.size()
	v := make([]T, len(b)/size)
	for i := range v {
		v[i] = decodeScalar(t, b[i*size:]).(T)
	}
	return v
}
