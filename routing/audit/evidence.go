package audit

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/routing"
)

const (
	// maxEvidence bounds the size of one file: four rows in and out of the
	// widest model there is, in base64.
	maxEvidence = 1 << 20
	// maxEvidenceFiles bounds their number; the oldest goes. A liar is
	// excluded after its first, so this is many liars.
	maxEvidenceFiles = 256
	// evidenceRows bounds the rows kept in a file.
	evidenceRows = 4
	evidenceExt  = ".evidence.json"
	// receiptTimeout bounds the wait for a liar's signature.
	receiptTimeout = 5 * time.Second
)

// Evidence is what convicted a peer, as it is kept on disk. Hashes and blobs
// are in hex and base64, floats little-endian.
type Evidence struct {
	Version int       `json:"version"` // 1
	Peer    string    `json:"peer"`
	Model   string    `json:"model"`
	Layer   int       `json:"layer"`
	Experts []int     `json:"experts"` // of the calls kept, in order
	Rows    []int     `json:"rows"`    // of each of them
	At      time.Time `json:"at"`      // when the answer came
	Class   string    `json:"class"`
	Tau     float64   `json:"tau"`
	Outcome string    `json:"outcome"`
	Steps   []Step    `json:"steps"`

	CallHash   string `json:"call_hash"`   // of the calls kept, see routing.HashCalls
	ResultHash string `json:"result_hash"` // of the answer to them; empty for a sum
	In         []byte `json:"in"`          // rows, each call's in turn
	Out        []byte `json:"out"`         // what the peer answered; for a sum, one row

	Receipt *EvidenceReceipt `json:"receipt,omitempty"` // the peer's signature, if it gave one
}

// EvidenceReceipt is a receipt on disk.
type EvidenceReceipt struct {
	CallHash   string `json:"call_hash"`
	ResultHash string `json:"result_hash"`
	InnerHash  string `json:"inner_hash"`
	UnixMs     int64  `json:"unix_ms"`
	Sig        []byte `json:"sig"`
}

// Confesses says whether the peer signed the very answer that convicts it.
func (e Evidence) Confesses() bool {
	return e.Receipt != nil && e.ResultHash != "" && e.Receipt.CallHash == e.CallHash && e.Receipt.ResultHash == e.ResultHash
}

// Signed is the receipt as it was signed, for those who verify it.
func (e Evidence) Signed() (routing.Receipt, error) {
	if e.Receipt == nil {
		return routing.Receipt{}, errors.New("evidence: without a receipt")
	}
	r := routing.Receipt{Peer: routing.Peer(e.Peer), At: time.UnixMilli(e.Receipt.UnixMs), Sig: e.Receipt.Sig}
	for _, h := range []struct {
		to   []byte
		from string
	}{{r.Call[:], e.Receipt.CallHash}, {r.Result[:], e.Receipt.ResultHash}, {r.Inner[:], e.Receipt.InnerHash}} {
		b, err := hex.DecodeString(h.from)
		if err != nil || len(b) != len(h.to) {
			return routing.Receipt{}, errors.New("evidence: a hash of the receipt is none")
		}
		copy(h.to, b)
	}
	return r, nil
}

