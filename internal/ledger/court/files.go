package court

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const (
	votesDir       = "votes"
	accusationsDir = "accusations"
)

// vote is a ruling and the salt of its commitment, as it lies on disk: the hash,
// the error, big-endian, the salt.
type vote struct {
	ruling ledger.Ruling
	salt   ledger.Hash
}

const voteSize = 32 + 4 + 32

func (c *Clerk) votePath(id ledger.Hash, appeal bool) string {
	panel := "-1"
	if appeal {
		panel = "-2"
	}
	return filepath.Join(c.cfg.Dir, votesDir, hex.EncodeToString(id[:])+panel)
}

// newVote writes a ruling down with a salt before anybody hears of it.
func (c *Clerk) newVote(id ledger.Hash, appeal bool, r ledger.Ruling) (vote, error) {
	v := vote{ruling: r}
	_, _ = rand.Read(v.salt[:]) // never fails
	b := append([]byte(nil), r.Output[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Error)
	return v, writeFile(c.votePath(id, appeal), append(b, v.salt[:]...))
}

func (c *Clerk) readVote(id ledger.Hash, appeal bool) (v vote, err error) {
	b, err := readFile(c.votePath(id, appeal), voteSize)
	if err != nil {
		return v, err
	}
	if len(b) != voteSize {
		return v, fmt.Errorf("a ruling of %d bytes", len(b))
	}
	copy(v.ruling.Output[:], b)
	v.ruling.Error = binary.BigEndian.Uint32(b[32:])
	copy(v.salt[:], b[36:])
	return v, nil
}

// forgetVotes drops rulings of cases that are over.
func (c *Clerk) forgetVotes(open []ledger.Hash) error {
	files, err := os.ReadDir(filepath.Join(c.cfg.Dir, votesDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), "-")
		if slices.ContainsFunc(open, func(h ledger.Hash) bool { return h.String() == name }) {
			continue
		}
		if err := os.Remove(filepath.Join(c.cfg.Dir, votesDir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Accuse has a case opened or a contradiction shown, now or as soon as the ledger
// takes it: what it says is on disk when Accuse returns. The evidence that the
// message names is kept for the jury.
func (c *Clerk) Accuse(m ledger.Msg, evidence ...[]byte) error {
	b, err := ledger.EncodeMsg(m)
	if err != nil {
		return err
	}
	waiting, err := os.ReadDir(filepath.Join(c.cfg.Dir, accusationsDir))
	if err != nil {
		return err
	}
	if len(waiting) >= maxWaiting {
		return fmt.Errorf("%w: %d accusations wait", ledger.ErrCap, maxWaiting)
	}
	for _, e := range evidence {
		if _, err := c.shelf.Put(e); err != nil {
			return err
		}
	}
	h := ledger.Sum(b)
	if err := writeFile(filepath.Join(c.cfg.Dir, accusationsDir, hex.EncodeToString(h[:])), b); err != nil {
		return err
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// accuseAll brings to the ledger what waits, and says how many still do.
func (c *Clerk) accuseAll(ctx context.Context) (waiting int, err error) {
	dir := filepath.Join(c.cfg.Dir, accusationsDir)
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if f.Name()[0] == '.' { // of a write that was cut off
			_ = os.Remove(path)
			continue
		}
		b, err := readFile(path, ledger.MaxMsg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m, err := ledger.DecodeMsg(b)
		if err == nil {
			_, err = c.cfg.Ledger.Submit(ctx, m)
		}
		switch {
		case err == nil:
			c.cfg.Log.Info("a peer is accused before the ledger")
			c.count(func(s *Stats) { s.Opened++ })
		case over(err):
			c.cfg.Log.Info("the ledger does not take an accusation", "err", err)
		default:
			waiting++
			errs = append(errs, fmt.Errorf("an accusation: %w", err))
			continue
		}
		if err := os.Remove(path); err != nil {
			errs = append(errs, err)
		}
	}
	return waiting, errors.Join(errs...)
}

// over says whether a refusal is for good: somebody was faster, it is too late,
// or the accused has no bond.
func over(err error) bool {
	for _, e := range []error{ledger.ErrDuplicate, ledger.ErrTooLate, ledger.ErrUnknown, ledger.ErrMalformed, ledger.ErrSignature, ledger.ErrUnauthorized} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
