package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/jury"
	"github.com/moeswarm/moeswarm/internal/transfer"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	// maxJuryWeights bounds one expert that a juror reads into memory: four
	// times the largest published.
	maxJuryWeights = 1 << 30
	// juryStore bounds what a juror keeps of experts that it fetched to judge.
	juryStore = 2 << 30
)

// network opens an expert for the jury's kernel: of a model that is here, or
// fetched from whoever has it.
func (n *Node) network(ctx context.Context, model ledger.Hash, layer, index uint16) (jury.Network, error) {
	man, own, err := n.manifestFor(ctx, expert.ModelID(model))
	if err != nil {
		return jury.Network{}, err
	}
	piece, ok := man.Piece(int(layer), int(index))
	if !ok || piece.Size > maxJuryWeights {
		return jury.Network{}, fmt.Errorf("layer %d, expert %d: not in the model, or of %d bytes", layer, index, piece.Size)
	}
	act := jury.SwiGLU
	if man.Shape.Activation() == ggml.SwiGLUClamped {
		act = jury.SwiGLUClamped
	}
	b, err := n.juryBlob(ctx, man, own, piece)
	if err != nil {
		return jury.Network{}, err
	}
	return jury.Open(b, tree.Hash(piece.Hash), act)
}

// manifestFor finds a model's manifest here or at peers; own is nil where it is
// not a model of this node.
func (n *Node) manifestFor(ctx context.Context, id expert.ModelID) (man *expert.Manifest, own *expert.Model, err error) {
	for _, m := range n.cfg.Models {
		if m.Model.ID() == id {
			return m.Model.Manifest(), m.Model, nil
		}
	}
	peers := n.net.Servers(id)
	if len(peers) == 0 {
		return nil, nil, fmt.Errorf("nobody known has model %s", id.Short())
	}
	man, err = transfer.Manifest(ctx, id, peers, n.openBlobs)
	return man, nil, err
}

func (n *Node) openBlobs(ctx context.Context, p routing.Peer) (transfer.Stream, error) {
	s, err := n.net.OpenBlobs(ctx, p)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// juryBlob reads an expert's bytes; whoever opens them checks them.
func (n *Node) juryBlob(ctx context.Context, man *expert.Manifest, own *expert.Model, piece expert.Piece) ([]byte, error) {
	if own != nil {
		if b, ok := own.Part(piece.Hash); ok {
			return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		}
	}
	if n.cfg.Content != nil {
		if l, err := n.cfg.Content.Lease(piece.Hash); err == nil {
			defer l.Release()
			return slices.Clone(l.Data), nil
		}
	}
	return n.fetchForJury(ctx, man, piece)
}

// fetchForJury fetches an expert into a store of its own, so that it takes no
// room from what the node serves.
func (n *Node) fetchForJury(ctx context.Context, man *expert.Manifest, piece expert.Piece) (_ []byte, err error) {
	store, err := content.Open(filepath.Join(n.cfg.Economy.Dir, "court"), juryStore)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Room(piece, nil); err != nil {
		return nil, err
	}
	id := man.ID()
	sources := func() (out []transfer.Source) {
		for _, p := range n.net.Servers(id) {
			out = append(out, transfer.Source{Peer: p, Have: func(expert.Piece) transfer.Have { return transfer.Maybe }})
		}
		return out
	}
	if _, err := transfer.Fetch(ctx, transfer.Config{Store: store, Pieces: []expert.Piece{piece}, Sources: sources,
		Open: n.openBlobs, Limit: n.download, Log: n.cfg.Log}); err != nil {
		return nil, err
	}
	l, err := store.Lease(piece.Hash)
	if err != nil {
		return nil, err
	}
	defer l.Release()
	return slices.Clone(l.Data), nil
}
