package gguf

import "fmt"

// MaxParts bounds the files of one model; published ones have up to about 100.
const MaxParts = 1024

// Parts says how many files the model of this one has: 1 unless it was split.
// The error is about a number that no split has.
func (f *File) Parts() (int, error) {
	if !f.Has("split.count") {
		return 1, nil
	}
	n, ok := f.Uint("split.count")
	if !ok || n > MaxParts {
		return 0, fmt.Errorf("key split.count is no number up to %d", MaxParts)
	}
	return max(int(n), 1), nil
}

// Join makes one table of contents of the parts of a split file, given in
// order: the metadata of the first, the tensors of all, whose Part says where
// each lies.
func Join(parts []*File) (*File, error) {
	out := *parts[0]
	out.Tensors, out.Size, out.tensors = nil, 0, make(map[string]int)
	for i, p := range parts {
		if n, err := p.Parts(); err != nil || n != len(parts) {
			return nil, fmt.Errorf("part %d is of a model of %d files, the first of one of %d", i+1, n, len(parts))
		}
		if no, ok := p.Uint("split.no"); ok && no != uint64(i) || !ok && i > 0 {
			return nil, fmt.Errorf("part %d says that it is part %d", i+1, no+1)
		}
		out.Size += p.Size
		for _, t := range p.Tensors {
			if _, twice := out.tensors[t.Name]; twice {
				return nil, fmt.Errorf("tensor %s is in two parts", show(t.Name))
			}
			if len(out.Tensors) == MaxTensors {
				return nil, fmt.Errorf("the parts have more than %d tensors", MaxTensors)
			}
			t.Part = i
			out.tensors[t.Name] = len(out.Tensors)
			out.Tensors = append(out.Tensors, t)
		}
	}
	if n, ok := out.Uint("split.tensors.count"); ok && n != uint64(len(out.Tensors)) {
		return nil, fmt.Errorf("the parts have %d tensors together, the first says %d: they are not of one model", len(out.Tensors), n)
	}
	return &out, nil
}
