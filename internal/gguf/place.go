package gguf

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// sizeOf is the number of bytes of a tensor's data.
func sizeOf(name string, t Type, shape []int) (int64, error) {
	if !t.Known() {
		return 0, fmt.Errorf("tensor %s has unknown type %d", show(name), uint32(t))
	}
	row := int64(t.RowBytes(shape[0]))
	if row == 0 {
		return 0, fmt.Errorf("tensor %s has rows of %d values, %v needs a multiple of %d", show(name), shape[0], t, t.BlockSize())
	}
	size := row
	for _, n := range shape[1:] {
		if size > math.MaxInt64/int64(n) {
			return 0, fmt.Errorf("tensor %s of shape %v is too large", show(name), shape)
		}
		size *= int64(n)
	}
	return size, nil
}

// alignment returns general.alignment, or its default.
func alignment(v any) (int64, error) {
	if v == nil {
		return DefaultAlignment, nil
	}
	n, ok := v.(uint32)
	if !ok {
		return 0, fmt.Errorf("key general.alignment is a %T, want a uint32", v)
	}
	if n == 0 || n&(n-1) != 0 || n > MaxAlignment {
		return 0, fmt.Errorf("key general.alignment is %d, want a power of two up to %d", n, MaxAlignment)
	}
	return int64(n), nil
}

// align rounds n up to a multiple of a.
func align(n, a int64) int64 { return (n + a - 1) / a * a }

// place turns the tensors' offsets into absolute ones, given where the head
// of the file ends, and checks that each is aligned and inside the file and
// that none overlaps another.
func (f *File) place(headEnd int64) error {
	a, err := alignment(f.values["general.alignment"])
	if err != nil {
		return err
	}
	f.Alignment = a
	f.DataOffset = align(headEnd, a)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.Offset%a != 0 {
			return fmt.Errorf("tensor %s begins at byte %d of the data, want a multiple of %d", show(t.Name), t.Offset, a)
		}
		if t.Offset > math.MaxInt64-f.DataOffset-t.Size {
			return fmt.Errorf("tensor %s begins at byte %d of the data", show(t.Name), t.Offset)
		}
		t.Offset += f.DataOffset
		if end := t.Offset + t.Size; end > f.Size {
			return fmt.Errorf("%w: tensor %s ends at byte %d, file has %d", ErrTruncated, show(t.Name), end, f.Size)
		}
	}
	return f.checkOverlap()
}

func (f *File) checkOverlap() error {
	order := make([]*Tensor, len(f.Tensors))
	for i := range f.Tensors {
		order[i] = &f.Tensors[i]
	}
	slices.SortStableFunc(order, func(a, b *Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; a.Offset+a.Size > b.Offset {
			return fmt.Errorf("tensors %s and %s overlap at byte %d", show(a.Name), show(b.Name), b.Offset)
		}
	}
	return nil
}
