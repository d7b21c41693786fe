package audit

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// The file of standings is JSON: {"version": 1, "standings": [{"peer": "12D3…",
// "model": "…", "passes": 57, "at": "…"}]}. Without it a restart would make
// every peer new, and all its first answers wait for their audits again.
const (
	standingVersion = 1
	maxStandingFile = 512 * maxKnown
	maxPeerName     = 128
	// mostPasses bounds what is believed of a file. Beyond 100 the rate is the
	// least there is.
	mostPasses = 1_000_000
	// standingLasts is how long a peer's standing is kept that was not audited
	// meanwhile: its disk and its owner may have changed.
	standingLasts = 30 * 24 * time.Hour
)

type standingFile struct {
	Version   int             `json:"version"`
	Standings []standingEntry `json:"standings"`
}

type standingEntry struct {
	Peer   routing.Peer `json:"peer"`
	Model  string       `json:"model"` // in hexadecimal
	Passes int          `json:"passes"`
	At     time.Time    `json:"at"`
}

// SaveStandings writes how far peers are trusted: how many of their answers in
// a row have passed. Writing it so that a crash leaves the old file whole is
// the caller's part.
func (i *Inspector) SaveStandings(w io.Writer) error {
	f := standingFile{Version: standingVersion, Standings: []standingEntry{}}
	i.mu.Lock()
	for who, s := range i.mu.known {
		if s.passes > 0 && who.peer != "" && len(who.peer) <= maxPeerName && utf8.ValidString(string(who.peer)) {
			f.Standings = append(f.Standings, standingEntry{who.peer, hex.EncodeToString(who.model[:]), min(s.passes, mostPasses), s.at.UTC()})
		}
	}
	i.mu.Unlock()
	slices.SortFunc(f.Standings, func(a, b standingEntry) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Model, b.Model))
	})
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// LoadStandings adopts what SaveStandings wrote, but for what is out of date.
// It refuses a file that it would not have written, whole. It is meant for the
// time before the first answer.
func (i *Inspector) LoadStandings(r io.Reader) error {
	all, err := readStandings(r)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.cfg.now()
	for who, s := range all {
		if now.Sub(s.at) < standingLasts && !s.at.After(now) {
			known := i.knownLocked(who)
			known.passes, known.at = s.passes, s.at
		}
	}
	return nil
}

func readStandings(r io.Reader) (map[subject]standing, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxStandingFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxStandingFile {
		return nil, fmt.Errorf("standings: more than %d bytes", maxStandingFile)
	}
	var f standingFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("standings: %w", err)
	}
	switch {
	case f.Version != standingVersion:
		return nil, fmt.Errorf("standings: version %d, want %d", f.Version, standingVersion)
	case len(f.Standings) > maxKnown:
		return nil, fmt.Errorf("standings: %d entries, at most %d", len(f.Standings), maxKnown)
	}
	all := make(map[subject]standing, len(f.Standings))
	for n, e := range f.Standings {
		id, err := hex.DecodeString(e.Model)
		if err != nil || len(id) != len(expert.ModelID{}) || e.Peer == "" || len(e.Peer) > maxPeerName ||
			e.Passes <= 0 || e.Passes > mostPasses {
			return nil, fmt.Errorf("standings: entry %d cannot be: peer %.20q, model %.20q, %d passes", n, e.Peer, e.Model, e.Passes)
		}
		who := subject{e.Peer, expert.ModelID(id)}
		if _, twice := all[who]; twice {
			return nil, fmt.Errorf("standings: entry %d is there twice", n)
		}
		all[who] = standing{passes: e.Passes, at: e.At}
	}
	return all, nil
}
