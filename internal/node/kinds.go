package node

import (
	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/gguf"
	"github.com/moeswarm/moeswarm/routing"
)

// kinds tells the router what computing a call of a layer is: the experts of a
// layer are of one format and one size, since a file stacks them. Of a model
// whose experts are elsewhere the manifest still tells the size.
func (n *Node) kinds() func(expert.ID) routing.Kind {
	byLayer := map[expert.ModelID]map[uint16]routing.Kind{}
	for _, m := range n.cfg.Models {
		id, manifest := m.Model.ID(), m.Model.Manifest()
		layers := map[uint16]routing.Kind{}
		for _, layer := range m.Model.Shape().SparseLayers {
			var k routing.Kind
			if piece, ok := manifest.Piece(layer, 0); ok {
				k.KiB = uint32(piece.Size >> 10)
			}
			if w, err := m.Model.Weights(expert.ID{Model: id, Layer: uint16(layer)}); err == nil {
				k.Format = uint16(w.W1.Type)<<8 | uint16(w.W2.Type)&0xff
			}
			layers[uint16(layer)] = k
		}
		byLayer[id] = layers
	}
	return func(id expert.ID) routing.Kind { return byLayer[id.Model][id.Layer] }
}

// formatsOf writes the formats of a kind for people.
func formatsOf(k routing.Kind) string {
	if k.Format == 0 {
		return "unknown"
	}
	up, down := gguf.Type(k.Format>>8).String(), gguf.Type(k.Format&0xff).String()
	if up == down {
		return up
	}
	return up + "+" + down
}
