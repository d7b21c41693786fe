package transcript

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// KeepEpochs is for how many epochs after its last chunk an answer's transcript
// is kept: until audits of it can begin and as long as they may (see
// [ledger.AuditDelay]), and for what a jury and an appeal take.
const KeepEpochs = ledger.AuditDelay + ledger.AuditEpochs + 5

// DefaultMaxBytes bounds an archive: a gating node that answers without a pause
// writes some 300 bytes to 1 KiB a token.
const DefaultMaxBytes = 4 << 30

// maxFiles bounds the answers in an archive, whatever their length.
const maxFiles = 1 << 20

// ErrFull: the archive has no room before older answers are past their audits.
var ErrFull = errors.New("the archive of transcripts is full")

// Name is which answer a transcript is of, at the gate that keeps it.
type Name struct {
	Client  ledger.Key
	Session ledger.Session
}

func (n Name) file() string {
	return hex.EncodeToString(n.Client[:]) + "-" + hex.EncodeToString(n.Session[:])
}

func parseName(s string) (n Name, ok bool) {
	if len(s) != 2*len(n.Client)+1+2*len(n.Session) || s[2*len(n.Client)] != '-' {
		return n, false
	}
	_, err1 := hex.Decode(n.Client[:], []byte(s[:2*len(n.Client)]))
	_, err2 := hex.Decode(n.Session[:], []byte(s[2*len(n.Client)+1:]))
	return n, err1 == nil && err2 == nil
}

// Archive keeps transcripts in a folder, one file each, which grows by a part
// before the part's signature leaves the node; so whatever a gate signed, it can
// show, also after it was killed. What a torn write left of a part was never
// signed away and is not read. Files lie in folders named by the epoch in which
// their answers began.
type Archive struct {
	dir  string
	most int64

	mu    sync.Mutex
	used  int64
	files map[Name]*kept
}

// kept is one answer's file.
type kept struct {
	begun, last uint64 // epochs of the first and the last chunk
	bytes       int64
	parts       int
	running     bool
}

// OpenArchive reads what lies in a folder, which it makes if need be. maxBytes
// of 0 is [DefaultMaxBytes].
func OpenArchive(dir string, maxBytes int64) (*Archive, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	a := &Archive{dir: dir, most: maxBytes, files: map[Name]*kept{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	epochs, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range epochs {
		epoch, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || !e.IsDir() {
			continue // not ours
		}
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name, ok := parseName(f.Name())
			info, err := f.Info()
			if !ok || err != nil {
				continue
			}
			// In which epoch it ended is not read: one later at the most.
			a.files[name] = &kept{begun: epoch, last: epoch + 1, bytes: info.Size()}
			a.used += info.Size()
		}
	}
	return a, nil
}

func (a *Archive) path(n Name, begun uint64) string {
	return filepath.Join(a.dir, strconv.FormatUint(begun, 10), n.file())
}

// Begin makes room for an answer. It fails with [ErrFull], or if there is one of
// this name: a gate that signed two answers of one name would contradict itself,
// which clients could have it do on purpose.
func (a *Archive) Begin(n Name, epoch uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used >= a.most || len(a.files) >= maxFiles {
		return fmt.Errorf("%w: %d bytes of %d answers, %d allowed", ErrFull, a.used, len(a.files), a.most)
	}
	if _, known := a.files[n]; known {
		return fmt.Errorf("%w: an answer of this name", ledger.ErrDuplicate)
	}
	if err := os.MkdirAll(filepath.Dir(a.path(n, epoch)), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(a.path(n, epoch), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	a.files[n] = &kept{begun: epoch, last: epoch, running: true}
	return f.Close()
}

// Append writes the last part of a transcript behind those before it.
func (a *Archive) Append(n Name, t *Transcript) error {
	a.mu.Lock()
	k := a.files[n]
	a.mu.Unlock()
	i := len(t.Parts) - 1
	if k == nil || i != k.parts {
		return fmt.Errorf("%w: part %d of an answer that has %d", ledger.ErrUnknown, i, k.count())
	}
	var b []byte
	if i == 0 {
		b = t.head()
	}
	b = t.Parts[i].append(b)
	f, err := os.OpenFile(a.path(n, k.begun), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k.parts++
	k.bytes += int64(len(b))
	k.last = max(k.last, t.Parts[i].Chunk.Epoch)
	a.used += int64(len(b))
	return nil
}

func (k *kept) count() int {
	if k == nil {
		return 0
	}
	return k.parts
}

// End says that an answer has no more parts, and waits until the disk has it.
func (a *Archive) End(n Name) error {
	a.mu.Lock()
	k := a.files[n]
	if k != nil {
		k.running = false
	}
	a.mu.Unlock()
	if k == nil {
		return nil
	}
	f, err := os.OpenFile(a.path(n, k.begun), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = errors.Join(f.Sync(), f.Close())
	if d, open := os.Open(filepath.Dir(a.path(n, k.begun))); open == nil {
		_ = d.Sync() // not every system can
		_ = d.Close()
	}
	return err
}

// Get reads an answer's transcript. The error wraps ledger.ErrUnknown when there
// is none.
func (a *Archive) Get(n Name) (*Transcript, error) {
	a.mu.Lock()
	k := a.files[n]
	a.mu.Unlock()
	if k == nil {
		return nil, fmt.Errorf("%w: no transcript of this answer", ledger.ErrUnknown)
	}
	b, err := os.ReadFile(a.path(n, k.begun))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, fmt.Errorf("%w: no transcript of this answer", ledger.ErrUnknown)
	}
	if err != nil {
		return nil, err
	}
	t, _, err := decode(b)
	if err == nil && len(t.Parts) == 0 {
		err = fmt.Errorf("%w: no part of this answer was signed", ledger.ErrUnknown)
	}
	return t, err
}

// Turn forgets the answers that nobody can ask for any more in this epoch.
func (a *Archive) Turn(epoch uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for n, k := range a.files {
		if k.running || k.last+KeepEpochs >= epoch {
			continue
		}
		if err := os.Remove(a.path(n, k.begun)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		_ = os.Remove(filepath.Dir(a.path(n, k.begun))) // if it is empty now
		delete(a.files, n)
		a.used -= k.bytes
	}
	return errors.Join(errs...)
}

// Bytes is what the archive takes on disk, and how many answers it has.
func (a *Archive) Bytes() (bytes int64, answers int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used, len(a.files)
}
