package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/transfer"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// manifestSay is how long the search for a manifest may take before a word is
// said, and then again.
const manifestSay = 5 * time.Second

// FindManifest joins the swarm of cfg for a moment, under an identity of its
// own and without serving anything, to fetch the manifest of a model, and says
// what the model is called there. It tries until ctx ends.
func FindManifest(ctx context.Context, cfg Config, id expert.ModelID) (m *expert.Manifest, name string, err error) {
	if cfg, err = cfg.validate(); err != nil {
		return nil, "", err
	}
	listen := []string{"/ip4/0.0.0.0/tcp/0"}
	net, err := swarm.New(swarm.Config{Listen: listen, Join: cfg.Join, MDNS: cfg.MDNS, Reach: cfg.Reach, Rendezvous: cfg.Rendezvous, Log: cfg.Log})
	if err != nil {
		return nil, "", err
	}
	inner, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- net.Run(inner) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done)
	}()
	open := func(ctx context.Context, p routing.Peer) (transfer.Stream, error) {
		s, err := net.OpenBlobs(ctx, p)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	tick := time.NewTicker(manifestSay)
	defer tick.Stop()
	var asked []routing.Peer
	for {
		changed := net.Changed()
		peers := slices.DeleteFunc(net.Servers(id), func(p routing.Peer) bool { return slices.Contains(asked, p) })
		if len(peers) > 0 {
			if m, err = transfer.Manifest(ctx, id, peers, open); err == nil {
				return m, nameOf(net.Models(), id), nil
			}
			cfg.Log.Debug("no manifest yet", "err", err)
			asked = append(asked, peers...)
		}
		select {
		case <-ctx.Done():
			return nil, "", context.Cause(ctx)
		case err := <-done:
			done <- nil
			return nil, "", errors.Join(err, errors.New("the network ended before the model was found"))
		case <-changed:
		case <-tick.C:
			asked = nil // once more
			cfg.Say("looking for model %s: nobody known has it yet (%d peers)", id.Short(), len(net.Peers()))
		}
	}
}

// nameOf is what the swarm calls a model, or the first digits of its id.
func nameOf(models []swarm.ModelView, id expert.ModelID) string {
	for _, m := range models {
		if m.Model == id && m.Name != "" {
			return m.Name
		}
	}
	return id.Short()
}
