package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/transfer"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

const (
	// transferBlobs blobs of the size of an expert of Qwen3-30B-A3B, and one of
	// the size of a small trunk.
	transferBlobs = 48
	transferBlob  = 3 << 20
	transferTrunk = 48 << 20
)

// transferring times parts of a model on their way from one and from three
// nodes on loopback into a content store, every chunk hashed on both sides,
// every blob on disk, next to a bare stream of as many bytes and to the same from
// a file into a file, as scp copies one, in turns.
func transferring(ctx context.Context, o Options) (m Metrics, err error) {
	rounds := quickly(&o, 1, 5)
	dir, err := os.MkdirTemp("", "moeswarm-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t := &transferBench{dir: dir, seed: o.Seed}
	if o.Quick {
		t.scale = 8
	} else {
		t.scale = 1
	}
	if err := t.fill(); err != nil {
		return nil, err
	}
	defer t.close()
	life, stop := context.WithCancel(ctx)
	defer t.nodesEnd()
	defer stop()
	if err := t.start(life); err != nil {
		return nil, err
	}
	var raw, files, one, three, ratio1, ratio3, copy1, copy3 []float64
	for i := range rounds {
		r, err := swarm.StreamRate(ctx, io.Discard, io.LimitReader(zeros{}, t.bytes))
		if err != nil {
			return nil, err
		}
		c, err := t.copyFile(ctx)
		if err != nil {
			return nil, err
		}
		a, err := t.fetch(ctx, 1)
		if err != nil {
			return nil, err
		}
		b, err := t.fetch(ctx, len(t.seeds))
		if err != nil {
			return nil, err
		}
		o.Progress("round %d: bare stream %.0f MB/s, file to file %.0f, one source %.0f, three %.0f", i+1, r/1e6, c/1e6, a/1e6, b/1e6)
		raw, files, one, three = append(raw, r), append(files, c), append(one, a), append(three, b)
		ratio1, ratio3 = append(ratio1, a/r), append(ratio3, b/r)
		copy1, copy3 = append(copy1, a/c), append(copy3, b/c)
	}
	return Metrics{
		"bytes_mb": float64(t.bytes) / 1e6, "stream_mb_per_s": middle(raw) / 1e6, "file_copy_mb_per_s": middle(files) / 1e6,
		"one_source_mb_per_s": middle(one) / 1e6, "three_sources_mb_per_s": middle(three) / 1e6,
		"one_source_of_stream": middle(ratio1), "three_sources_of_stream": middle(ratio3),
		"one_source_of_file_copy": middle(copy1), "three_sources_of_file_copy": middle(copy3),
	}, nil
}

// transferBench is three nodes that have the content, and one that fetches.
type transferBench struct {
	dir    string
	seed   uint64
	scale  int
	store  *content.Store
	pieces []expert.Piece
	bytes  int64
	seeds  []*swarm.Node
	wants  *swarm.Node
	ends   []chan error
	runs   int
}

// fill puts random content into a store.
func (t *transferBench) fill() (err error) {
	if t.store, err = content.Open(filepath.Join(t.dir, "seed"), 0); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{byte(t.seed), 1})
	for i := range transferBlobs + 1 {
		b := make([]byte, transferBlob/t.scale)
		if i == 0 {
			b = make([]byte, transferTrunk/t.scale)
		}
		random.Read(b)
		h, tr, err := tree.Build(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return err
		}
		p := expert.Piece{Hash: h, Size: int64(len(b))}
		if err := put(t.store, p, b, tr); err != nil {
			return err
		}
		t.pieces, t.bytes = append(t.pieces, p), t.bytes+p.Size
	}
	return nil
}

func put(s *content.Store, p expert.Piece, b, tr []byte) error {
	x, err := s.Begin(p)
	if err != nil {
		return err
	}
	if x.NeedsTree() {
		if err := x.PutTree(tr); err != nil {
			return err
		}
	}
	for _, i := range x.Missing() {
		if err := x.Put(i, b[i*tree.Chunk:min((i+1)*tree.Chunk, len(b))], 0); err != nil {
			return err
		}
	}
	return x.Finish()
}

// copyFile sends a file of as many bytes over a bare stream into another, as scp
// does, without waiting for the disk, and returns bytes a second.
func (t *transferBench) copyFile(ctx context.Context) (rate float64, err error) {
	from, err := t.file()
	if err != nil {
		return 0, err
	}
	defer from.Close()
	to, err := os.CreateTemp(t.dir, "copy-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(to.Name())
	defer to.Close()
	return swarm.StreamRate(ctx, to, from)
}

// file is a file of as many random bytes as are fetched.
func (t *transferBench) file() (*os.File, error) {
	name := filepath.Join(t.dir, "file")
	if f, err := os.Open(name); err == nil {
		return f, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{byte(t.seed), 2}), t.bytes)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return os.Open(name)
}

// zeros is a reader of zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// start starts the nodes and waits until they are ready.
func (t *transferBench) start(ctx context.Context) error {
	for range 4 {
		cfg := swarm.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}}
		if len(t.seeds) < 3 {
			cfg.Shelf = content.NewShelf(t.store)
		}
		for _, s := range t.seeds {
			cfg.Join = append(cfg.Join, s.Addrs()...)
		}
		n, err := swarm.New(cfg)
		if err != nil {
			return err
		}
		end := make(chan error, 1)
		go func() { end <- n.Run(ctx) }()
		t.ends = append(t.ends, end)
		select {
		case <-n.Ready():
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
			return fmt.Errorf("a node does not become ready")
		}
		if len(t.seeds) < 3 {
			t.seeds = append(t.seeds, n)
		} else {
			t.wants = n
		}
	}
	return nil
}

// fetch fetches everything into a new store and returns bytes a second.
func (t *transferBench) fetch(ctx context.Context, sources int) (float64, error) {
	t.runs++
	dir := filepath.Join(t.dir, fmt.Sprint(t.runs))
	store, err := content.Open(dir, 0)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	defer store.Close()
	began := time.Now()
	_, err = transfer.Fetch(ctx, transfer.Config{
		Store: store, Pieces: t.pieces, Seed: t.seed + 1,
		Sources: func() (out []transfer.Source) {
			for _, s := range t.seeds[:sources] {
				out = append(out, transfer.Source{Peer: s.ID(), Have: func(expert.Piece) transfer.Have { return transfer.Yes }})
			}
			return out
		},
		Open: func(ctx context.Context, p routing.Peer) (transfer.Stream, error) {
			s, err := t.wants.OpenBlobs(ctx, p)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	})
	return float64(t.bytes) / time.Since(began).Seconds(), err
}

func (t *transferBench) nodesEnd() {
	for _, e := range t.ends {
		<-e
	}
}

func (t *transferBench) close() { _ = t.store.Close() }
