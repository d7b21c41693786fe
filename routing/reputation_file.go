package routing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// The file of reputations is JSON, so that people can read why a peer is not
// asked: {"version": 1, "peers": [{"peer": "12D3…", "good": 20, …}]}.
const (
	reputationVersion = 1
	// maxReputationFile bounds what is read: maxPeers entries whose names and
	// reasons are as long as they may be, and six bytes a character, escaped.
	maxReputationFile = (6*(maxPeerName+maxReason) + 400) * maxPeers
	maxPeerName       = 128 // a peer id has 52 characters
	maxReason         = 200
	// mostChecks bounds Good and Bad: the forgetting converges below it, to
	// five times its memory.
	mostChecks = 5001
)

type reputationFile struct {
	Version int               `json:"version"`
	Peers   []reputationEntry `json:"peers"`
}

type reputationEntry struct {
	Peer     Peer      `json:"peer"`
	Good     float64   `json:"good"`
	Bad      float64   `json:"bad"`
	Punctual float64   `json:"punctual"`
	Speed    float64   `json:"speed"`
	Uptime   float64   `json:"uptime"`
	Seen     time.Time `json:"seen"`
	Excluded string    `json:"excluded,omitempty"`
}

// WriteReputations writes a file of reputations, ordered by peer. Writing it
// so that a crash leaves the old one whole is the caller's part.
func WriteReputations(w io.Writer, all map[Peer]Reputation) error {
	f := reputationFile{Version: reputationVersion, Peers: []reputationEntry{}}
	for p, r := range all {
		f.Peers = append(f.Peers, reputationEntry{p, r.Good, r.Bad, r.Punctual, r.Speed, r.Uptime, r.Seen.UTC(), r.Excluded})
	}
	slices.SortFunc(f.Peers, func(a, b reputationEntry) int { return cmp.Compare(a.Peer, b.Peer) })
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// ReadReputations reads what WriteReputations wrote. It refuses a file that it
// would not have written.
func ReadReputations(r io.Reader) (map[Peer]Reputation, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxReputationFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxReputationFile {
		return nil, fmt.Errorf("reputations: more than %d bytes", maxReputationFile)
	}
	var f reputationFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("reputations: %w", err)
	}
	switch {
	case f.Version != reputationVersion:
		return nil, fmt.Errorf("reputations: version %d, want %d", f.Version, reputationVersion)
	case len(f.Peers) > maxPeers:
		return nil, fmt.Errorf("reputations: %d peers, at most %d", len(f.Peers), maxPeers)
	}
	all := make(map[Peer]Reputation, len(f.Peers))
	for i := range f.Peers {
		e := &f.Peers[i]
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("reputations: entry %d: %w", i, err)
		}
		if _, twice := all[e.Peer]; twice {
			return nil, fmt.Errorf("reputations: entry %d: %.20q is there twice", i, e.Peer)
		}
		all[e.Peer] = Reputation{e.Good, e.Bad, e.Punctual, e.Speed, e.Uptime, e.Seen, e.Excluded}
	}
	return all, nil
}

func (e *reputationEntry) check() error {
	within := func(v, most float64) bool { return v >= 0 && v <= most }
	switch {
	case e.Peer == "" || len(e.Peer) > maxPeerName:
		return fmt.Errorf("a peer name of %d bytes", len(e.Peer))
	case len(e.Excluded) > maxReason:
		return fmt.Errorf("a reason of %d bytes, at most %d", len(e.Excluded), maxReason)
	case !within(e.Good, mostChecks), !within(e.Bad, mostChecks),
		!within(e.Punctual, 1), !within(e.Speed, 1), !within(e.Uptime, 1):
		return fmt.Errorf("numbers out of range: %+v", *e)
	}
	return nil
}
