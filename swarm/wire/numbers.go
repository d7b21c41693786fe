package wire

import (
	"encoding/binary"
	"unsafe"
)

// Arrays of 4-byte numbers are the bulk of the traffic. On a little-endian
// machine they are copied whole, and read where they lie; elsewhere they are
// converted one by one. Both ways give the same bytes, and the tests compare
// them.

// littleEndian reports whether this machine keeps numbers as the format does.
func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// number is what the format's arrays hold.
type number interface{ float32 | int32 }

// bytesOf returns the memory of v.
func bytesOf[T number](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// asCodes returns b as codes, and asBytes codes as bytes: the same memory.
func asCodes(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

func asBytes(v []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// appendNumbers appends v in the format's byte order, without a copy where it is in
// its place already.
func appendNumbers[T number](b []byte, v []T) []byte {
	if littleEndian() {
		from := bytesOf(v)
		if n := len(b); len(from) > 0 && cap(b)-n >= len(from) && &b[:n+1][n] == &from[0] {
			return b[:n+len(from)]
		}
		return append(b, from...)
	}
	return appendNumbersSlow(b, v)
}

func appendNumbersSlow[T number](b []byte, v []T) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, *(*uint32)(unsafe.Pointer(&x)))
	}
	return b
}

// numbers returns the numbers that b holds: a view into b where the machine's
// byte order and b's alignment allow, else a copy.
func numbers[T number](b []byte) []T {
	p := unsafe.SliceData(b)
	if n := len(b) / 4; n > 0 && littleEndian() && uintptr(unsafe.Pointer(p))%4 == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(p)), n)
	}
	return numbersSlow[T](b)
}

func numbersSlow[T number](b []byte) []T {
	v := make([]T, len(b)/4)
	for i := range v {
		x := binary.LittleEndian.Uint32(b[4*i:])
		v[i] = *(*T)(unsafe.Pointer(&x))
	}
	return v
}
