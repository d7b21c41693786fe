package ledger

import (
	"fmt"
	"net/netip"
)

// Net is a public network as far as juries care: the first 24 bits of an
// address of version 4, or 48 of version 6, with the version before.
type Net [7]byte

// MaxNets bounds the networks of a provider.
const MaxNets = 8

// NetOf is the network of an address; ok is false for addresses that are not
// public, which say nothing about who is whose neighbour.
func NetOf(a netip.Addr) (n Net, ok bool) {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return n, false
	}
	if a.Is4() {
		n[0] = 4
		copy(n[1:4], a.AsSlice())
		return n, true
	}
	n[0] = 6
	copy(n[1:], a.AsSlice()[:6])
	return n, true
}

// String is the network with its length.
func (n Net) String() string {
	switch n[0] {
	case 4:
		return netip.AddrFrom4([4]byte{n[1], n[2], n[3]}).String() + "/24"
	case 6:
		var a [16]byte
		copy(a[:], n[1:])
		return netip.AddrFrom16(a).String() + "/48"
	}
	return fmt.Sprintf("network %x", n[:])
}

// Valid says whether it is a network.
func (n Net) Valid() bool {
	return n[0] == 6 || n[0] == 4 && n[4] == 0 && n[5] == 0 && n[6] == 0
}

func (c *coder) net(n *Net) { c.bytes(n[:]) }
