package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// KV is one piece of metadata. Value is one of uint8, int8, uint16, int16,
// uint32, int32, uint64, int64, float32, float64, bool, string, or a slice of
// one of these. Arrays of arrays do not occur in practice and are refused.
type KV struct {
	Key   string
	Value any
}

// valueType numbers the forms of a value in the file.
type valueType uint32

const (
	typeUint8   valueType = 0
	typeInt8    valueType = 1
	typeUint16  valueType = 2
	typeInt16   valueType = 3
	typeUint32  valueType = 4
	typeInt32   valueType = 5
	typeFloat32 valueType = 6
	typeBool    valueType = 7
	typeString  valueType = 8
	typeArray   valueType = 9
	typeUint64  valueType = 10
	typeInt64   valueType = 11
	typeFloat64 valueType = 12
)

// AppendKV appends kv in the form it has in a file: key, type, value. Equal
// KVs give equal bytes, so this is also the form that is hashed.
func AppendKV(b []byte, kv KV) ([]byte, error) {
	b = appendString(b, kv.Key)
	switch v := kv.Value.(type) {
	case []uint8:
		b = appendArray(b, typeUint8, v, func(b []byte, x uint8) []byte { return append(b, x) })
	case []int8:
		b = appendArray(b, typeInt8, v, func(b []byte, x int8) []byte { return append(b, byte(x)) })
	case []uint16:
		b = appendArray(b, typeUint16, v, binary.LittleEndian.AppendUint16)
	case []int16:
		b = appendArray(b, typeInt16, v, func(b []byte, x int16) []byte { return binary.LittleEndian.AppendUint16(b, uint16(x)) })
	case []uint32:
		b = appendArray(b, typeUint32, v, binary.LittleEndian.AppendUint32)
	case []int32:
		b = appendArray(b, typeInt32, v, func(b []byte, x int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(x)) })
	case []uint64:
		b = appendArray(b, typeUint64, v, binary.LittleEndian.AppendUint64)
	case []int64:
		b = appendArray(b, typeInt64, v, func(b []byte, x int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(x)) })
	case []float32:
		b = appendArray(b, typeFloat32, v, appendFloat32)
	case []float64:
		b = appendArray(b, typeFloat64, v, appendFloat64)
	case []bool:
		b = appendArray(b, typeBool, v, appendBool)
	case []string:
		b = appendArray(b, typeString, v, appendString)
	default:
		return appendScalar(b, kv)
	}
	return b, nil
}

// appendScalar appends the type and value of a kv that holds no array.
func appendScalar(b []byte, kv KV) ([]byte, error) {
	typed := func(t valueType) []byte { return binary.LittleEndian.AppendUint32(b, uint32(t)) }
	switch v := kv.Value.(type) {
	case uint8:
		return append(typed(typeUint8), v), nil
	case int8:
		return append(typed(typeInt8), byte(v)), nil
	case uint16:
		return binary.LittleEndian.AppendUint16(typed(typeUint16), v), nil
	case int16:
		return binary.LittleEndian.AppendUint16(typed(typeInt16), uint16(v)), nil
	case uint32:
		return binary.LittleEndian.AppendUint32(typed(typeUint32), v), nil
	case int32:
		return binary.LittleEndian.AppendUint32(typed(typeInt32), uint32(v)), nil
	case uint64:
		return binary.LittleEndian.AppendUint64(typed(typeUint64), v), nil
	case int64:
		return binary.LittleEndian.AppendUint64(typed(typeInt64), uint64(v)), nil
	case float32:
		return appendFloat32(typed(typeFloat32), v), nil
	case float64:
		return appendFloat64(typed(typeFloat64), v), nil
	case bool:
		return appendBool(typed(typeBool), v), nil
	case string:
		return appendString(typed(typeString), v), nil
	}
	return nil, fmt.Errorf("key %s: GGUF has no form for a %T", show(kv.Key), kv.Value)
}

func appendArray[T any](b []byte, elem valueType, v []T, one func([]byte, T) []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(typeArray))
	b = binary.LittleEndian.AppendUint32(b, uint32(elem))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
	for _, x := range v {
		b = one(b, x)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendFloat32(b []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
}

func appendFloat64(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}
