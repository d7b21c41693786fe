package expert

import (
	"cmp"
	"context"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Progress hears how many of how many bytes are done. It is called often and
// never by two goroutines at once; it must not block. Nil is allowed.
type Progress func(done, total int64)

// HashExpert names an expert by content. The tensors may come from anywhere;
// [Blob] is how they are laid out.
func HashExpert(w Weights) (Piece, error) {
	b, err := w.Blob()
	if err != nil {
		return Piece{}, err
	}
	return pieceOf(b, io.NewSectionReader(b, 0, b.size))
}

// hashModel computes the manifest of an open model.
func hashModel(ctx context.Context, m *Model, p Progress) (*Manifest, error) {
	out := &Manifest{Shape: m.Shape()}
	out.Experts = make([]Piece, len(out.Shape.SparseLayers)*out.Shape.Experts)
	w := hashWork{progress: p}
	trunk, err := m.trunkBlob()
	if err != nil {
		return nil, err
	}
	w.add(trunk, &out.Trunk) // the longest piece of work first
	for i, l := range out.Shape.SparseLayers {
		for e := range out.Shape.Experts {
			weights, err := m.weights(l, e)
			if err != nil {
				return nil, err
			}
			b, err := weights.Blob()
			if err != nil {
				return nil, err
			}
			w.add(b, &out.Experts[i*out.Shape.Experts+e])
		}
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	return out.seal(), nil
}

// trunk lists the tensors that hold no experts, by name.
func (m *Model) trunk() []Tensor {
	var trunk []Tensor
	for _, t := range m.file.Tensors {
		if !m.experts[t.Name] {
			tensor, _ := m.Tensor(t.Name)
			trunk = append(trunk, tensor)
		}
	}
	slices.SortFunc(trunk, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return trunk
}

// hashWork is a list of blobs to be hashed on all processors.
type hashWork struct {
	jobs     []hashJob
	total    int64
	progress Progress
	next     atomic.Int64 // first job nobody has taken

	mu   sync.Mutex // guards the rest and calls of progress
	done int64
	err  error
}

type hashJob struct {
	blob *Blob
	into *Piece
}

func (w *hashWork) add(b *Blob, into *Piece) {
	w.jobs = append(w.jobs, hashJob{b, into})
	w.total += b.size
}

// run works the list off and returns when all its goroutines have ended.
func (w *hashWork) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(w.jobs)) {
		wg.Go(func() {
			for {
				i := int(w.next.Add(1)) - 1
				if i >= len(w.jobs) {
					return
				}
				j := w.jobs[i]
				var err error
				if *j.into, err = pieceOf(j.blob, &hashReader{SectionReader: io.NewSectionReader(j.blob, 0, j.blob.size), ctx: ctx, work: w}); err != nil {
					w.mu.Lock()
					w.err = err
					w.mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return w.err
}

// hashReader tells how far the reading is, and ends with the context.
type hashReader struct {
	*io.SectionReader
	ctx  context.Context
	work *hashWork
}

func (r *hashReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.SectionReader.Read(p)
	r.work.report(n)
	return n, err
}

func (w *hashWork) report(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += int64(n)
	if w.progress != nil {
		w.progress(w.done, w.total)
	}
}
