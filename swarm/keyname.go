package swarm

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/routing"
)

// PeerOf is the name among peers of the node whose public key this is.
func PeerOf(key [32]byte) (routing.Peer, error) {
	public, err := crypto.UnmarshalEd25519PublicKey(key[:])
	if err != nil {
		return "", err
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		return "", err
	}
	return routingPeer(id), nil
}

// KeyOf is the public key of a peer. Its name contains it; a name that does
// not is no node of ours.
func KeyOf(p routing.Peer) (key [32]byte, err error) {
	id, err := peerID(p)
	if err != nil {
		return key, err
	}
	public, err := id.ExtractPublicKey()
	if err != nil {
		return key, fmt.Errorf("peer %s: %w", p, err)
	}
	raw, err := public.Raw()
	if err == nil && (len(raw) != ed25519.PublicKeySize || public.Type() != crypto.Ed25519) {
		err = errors.New("its key is not ed25519")
	}
	if err != nil {
		return key, fmt.Errorf("peer %s: %w", p, err)
	}
	copy(key[:], raw)
	return key, nil
}
