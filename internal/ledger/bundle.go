package ledger

import "crypto/ed25519"

// Bundle is results of one holder for one gate in one session, signed at once: the
// signature is over the root of the tree of their headers. It is how they travel;
// [Bundle.Result] makes one of them proof by itself.
type Bundle struct {
	Holder  Key
	Gate    Key
	Session Session
	Said    []Said // 1 to MaxBundle
	Sig     Sig
}

// Said is what a result says beside who, to whom and in which session.
type Said struct {
	Model  Hash
	Epoch  uint64
	Seq    uint64
	Layer  uint16
	Rows   uint32
	Input  Hash
	Output Hash
	Sketch Hash
}

// saidSize is the length of an encoded Said, MaxBundleSize that of the longest
// bundle.
const (
	saidSize      = 32 + 8 + 8 + 2 + 4 + 3*32
	MaxBundleSize = 1 + 32 + 32 + 16 + 4 + MaxBundle*saidSize + 64
)

func (s *Said) code(c *coder) {
	c.hash(&s.Model)
	c.u64(&s.Epoch)
	c.u64(&s.Seq)
	c.u16(&s.Layer)
	c.u32(&s.Rows)
	c.hash(&s.Input)
	c.hash(&s.Output)
	c.hash(&s.Sketch)
}

func (b *Bundle) code(c *coder) {
	c.key(&b.Holder)
	c.key(&b.Gate)
	c.session(&b.Session)
	list(c, &b.Said, MaxBundle, saidSize, func(c *coder, s *Said) { s.code(c) })
	if len(b.Said) == 0 {
		c.fail("a bundle of nothing")
	}
	c.sig(&b.Sig)
}

// header is result i without its place in the tree.
func (b *Bundle) header(i int) Result {
	s := b.Said[i]
	return Result{Holder: b.Holder, Gate: b.Gate, Model: s.Model, Epoch: s.Epoch, Session: b.Session, Seq: s.Seq,
		Layer: s.Layer, Rows: s.Rows, Input: s.Input, Output: s.Output, Sketch: s.Sketch}
}

func (b *Bundle) leaves() Hashes {
	leaves := make(Hashes, len(b.Said))
	for i := range b.Said {
		r := b.header(i)
		leaves[i] = r.leaf()
	}
	return leaves
}

// Result is result i, as it is shown alone.
func (b *Bundle) Result(i int) Result {
	r := b.header(i)
	r.Place, r.Last = uint8(i), uint8(len(b.Said)-1)
	r.Path, r.Sig = b.leaves().Path(i), b.Sig
	return r
}

// Signer is the holder.
func (b *Bundle) Signer() Key { return b.Holder }

// Signature is the holder's.
func (b *Bundle) Signature() Sig { return b.Sig }

// Statement is what the holder signs: the root.
func (b *Bundle) Statement(chain string) []byte {
	return statement(results, chain, root(b.leaves().Root()))
}

// Sign signs the bundle; private is the holder's key.
func (b *Bundle) Sign(chain string, private ed25519.PrivateKey) {
	b.Sig = sign(private, b.Statement(chain))
}
