package placement

// Rank orders nodes for one expert: whoever has the higher one fetches first
// and lets go last. All nodes compute the same. peer is a [PeerHash].
func Rank(peer uint64, expert int) uint64 { return mix(peer ^ mix(uint64(expert)+1)) }

// PeerHash makes a peer's name a number, the same on all nodes. It is no
// defence: a stranger may look for a name that ranks high, and gains that it
// is first to fetch an expert and last to let it go.
func PeerHash(peer string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(peer) {
		h = (h ^ uint64(peer[i])) * 1099511628211
	}
	return mix(h)
}

// mix spreads the bits of a number (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// uniform is a number in (0, 1) that depends on seed and i alone.
func uniform(seed uint64, i int) float64 {
	return (float64(mix(seed^mix(uint64(i)))>>11) + 0.5) / (1 << 53)
}
