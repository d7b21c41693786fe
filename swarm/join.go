package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// joiner keeps one of the nodes that the user named connected. While this
// node has no peer at all it tries often; when only that node is away it asks
// now and then.
type joiner struct {
	host host.Host
	node peer.AddrInfo
	log  *slog.Logger
	// changed gives a channel that is closed when a connection comes or goes.
	changed func() <-chan struct{}
}

// run tries until ctx ends.
func (j *joiner) run(ctx context.Context) {
	wait := joinRetryMin
	for ctx.Err() == nil {
		changed := j.changed()
		if j.connected() {
			wait = joinRetryMin
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := j.try(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if !j.alone() {
			wait = joinRetryMax
		}
		j.log.Warn(j.complaint(err, wait))
		j.log.Debug("joining failed", "peer", j.node.ID, "err", err)
		if j.rest(ctx, wait) {
			wait = joinRetryMin
		} else {
			wait = min(2*wait, joinRetryMax)
		}
	}
}

// try dials the node once.
func (j *joiner) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// libp2p spares peers that failed; here the pauses are ours.
	if s, ok := j.host.Network().(*libp2pswarm.Swarm); ok {
		s.Backoff().Clear(j.node.ID)
	}
	return j.host.Connect(ctx, j.node)
}

// rest waits for d. It ends early, and returns true, when the last of this
// node's other peers is lost meanwhile, and when the node connects to us.
func (j *joiner) rest(ctx context.Context, d time.Duration) bool {
	wasAlone := j.alone()
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		changed := j.changed()
		if j.connected() || !wasAlone && j.alone() {
			return true
		}
		select {
		case <-changed:
		case <-t.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (j *joiner) connected() bool {
	return linked(j.host, j.node.ID)
}

func (j *joiner) alone() bool { return len(j.host.Network().Peers()) == 0 }

// complaint tells a person why the node is not joined.
func (j *joiner) complaint(err error, wait time.Duration) string {
	var at []string
	for _, a := range j.node.Addrs {
		at = append(at, a.String())
	}
	where := strings.Join(at, ", ")
	var other sec.ErrPeerIDMismatch
	if errors.As(err, &other) {
		return fmt.Sprintf("the node at %s is %s, not %s: the address to join is out of date; retrying in %v",
			where, other.Actual, other.Expected, wait)
	}
	return fmt.Sprintf("nobody answers at %s; retrying in %v", where, wait)
}
