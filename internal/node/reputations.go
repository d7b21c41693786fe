package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moeswarm/moeswarm/routing"
)

// reputationsEvery is how often the files are written: what a crash loses is
// minutes of a conduct of days. Exclusions are written down at once.
const reputationsEvery = time.Minute

// maxExclusions bounds the file of exclusions, in bytes: some ten thousand. A
// file that is larger is begun anew from what is known when the node starts.
const maxExclusions = 4 << 20

// keptFile is a file that is read when the node starts and replaced whole
// while it runs.
type keptFile struct {
	path string
	load func(io.Reader) error
	save func(io.Writer) error
	due  func() bool // whether to write it now, unless the node stops; nil: yes
}

// keptFiles lists what the node remembers of its peers, and of what its models
// use most.
func (n *Node) keptFiles() []keptFile {
	if n.cfg.Reputations == "" {
		return nil
	}
	files := []keptFile{{n.cfg.Reputations, n.router.LoadReputations, n.router.SaveReputations, nil}}
	if n.audit != nil {
		files = append(files, keptFile{n.beside("standings.json"), n.audit.LoadStandings, n.audit.SaveStandings, nil})
	}
	if n.friends != nil {
		files = append(files, keptFile{n.beside("credit"), n.friends.load, n.friends.book.Save, n.friends.due})
	}
	for id, h := range n.hots {
		files = append(files, keptFile{n.beside("hot-" + id.Short() + ".json"), h.counts.Load, h.counts.Save, nil})
	}
	return files
}

// beside names a file next to that of the reputations.
func (n *Node) beside(name string) string {
	return filepath.Join(filepath.Dir(n.cfg.Reputations), name)
}

// loadReputations reads the files. One that cannot be read is kept aside, and
// what it said of the peers' conduct is learned again; but who was excluded is
// read from a file of its own, see [routing.Exclusion].
func (n *Node) loadReputations() error {
	for _, f := range n.keptFiles() {
		err := readFile(f.path, f.load)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		aside := f.path + ".unreadable-" + time.Now().UTC().Format("20060102T150405")
		if rerr := os.Rename(f.path, aside); rerr != nil {
			return fmt.Errorf("%s cannot be read (%w) nor moved aside (%v); move it away to start without it", f.path, err, rerr)
		}
		n.cfg.Log.Error("a file of what was seen before cannot be read; it is kept aside, and what it said is learned again", "file", f.path, "kept", aside, "err", err)
	}
	if n.cfg.Reputations == "" {
		return nil
	}
	return n.loadExclusions()
}

func (n *Node) loadExclusions() error {
	path := n.beside("exclusions.jsonl")
	var all []routing.Exclusion
	unreadable := 0
	err := readFile(path, func(r io.Reader) (err error) {
		all, unreadable, err = routing.ReadExclusions(r)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // not to be taken for "nobody is excluded"
		return fmt.Errorf("which peers are excluded cannot be read: %w; move the file away to start without it", err)
	}
	added := n.router.LoadExclusions(all)
	if added > 0 || unreadable > 0 {
		n.cfg.Log.Warn("peers are excluded that the file of reputations does not say so of", "file", path, "peers", added, "lines that cannot be read", unreadable)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxExclusions/2 {
		return replaceFile(path, func(w io.Writer) error {
			for _, e := range all {
				if err := routing.AppendExclusion(w, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// condemn excludes a peer and writes that down.
func (n *Node) condemn(p routing.Peer, reason string) {
	n.router.Condemn(p, reason)
	if n.cfg.Reputations == "" {
		return
	}
	if err := n.noteExclusion(routing.Exclusion{Peer: p, At: time.Now(), Reason: reason}); err != nil {
		n.cfg.Log.Warn("that a peer is excluded is not written down", "peer", p, "err", err)
	}
}

func (n *Node) noteExclusion(e routing.Exclusion) (err error) {
	f, err := os.OpenFile(n.beside("exclusions.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || info.Size() > maxExclusions {
		return errors.Join(err, errors.New("the file of exclusions is full; it is made smaller when the node starts"))
	}
	return routing.AppendExclusion(f, e)
}

// keepReputations writes the files now and then, and when ctx ends.
func (n *Node) keepReputations(ctx context.Context) error {
	if n.cfg.Reputations == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(reputationsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		for _, f := range n.keptFiles() {
			if f.due != nil && ctx.Err() == nil && !f.due() {
				continue
			}
			if err := replaceFile(f.path, f.save); err != nil {
				n.cfg.Log.Warn("what was seen is not kept", "file", f.path, "err", err)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func readFile(path string, load func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(load(f), f.Close())
}

// replaceFile replaces a file so that after a crash either the old or the new
// one is there, whole.
func replaceFile(path string, save func(io.Writer) error) (err error) {
	var b bytes.Buffer
	if err := save(&b); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
