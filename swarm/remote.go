package swarm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// Remote completes prompts at a gating node. Errors are those that the node
// sent, or prompt.ErrLost when it was lost; the holdings learn from both.
func (n *Node) Remote(p routing.Peer) prompt.Completer { return distant{node: n, to: p} }

// distant is a gating node as this node's users see it.
type distant struct {
	node *Node
	to   routing.Peer
}

// Complete implements prompt.Completer.
func (d distant) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		l := d.node.live.Load()
		if l == nil {
			yield(prompt.Chunk{}, fmt.Errorf("%w: this node is not running", prompt.ErrLost))
			return
		}
		for c, err := range newRemote(l.host, d.to, promptTimes{}, d.node.pay).Complete(ctx, r) {
			if err != nil {
				d.learn(l, r, err)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// learn corrects the holdings by what a failed prompt says.
func (d distant) learn(l *live, r prompt.Request, failed error) {
	id, err := peerID(d.to)
	switch {
	case err != nil:
	case errors.Is(failed, prompt.ErrUnknownModel):
		_ = d.node.dir.write(func(t *holdings, _ time.Time) (bool, error) {
			return t.refusedPrompt(d.to, r.Model), nil
		})
	case !errors.Is(failed, prompt.ErrLost):
	case l.host.Network().Connectedness(id) != network.Connected:
		d.node.unreachable(d.to)
	default:
		d.node.suspect(l, id)
	}
}
