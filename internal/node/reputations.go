package node

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// reputationsEvery is how often the file is written: what a crash loses is
// minutes of a conduct of days. Exclusions are rare and come again.
const reputationsEvery = time.Minute

// loadReputations reads the file. One that cannot be read is no reason not to
// start: what it said is learned again.
func (n *Node) loadReputations() {
	if n.cfg.Reputations == "" {
		return
	}
	f, err := os.Open(n.cfg.Reputations)
	if err == nil {
		err = errors.Join(n.router.LoadReputations(f), f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.cfg.Log.Warn("the reputations of peers start anew", "file", n.cfg.Reputations, "err", err)
	}
}

// keepReputations writes the file now and then, and when ctx ends.
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
		if err := n.saveReputations(); err != nil {
			n.cfg.Log.Warn("the reputations of peers are not kept", "err", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// saveReputations replaces the file so that after a crash either the old or
// the new one is there, whole.
func (n *Node) saveReputations() (err error) {
	var b bytes.Buffer
	if err := n.router.SaveReputations(&b); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(n.cfg.Reputations), filepath.Base(n.cfg.Reputations)+".*.tmp")
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
	return os.Rename(f.Name(), n.cfg.Reputations)
}
