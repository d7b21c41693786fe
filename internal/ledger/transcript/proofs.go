package transcript

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// proofEpochs is for how many epochs a client keeps what gates signed: until
// audits of it are over.
const proofEpochs = ledger.AuditDelay + ledger.AuditEpochs

// maxProofs bounds the answers of one epoch that are remembered; later ones are
// not audited.
const maxProofs = 1 << 16

// Proof is what a client holds of an answer.
type Proof struct {
	Chunk  ledger.Chunk // the last that its gate signed, which stands for all before it
	Tokens uint32       // up to there, with the prompt
}

// proofSize is the length of one in a file: the chunk's record, and a number.
const proofSize = ledger.ChunkSize + 4

// Proofs keeps what a client holds of its answers. They lie in a file for each
// epoch, one record behind another; what a torn write left is not read.
type Proofs struct {
	dir string

	mu     sync.Mutex
	epochs map[uint64][]Proof
}

// OpenProofs reads what lies in a folder, which it makes if need be.
func OpenProofs(dir string) (*Proofs, error) {
	p := &Proofs{dir: dir, epochs: map[uint64][]Proof{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		epoch, err := strconv.ParseUint(f.Name(), 10, 64)
		if err != nil {
			continue // not ours
		}
		all, rest, err := readProofs(filepath.Join(dir, f.Name()), epoch)
		if err != nil {
			return nil, err
		}
		p.epochs[epoch] = all
		if rest > 0 { // so that records stay where they belong
			if err := os.Truncate(filepath.Join(dir, f.Name()), int64(len(p.epochs[epoch]))*proofSize); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// readProofs reads the file of an epoch, and says how many bytes of it are no
// whole record.
func readProofs(file string, epoch uint64) (all []Proof, rest int, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, 0, err
	}
	for ; len(b) >= proofSize && len(all) < maxProofs; b = b[proofSize:] {
		var x Proof
		if ledger.Decode(b[:ledger.ChunkSize], &x.Chunk) == nil && x.Chunk.Epoch == epoch {
			x.Tokens = binary.BigEndian.Uint32(b[ledger.ChunkSize:])
			all = append(all, x)
		}
	}
	return all, len(b), nil
}

// ReadProofs reads what lies in a folder, the latest first, while a node may
// write there.
func ReadProofs(dir string) ([]Proof, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Proof
	for _, f := range files {
		epoch, err := strconv.ParseUint(f.Name(), 10, 64)
		if err != nil {
			continue
		}
		of, _, err := readProofs(filepath.Join(dir, f.Name()), epoch)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(all, of...)
	}
	slices.SortStableFunc(all, func(a, b Proof) int { return cmp.Compare(b.Chunk.Epoch, a.Chunk.Epoch) })
	return all, nil
}

// Keep remembers an answer.
func (p *Proofs) Keep(x Proof) error {
	c := x.Chunk
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.epochs[c.Epoch]); n >= maxProofs {
		return fmt.Errorf("%w: %d answers in epoch %d", ledger.ErrCap, n, c.Epoch)
	}
	f, err := os.OpenFile(p.path(c.Epoch), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(binary.BigEndian.AppendUint32(ledger.Encode(&c), x.Tokens))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	p.epochs[c.Epoch] = append(p.epochs[c.Epoch], x)
	return nil
}

func (p *Proofs) path(epoch uint64) string {
	return filepath.Join(p.dir, strconv.FormatUint(epoch, 10))
}

// Of lists the answers that ended in an epoch.
func (p *Proofs) Of(epoch uint64) []Proof {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Proof(nil), p.epochs[epoch]...)
}

// Find is the answer of a session.
func (p *Proofs) Find(s ledger.Session) (Proof, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, all := range p.epochs {
		for _, x := range all {
			if x.Chunk.Session == s {
				return x, true
			}
		}
	}
	return Proof{}, false
}

// Turn forgets what no audit is about any more in this epoch.
func (p *Proofs) Turn(epoch uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for e := range p.epochs {
		if e+proofEpochs >= epoch {
			continue
		}
		if err := os.Remove(p.path(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		delete(p.epochs, e)
	}
	return errors.Join(errs...)
}
