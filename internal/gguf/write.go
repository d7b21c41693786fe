package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// TensorSpec is a tensor to be written.
type TensorSpec struct {
	Name  string
	Type  Type
	Shape []int // ne0 first
	// Data writes the tensor's bytes, exactly as many as type and shape say.
	Data func(w io.Writer) error
}

// Write writes a version 3 file front to back. The KVs and tensors keep their
// order. w gets large tensors in the pieces in which Data writes them.
func Write(w io.Writer, kvs []KV, tensors []TensorSpec) error {
	head, err := header(kvs, tensors)
	if err != nil {
		return fmt.Errorf("write GGUF: %w", err)
	}
	if _, err := w.Write(head.bytes); err != nil {
		return err
	}
	for i, t := range tensors {
		c := &counter{w: w, left: head.sizes[i]}
		if err := t.Data(c); err != nil {
			return fmt.Errorf("write GGUF: tensor %s: %w", show(t.Name), err)
		}
		if c.left != 0 {
			return fmt.Errorf("write GGUF: tensor %s: %d bytes are missing", show(t.Name), c.left)
		}
		if _, err := w.Write(make([]byte, align(head.sizes[i], head.align)-head.sizes[i])); err != nil {
			return err
		}
	}
	return nil
}

// Plan says what [Write] would write around the data of the tensors: the head
// of the file, where each tensor's data begins, and the size of the whole. The
// gaps between tensors are zeros. The Data of the specs is not called.
func Plan(kvs []KV, tensors []TensorSpec) (headBytes []byte, offsets []int64, size int64, err error) {
	h, err := header(kvs, tensors)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("plan GGUF: %w", err)
	}
	at := int64(len(h.bytes))
	for _, n := range h.sizes {
		offsets = append(offsets, at)
		at += align(n, h.align)
	}
	return h.bytes, offsets, at, nil
}

type head struct {
	bytes []byte // padded to where the data begins
	sizes []int64
	align int64
}

func header(kvs []KV, tensors []TensorSpec) (head, error) {
	if len(kvs) > MaxKVs || len(tensors) > MaxTensors {
		return head{}, fmt.Errorf("%d keys and %d tensors, the limits are %d and %d", len(kvs), len(tensors), MaxKVs, MaxTensors)
	}
	b := binary.LittleEndian.AppendUint32([]byte(magic), 3)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(kvs)))
	var alignValue any
	for _, kv := range kvs {
		if kv.Key == "general.alignment" {
			alignValue = kv.Value
		}
		var err error
		if b, err = AppendKV(b, kv); err != nil {
			return head{}, err
		}
	}
	a, err := alignment(alignValue)
	if err != nil {
		return head{}, err
	}
	h := head{align: a, sizes: make([]int64, len(tensors))}
	var offset int64
	for i, t := range tensors {
		if h.sizes[i], err = t.size(); err != nil {
			return head{}, err
		}
		b = appendString(b, t.Name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Shape)))
		for _, n := range t.Shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(t.Type))
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
		offset += align(h.sizes[i], a)
	}
	h.bytes = append(b, make([]byte, align(int64(len(b)), a)-int64(len(b)))...)
	return h, nil
}

func (t TensorSpec) size() (int64, error) {
	if len(t.Name) > MaxName || len(t.Shape) == 0 || len(t.Shape) > MaxDims {
		return 0, fmt.Errorf("tensor %s of shape %v: name or number of dimensions is out of range", show(t.Name), t.Shape)
	}
	for _, n := range t.Shape {
		if n <= 0 || n > MaxDim {
			return 0, fmt.Errorf("tensor %s of shape %v: a dimension is out of range", show(t.Name), t.Shape)
		}
	}
	return sizeOf(t.Name, t.Type, t.Shape)
}

// counter passes on up to left bytes.
type counter struct {
	w    io.Writer
	left int64
}

func (c *counter) Write(b []byte) (int, error) {
	if int64(len(b)) > c.left {
		return 0, errors.New("more bytes than its type and shape say")
	}
	n, err := c.w.Write(b)
	c.left -= int64(n)
	return n, err
}
