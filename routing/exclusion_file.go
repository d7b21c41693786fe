package routing

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Exclusion is the record that a peer was condemned. The file of exclusions
// has one a line, in JSON, and is only ever appended to: a line is there as
// soon as the peer is condemned, and one that cannot be read costs no other.
// So exclusions outlive a crash, and a damaged file of reputations.
type Exclusion struct {
	Peer   Peer      `json:"peer"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

const (
	// maxExclusionLine bounds a line: name and reason, six bytes a character
	// at worst, escaped.
	maxExclusionLine = 6*(maxPeerName+maxReason) + 200
	// maxExclusionFile bounds what is read, and what a node writes.
	maxExclusionFile = maxExclusionLine * maxPeers
)

// AppendExclusion writes one line, with one Write.
func AppendExclusion(w io.Writer, e Exclusion) error {
	if !writable(e.Peer) {
		return fmt.Errorf("exclusions: %.20q is no name of a peer", e.Peer)
	}
	e.Reason, e.At = trimmedReason(e.Reason), e.At.UTC()
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// ReadExclusions reads what AppendExclusion wrote, the latest of each peer in
// the order of the file, and says how many lines could not be read.
func ReadExclusions(r io.Reader) (all []Exclusion, unreadable int, err error) {
	at := map[Peer]int{}
	lines := bufio.NewReaderSize(io.LimitReader(r, maxExclusionFile), maxExclusionLine+1)
	for {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) { // too long to be one of ours: skip the rest of it
			line = nil
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return all, unreadable, err
		}
		ended := err != nil
		if ended && len(line) == 0 {
			return all, unreadable, nil
		}
		var e Exclusion
		if json.Unmarshal(line, &e) != nil || !e.sound() {
			unreadable++
		} else if i, known := at[e.Peer]; known {
			all[i] = e
		} else if len(all) < maxPeers {
			at[e.Peer] = len(all)
			all = append(all, e)
		}
		if ended {
			return all, unreadable, nil
		}
	}
}

// sound says whether AppendExclusion could have written it.
func (e *Exclusion) sound() bool {
	year := e.At.UTC().Year()
	return writable(e.Peer) && len(e.Reason) <= maxReason && utf8.ValidString(e.Reason) && year >= 0 && year <= 9999
}

// LoadExclusions condemns the peers of a file of exclusions again, those that
// are not condemned already.
func (r *Router) LoadExclusions(all []Exclusion) (added int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range all {
		r.mu.table.judge(e.Peer, func(rep Reputation) Reputation {
			if rep.Excluded != "" {
				return rep
			}
			added++
			at := e.At
			if rep.Seen.After(at) {
				at = rep.Seen
			}
			rep = rep.Checked(false, at)
			rep.Excluded = trimmedReason(e.Reason)
			return rep
		})
	}
	return added
}
