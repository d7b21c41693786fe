package ledger

import (
	"crypto/sha256"
	"slices"
)

// Hashes are the leaves of a tree, which has a node over each two neighbours of a
// level; a level's odd last node goes up as it is. What a leaf hashes begins with
// another byte than nodeTag, so that neither passes for the other.
type Hashes []Hash

// nodeTag is the first byte of what the hash of a node is over.
const nodeTag = 1

func node(l, r Hash) Hash {
	var b [1 + 2*len(l)]byte
	b[0] = nodeTag
	copy(b[1:], l[:])
	copy(b[1+len(l):], r[:])
	return sha256.Sum256(b[:])
}

// up is the next level.
func (level Hashes) up() Hashes {
	next := make(Hashes, 0, (len(level)+1)/2)
	for i := 0; i+1 < len(level); i += 2 {
		next = append(next, node(level[i], level[i+1]))
	}
	if len(level)%2 == 1 {
		next = append(next, level[len(level)-1])
	}
	return next
}

// Root is the hash of the tree; zero of no leaves.
func (level Hashes) Root() Hash {
	if len(level) == 0 {
		return Hash{}
	}
	level = slices.Clone(level)
	for n := len(level); n > 1; n = (n + 1) / 2 { // each level takes the place of the one below
		for i := range n / 2 {
			level[i] = node(level[2*i], level[2*i+1])
		}
		if n%2 == 1 {
			level[n/2] = level[n-1]
		}
	}
	return level[0]
}

// Path is what shows leaf i.
func (level Hashes) Path(i int) (path []Hash) {
	for ; len(level) > 1; level, i = level.up(), i/2 {
		if s := i ^ 1; s < len(level) {
			path = append(path, level[s])
		}
	}
	return path
}

// PathLen is how long the path of leaf i of n is.
func PathLen(i, n int) (k int) {
	for ; n > 1; i, n = i/2, (n+1)/2 {
		if i^1 < n {
			k++
		}
	}
	return k
}

// Climb is the root over leaf i of n by a path of [PathLen] hashes.
func Climb(leaf Hash, i, n int, path []Hash) Hash {
	for ; n > 1; i, n = i/2, (n+1)/2 {
		if i^1 >= n {
			continue
		}
		if i%2 == 0 {
			leaf = node(leaf, path[0])
		} else {
			leaf = node(path[0], leaf)
		}
		path = path[1:]
	}
	return leaf
}