// ParseEvidence reads what a file holds, and nothing but it.
func ParseEvidence(b []byte) (Evidence, error) {
	var e Evidence
	if len(b) > maxEvidence {
		return e, fmt.Errorf("evidence of %d bytes, at most %d allowed", len(b), maxEvidence)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	return e, e.check()
}

func (e Evidence) check() error {
	isHash := func(s string) bool { b, err := hex.DecodeString(s); return err == nil && len(b) == 32 }
	rows := 0
	for _, n := range e.Rows {
		if n < 0 || n > math.MaxUint16 {
			return fmt.Errorf("evidence: a call of %d rows", n)
		}
		rows += n
	}
	switch {
	case e.Version != 1:
		return fmt.Errorf("evidence of version %d; this program knows 1", e.Version)
	case !isHash(e.Model) || !isHash(e.CallHash) || e.ResultHash != "" && !isHash(e.ResultHash):
		return errors.New("evidence: a hash is none")
	case e.Peer == "" || len(e.Experts) == 0 || len(e.Experts) != len(e.Rows):
		return errors.New("evidence: about nobody or nothing")
	case rows == 0 || len(e.In)%(4*rows) != 0 || len(e.Out)%4 != 0:
		return fmt.Errorf("evidence: %d and %d bytes of %d rows", len(e.In), len(e.Out), rows)
	case e.Receipt != nil && (!isHash(e.Receipt.CallHash) || !isHash(e.Receipt.ResultHash) || !isHash(e.Receipt.InnerHash)):
		return errors.New("evidence: a hash of the receipt is none")
	}
	return nil
}

// newEvidence states a case that was cut down to what is kept.
func newEvidence(c *Case, v Verdict, t Tolerances) Evidence {
	e := Evidence{
		Version: 1, Peer: string(v.Peer), Model: hex.EncodeToString(v.Model[:]), Layer: v.Layer,
		At: v.At.UTC(), Class: v.Class.String(), Tau: t[v.Class].Tau, Outcome: v.Outcome.String(), Steps: slices.Clone(v.Steps),
	}
	for i, s := range e.Steps { // JSON has no infinity
		if math.IsInf(s.Error, 0) || math.IsNaN(s.Error) {
			e.Steps[i].Error = math.MaxFloat32
		}
	}
	hash := routing.HashCalls(c.In, c.Calls)
	e.CallHash = hex.EncodeToString(hash[:])
	for _, call := range c.Calls {
		e.Experts = append(e.Experts, int(call.Expert.Index))
		e.Rows = append(e.Rows, len(call.Rows))
		for _, r := range call.Rows {
			e.In = appendFloats(e.In, c.In.Row(int(r)))
		}
	}
	if c.Sum != nil {
		e.Out = appendFloats(nil, c.Sum.Data)
		return e
	}
	hash = routing.HashResults(c.Results)
	e.ResultHash = hex.EncodeToString(hash[:])
	for _, r := range c.Results {
		e.Out = appendFloats(e.Out, r.Out.Data)
	}
	return e
}

func appendFloats(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func (e *Evidence) sign(r routing.Receipt) {
	e.Receipt = &EvidenceReceipt{
		CallHash: hex.EncodeToString(r.Call[:]), ResultHash: hex.EncodeToString(r.Result[:]), InnerHash: hex.EncodeToString(r.Inner[:]),
		UnixMs: r.At.UnixMilli(), Sig: r.Sig,
	}
}

// record keeps what convicts a peer, at once, and adds the peer's signature
// when it gives one.
func (i *Inspector) record(c *Case, v Verdict) {
	if i.evidence == nil {
		return
	}
	picks := c.allPicks()
	if i.cfg.Weights != nil && len(picks) > evidenceRows {
		if set, err := i.cfg.Weights.set(c); err == nil {
			if most, err := worst(context.Background(), set, c, picks, evidenceRows); err == nil {
				picks = most
			}
		}
	}
	cut := c.only(picks[:min(len(picks), evidenceRows)])
	e := newEvidence(cut, v, i.cfg.Tolerances)
	name, err := i.evidence.add(e)
	if err != nil {
		i.cfg.Log.Warn("evidence could not be kept", "peer", v.Peer, "err", err)
		return
	}
	i.cfg.Log.Info("evidence kept", "peer", v.Peer, "file", name)
	if i.cfg.Challenger == nil {
		return
	}
	errand := func() {
		ctx, cancel := quiet(receiptTimeout)
		defer cancel()
		open, err := i.cfg.Challenger.Challenge(ctx, cut.Peer, cut.In, cut.Calls)
		if err != nil {
			i.cfg.Log.Debug("a liar does not sign", "peer", v.Peer, "err", err)
			return
		}
		e.sign(open.Receipt)
		if err := i.evidence.replace(name, e); err != nil {
			i.cfg.Log.Warn("evidence could not be kept", "peer", v.Peer, "err", err)
		}
	}
	select {
	case i.errands <- errand:
	default: // too many liars at once; what is kept must do
	}
}

// store keeps evidence in a directory, a file each.
type store struct{ dir string }

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return &store{dir}, nil
}

// add writes a new file, named by time and by peer, and returns its path.
func (s *store) add(e Evidence) (string, error) {
	all, err := s.files()
	if err != nil {
		return "", err
	}
	for len(all) >= maxEvidenceFiles {
		_ = os.Remove(filepath.Join(s.dir, all[0]))
		all = all[1:]
	}
	tag := base64.RawURLEncoding.EncodeToString([]byte(e.Peer))
	name := fmt.Sprintf("%s-%.16s-%.8s%s", e.At.Format("20060102T150405.000"), tag[max(0, len(tag)-16):], e.CallHash, evidenceExt)
	path := filepath.Join(s.dir, name)
	return path, s.replace(path, e)
}

// replace writes a file so that it is there whole or not at all.
func (s *store) replace(path string, e Evidence) error {
	b, err := json.MarshalIndent(e, "", "\t")
	if err != nil {
		return err
	}
	if len(b) > maxEvidence {
		return fmt.Errorf("evidence of %d bytes, at most %d allowed", len(b), maxEvidence)
	}
	f, err := os.CreateTemp(s.dir, "new-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// files lists the names of all files of evidence, oldest first.
func (s *store) files() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), evidenceExt) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// LoadEvidence reads all evidence in a directory, oldest first. Files that
// hold none are left out and reported in the error.
func LoadEvidence(dir string) ([]Evidence, error) {
	s := &store{dir}
	names, err := s.files()
	if err != nil {
		return nil, err
	}
	var out []Evidence
	var errs []error
	for _, name := range names {
		e, err := load(filepath.Join(dir, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		out = append(out, e)
	}
	return out, errors.Join(errs...)
}

func load(path string) (Evidence, error) {
	f, err := os.Open(path)
	if err != nil {
		return Evidence{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEvidence+1))
	if err != nil {
		return Evidence{}, err
	}
	return ParseEvidence(b)
}
