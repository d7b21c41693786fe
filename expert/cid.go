package expert

// CID is the digest as a content id in binary form: version 1, codec raw
// (0x55), multihash BLAKE3 (0x1e) of 32 bytes. It is how the distributed hash
// table knows an expert's content.
func (d Digest) CID() []byte { return append([]byte{1, 0x55, 0x1e, 32}, d[:]...) }
