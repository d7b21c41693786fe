package swarm

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/moeswarm/moeswarm/expert"
)

// Keys of the hash table; the package doc has the derivations.

func keyOf(digest [sha256.Size]byte) cid.Cid {
	// Encode adds a prefix to the digest; it fails for unknown codes only.
	mh, err := multihash.Encode(digest[:], multihash.SHA2_256)
	if err != nil {
		panic("multihash does not know SHA-256: " + err.Error())
	}
	return cid.NewCidV1(cid.Raw, mh)
}

// manifestKey finds nodes that serve some part of a model.
func manifestKey(m expert.ModelID) cid.Cid { return keyOf(m) }

// gatesKey finds gating nodes of a model.
func gatesKey(m expert.ModelID) cid.Cid {
	return keyOf(sha256.Sum256(append([]byte("moeswarm/1/gates"), m[:]...)))
}

// servesKey finds nodes that serve anything.
func servesKey() cid.Cid { return keyOf(sha256.Sum256([]byte("moeswarm/1/serves"))) }

// rendezvousKey is what the nodes of a swarm provide in a foreign table.
func rendezvousKey(name string) cid.Cid {
	return keyOf(sha256.Sum256([]byte("moeswarm/1/rendezvous" + name)))
}

// expertKey finds the holders of an expert that has no content id.
func expertKey(id expert.ID) cid.Cid {
	b := append([]byte("moeswarm/1/expert"), id.Model[:]...)
	b = binary.LittleEndian.AppendUint16(b, id.Layer)
	b = binary.LittleEndian.AppendUint16(b, id.Index)
	return keyOf(sha256.Sum256(b))
}

// offerKey is the key of an expert as the offer wants it.
func offerKey(o Offer, id expert.ID) (cid.Cid, error) {
	b, ok := o.CIDs[id]
	if !ok {
		return expertKey(id), nil
	}
	c, err := cid.Cast(b)
	if err != nil {
		return cid.Undef, fmt.Errorf("content id of %v: %w", id, err)
	}
	return c, nil
}

// offerKeys lists every key under which the offers are to be found.
func offerKeys(offers []Offer) ([]cid.Cid, error) {
	if len(offers) == 0 {
		return nil, nil
	}
	keys := []cid.Cid{servesKey()}
	for _, o := range offers {
		if !o.serves() {
			continue
		}
		keys = append(keys, manifestKey(o.Model))
		if o.Gates {
			keys = append(keys, gatesKey(o.Model))
		}
		for _, id := range o.Held {
			k, err := offerKey(o, id)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// expertKey is the key under which the holders of an expert are to be found,
// as our own offer of its model has it, if there is one.
func (n *Node) expertKey(id expert.ID) cid.Cid {
	for _, o := range n.offers.now() {
		if o.Model == id.Model {
			if k, err := offerKey(o, id); err == nil {
				return k
			}
		}
	}
	return expertKey(id)
}
