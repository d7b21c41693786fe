package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

const (
	// projections is K, the rows of each secret. The estimate of an error from
	// b rows of output spreads by sqrt(2/(K·b)): with 4 and 4 rows by 35 %.
	projections = 4
	// epoch is how long secrets are used. What a holder can learn of them is a
	// bit an audit, pass or fail; an hour has some thousand audits at most.
	epoch = time.Hour
	// maxSecrets bounds the memory of secrets, in bytes: 115 KB an expert of
	// 2048 by 1024, so 550 of them; others are drawn again when needed.
	maxSecrets = 64 << 20
)

// secret is what is kept of an expert: random rows, and their products with
// the weights. All are (projections, ...).
type secret struct {
	rd         expert.Batch // for W2's outputs; the same for all experts of a layer, so that sums can be tested
	rg, ru     expert.Batch // for those of W1 and W3
	sd, sg, su expert.Batch // rd W2, rg W1, ru W3
	bias       projected    // rd B2
	set        *expert.Set  // knows biases and activation
}

func (s *secret) bytes() int {
	return 4 * (len(s.rg.Data) + len(s.ru.Data) + len(s.sd.Data) + len(s.sg.Data) + len(s.su.Data))
}

// secrets draws secrets on demand and keeps them for an epoch.
type secrets struct {
	weights Weights
	piece   func(expert.ID) (expert.Piece, bool) // what the weights must hash to
	now     func() time.Time

	mu struct {
		sync.Mutex // held while a secret is drawn: its pool has all processors anyway
		key        [32]byte
		keys       *rand.ChaCha8
		until      time.Time
		drawn      map[expert.ID]*secret
		bytes      int
		took       time.Duration // to draw one, lately; 0: none was drawn
	}
}

func newSecrets(seed [32]byte, w Weights, piece func(expert.ID) (expert.Piece, bool), now func() time.Time) *secrets {
	s := &secrets{weights: w, piece: piece, now: now}
	s.mu.keys = rand.NewChaCha8(seed)
	return s
}

// of returns the secrets of the experts of some calls, all of one epoch.
func (s *secrets) of(calls []expert.Call) ([]*secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); !now.Before(s.mu.until) {
		s.mu.until = now.Add(epoch)
		for i := 0; i < len(s.mu.key); i += 8 {
			binary.LittleEndian.PutUint64(s.mu.key[i:], s.mu.keys.Uint64())
		}
		s.mu.drawn, s.mu.bytes = map[expert.ID]*secret{}, 0
	}
	out := make([]*secret, len(calls))
	for i, c := range calls {
		x := s.mu.drawn[c.Expert]
		if x == nil {
			var err error
			began := time.Now()
			if x, err = s.draw(c.Expert); err != nil {
				return nil, err
			}
			s.mu.took = (3*s.mu.took + time.Since(began)) / 4
			if s.mu.took*2 < time.Since(began) { // the first
				s.mu.took = time.Since(began)
			}
			for id, old := range s.mu.drawn {
				if s.mu.bytes+x.bytes() <= maxSecrets {
					break
				}
				s.mu.bytes -= old.bytes()
				delete(s.mu.drawn, id)
			}
			s.mu.drawn[c.Expert] = x
			s.mu.bytes += x.bytes()
		}
		out[i] = x
	}
	return out, nil
}

// lacking says how many of the calls' experts have no secret in this epoch, and
// how long one took to draw, 0 if none was.
func (s *secrets) lacking(calls []expert.Call) (n int, each time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.now().Before(s.mu.until)
	for _, c := range calls {
		if !fresh || s.mu.drawn[c.Expert] == nil {
			n++
		}
	}
	return n, s.mu.took
}

// draw makes the secret of an expert from its weights, which must be what the
// model's manifest says.
func (s *secrets) draw(id expert.ID) (*secret, error) {
	set := s.weights(id.Model)
	if set == nil || !set.Holds(id) {
		return nil, fmt.Errorf("%w: the weights of %v are not here", ErrUnable, id)
	}
	got, err := set.Piece(id)
	if err != nil {
		return nil, err
	}
	if want, ok := s.piece(id); !ok || got != want {
		return nil, fmt.Errorf("%w: the weights of %v on this node have changed since they were hashed", ErrUnable, id)
	}
	dim, ff := set.Size(id)
	x := &secret{
		rd:  s.gauss(0, expert.ID{Model: id.Model, Layer: id.Layer}, dim),
		rg:  s.gauss(1, id, ff),
		ru:  s.gauss(2, id, ff),
		set: set,
	}
	if bias := set.OutBias(id); bias != nil {
		x.bias = project(x.rd, bias)
	}
	for _, p := range []struct {
		part expert.Part
		r    expert.Batch
		to   *expert.Batch
	}{{expert.W2, x.rd, &x.sd}, {expert.W1, x.rg, &x.sg}, {expert.W3, x.ru, &x.su}} {
		if *p.to, err = set.Project(id, p.part, p.r); err != nil {
			return nil, err
		}
	}
	if !set.Holds(id) {
		return nil, gone(id)
	}
	return x, nil
}

// gone is why nothing can be said of an expert that this node gave up while it
// was looked into.
func gone(id expert.ID) error { return fmt.Errorf("%w: %v was given up here", ErrUnable, id) }

// gauss gives the random rows of this epoch for a part of an expert, or of a
// whole layer.
func (s *secrets) gauss(part byte, name expert.ID, n int) expert.Batch {
	h := hmac.New(sha256.New, s.mu.key[:])
	h.Write(name.Model[:])
	h.Write([]byte{part, byte(name.Layer), byte(name.Layer >> 8), byte(name.Index), byte(name.Index >> 8)})
	r := rand.New(rand.NewChaCha8([32]byte(h.Sum(nil))))
	b := expert.NewBatch(projections, n)
	for i := range b.Data {
		b.Data[i] = float32(r.NormFloat64())
	}
	return b
}
