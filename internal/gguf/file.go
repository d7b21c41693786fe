package gguf

// File is the table of contents of a GGUF file.
type File struct {
	Version    uint32   // 2 or 3
	KVs        []KV     // in file order, no key twice
	Tensors    []Tensor // in file order, no name twice
	Alignment  int64    // every tensor offset is a multiple of it, counted from DataOffset
	DataOffset int64    // where the tensor data begins
	Size       int64    // of the whole file, in bytes

	values  map[string]any
	tensors map[string]int // name -> index in Tensors
}

// Tensor says where a tensor lies and how to read it.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // ne0, the length of a row, first; all > 0
	Offset int64 // from the start of the file
	Size   int64 // in bytes; Offset+Size is inside the file
	Part   int   // which file of a split model, from 0; see Join
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.tensors[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Has reports whether the file has a value of any type for the key.
func (f *File) Has(key string) bool {
	_, ok := f.values[key]
	return ok
}

// String returns the text under key; ok is false when it is missing or has
// another type.
func (f *File) String(key string) (s string, ok bool) {
	s, ok = f.values[key].(string)
	return s, ok
}

// Bool returns the truth value under key.
func (f *File) Bool(key string) (v, ok bool) {
	v, ok = f.values[key].(bool)
	return v, ok
}

// Uint returns the whole number under key, whichever integer type it has in
// the file; ok is false for a negative one.
func (f *File) Uint(key string) (n uint64, ok bool) {
	switch v := f.values[key].(type) {
	case uint8:
		return uint64(v), true
	case uint16:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	case int8:
		return uint64(v), v >= 0
	case int16:
		return uint64(v), v >= 0
	case int32:
		return uint64(v), v >= 0
	case int64:
		return uint64(v), v >= 0
	}
	return 0, false
}

// Float returns the floating-point number under key, of either width.
func (f *File) Float(key string) (x float64, ok bool) {
	switch v := f.values[key].(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Strings returns the list of texts under key. The slice is shared: read only.
func (f *File) Strings(key string) (s []string, ok bool) {
	s, ok = f.values[key].([]string)
	return s, ok
}

// Ints returns the list of whole numbers under key, whichever integer type it
// has in the file; ok is false when one does not fit an int64.
func (f *File) Ints(key string) (n []int64, ok bool) {
	switch v := f.values[key].(type) {
	case []uint8:
		return widen(v), true
	case []uint16:
		return widen(v), true
	case []uint32:
		return widen(v), true
	case []int8:
		return widen(v), true
	case []int16:
		return widen(v), true
	case []int32:
		return widen(v), true
	case []int64:
		return widen(v), true
	case []uint64:
		n = widen(v)
		for _, x := range n {
			if x < 0 {
				return nil, false
			}
		}
		return n, true
	}
	return nil, false
}

// Floats returns the list of floating-point numbers under key.
func (f *File) Floats(key string) (x []float32, ok bool) {
	switch v := f.values[key].(type) {
	case []float32:
		return v, true
	case []float64:
		x = make([]float32, len(v))
		for i := range v {
			x[i] = float32(v[i])
		}
		return x, true
	}
	return nil, false
}

func widen[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](v []T) []int64 {
	n := make([]int64, len(v))
	for i := range v {
		n[i] = int64(v[i])
	}
	return n
}
