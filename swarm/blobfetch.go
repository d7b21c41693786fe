package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// blobAnswer bounds the wait for an answer: four chunks in flight at 4 KB/s.
const blobAnswer = 4 * time.Minute

// BlobStream asks one peer for parts of models: Ask sends a want, Next takes
// the answer to the eldest that has none. It is for one goroutine.
type BlobStream struct {
	stream network.Stream
	frames *wire.Reader
	body   []byte // of a refusal
	stop   func() bool
	asked  uint64 // id of the last want
	heard  uint64 // id of the last answer
}

// OpenBlobs opens a stream to a peer, which ends with ctx. Close it.
func (n *Node) OpenBlobs(ctx context.Context, to routing.Peer) (*BlobStream, error) {
	h, id, err := n.wayTo(to)
	if err != nil {
		return nil, err
	}
	dial, cancel := context.WithTimeout(ctx, callDialTimeout)
	defer cancel()
	s, err := openStream(dial, h, id, blobProtocol)
	if err != nil {
		return nil, fmt.Errorf("%w: parts of models from %s: %w", expert.ErrUnreachable, to, err)
	}
	return &BlobStream{stream: s, frames: wire.NewReader(s), stop: context.AfterFunc(ctx, func() { _ = s.Reset() })}, nil
}

// Ask sends a want. Do not have more than some chunks in flight: the peer reads
// a want only when the one before it is answered.
func (b *BlobStream) Ask(w wire.Want) error {
	b.asked++
	_ = b.stream.SetWriteDeadline(time.Now().Add(blobWrite))
	_, err := b.stream.Write(wire.AppendWant(nil, b.asked, w))
	if err != nil {
		return fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	return nil
}

// Next waits for an answer, whose bytes are read into buf's memory if there is
// enough of it; else they are valid until the next call. An error that wraps a
// [*wire.Refused] is the answer to that want alone; any other ends the stream.
func (b *BlobStream) Next(buf []byte) (wire.Blob, error) {
	_ = b.stream.SetReadDeadline(time.Now().Add(blobAnswer))
	h, err := b.frames.Next()
	for errors.Is(err, wire.ErrKind) {
		h, err = b.frames.Next()
	}
	if err != nil {
		return wire.Blob{}, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	if h.Kind == wire.KindRefusal {
		return wire.Blob{}, b.refused(h)
	}
	if b.heard++; h.Kind != wire.KindBlob || h.ID != b.heard || b.heard > b.asked {
		return wire.Blob{}, fmt.Errorf("%w: %v %d where answer %d is due", wire.ErrFormat, h.Kind, h.ID, b.heard)
	}
	blob, err := b.frames.ReadBlob(buf)
	if err != nil && !errors.Is(err, wire.ErrFormat) {
		err = fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	return blob, err
}

// refused reads a refusal.
func (b *BlobStream) refused(h wire.Header) (err error) {
	if b.body, err = b.frames.Body(b.body); err != nil {
		return fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	r, err := wire.ParseRefusal(b.body)
	if err != nil {
		return err
	}
	if h.ID == 0 { // the whole stream is refused
		return fmt.Errorf("%w: the peer serves others", expert.ErrOverloaded)
	}
	if b.heard++; h.ID != b.heard {
		return fmt.Errorf("%w: answer %d where %d is due", wire.ErrFormat, h.ID, b.heard)
	}
	return r.Err()
}

// Close ends the stream and gives up what is in flight.
func (b *BlobStream) Close() {
	b.stop()
	if b.heard == b.asked {
		_ = b.stream.CloseWrite()
	}
	_ = b.stream.Reset()
}

// Servers lists the usable peers that serve some part of a model, and looks for
// more in the background. They may have its other parts, too.
func (n *Node) Servers(model expert.ModelID) (peers []routing.Peer) {
	if l := n.live.Load(); l != nil {
		n.watch(l, model)
	}
	n.dir.read(func(t *holdings) {
		m := t.models[model]
		if m == nil {
			return
		}
		for p, c := range m.peers {
			if e := t.peers[p]; e != nil && e.usable && !c.left {
				peers = append(peers, p)
			}
		}
	})
	return peers
}

// BlobsSent is how many bytes of parts of models this node has sent so far.
func (n *Node) BlobsSent() int64 {
	if l := n.live.Load(); l != nil && l.services.blobs != nil {
		return l.services.blobs.sent.Load()
	}
	return 0
}
