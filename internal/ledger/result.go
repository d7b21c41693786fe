package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
)

// Result is the header of the answer to one frame of calls, of one layer. A holder
// signs several at once, the root of a tree of them (see [Bundle]); each is proof by
// itself. The first fields name the frame; two results of one frame that differ
// below are proof that the holder lied once.
type Result struct {
	Holder  Key
	Gate    Key // who asked
	Model   Hash
	Epoch   uint64
	Session Session // of the stream of calls, drawn by the holder
	Seq     uint64  // of the frame in the session
	Layer   uint16
	Rows    uint32 // of output: one for each row of each call
	Input   Hash   // root over experts and rows, see package court

	Output Hash // root over the rows that came back
	Sketch Hash // SimHash-256 of the output; zero if the holder made none

	// Place is where the result is among those that were signed at once, Last the
	// place of the last of them, and Path the way to the root, of [PathLen] hashes.
	Place, Last uint8
	Path        []Hash
	Sig         Sig // of the root
}

// MaxBundle bounds the results that are signed at once.
const MaxBundle = 64

func (r *Result) call(c *coder) {
	c.key(&r.Holder)
	c.key(&r.Gate)
	c.hash(&r.Model)
	c.u64(&r.Epoch)
	c.session(&r.Session)
	c.u64(&r.Seq)
	c.u16(&r.Layer)
	c.u32(&r.Rows)
	c.hash(&r.Input)
}

func (r *Result) body(c *coder) {
	r.call(c)
	c.hash(&r.Output)
	c.hash(&r.Sketch)
}

func (r *Result) code(c *coder) {
	r.body(c)
	c.u8(&r.Place)
	c.u8(&r.Last)
	n := PathLen(int(r.Place), int(r.Last)+1)
	switch {
	case r.Last >= MaxBundle || r.Place > r.Last:
		c.fail("result %d of %d", r.Place, int(r.Last)+1)
		return
	case c.reading && n > 0:
		r.Path = make([]Hash, n)
	case !c.reading && len(r.Path) != n:
		c.fail("a path of %d hashes, want %d", len(r.Path), n)
		return
	}
	for i := range r.Path {
		c.hash(&r.Path[i])
	}
	c.sig(&r.Sig)
}

// Call is the hash of what names the frame.
func (r Result) Call() Hash {
	c := coder{buf: []byte("call")}
	r.call(&c)
	return Sum(c.buf)
}

// leaf is the result's hash in the tree of those that are signed at once.
func (r *Result) leaf() Hash {
	c := coder{buf: append(make([]byte, 0, commonSize), "header"...)}
	r.body(&c)
	return sha256.Sum256(c.buf)
}

// Contradicts says whether both are results of one frame by one holder, and not
// the same. It does not verify signatures.
func (r Result) Contradicts(o Result) bool {
	return r.Call() == o.Call() && (r.Output != o.Output || r.Sketch != o.Sketch)
}

// Signer is the holder.
func (r Result) Signer() Key { return r.Holder }

// Signature is the holder's.
func (r Result) Signature() Sig { return r.Sig }

// Statement is what the holder signs: the root that the path leads to.
func (r Result) Statement(chain string) []byte {
	i, n := int(r.Place), int(r.Last)+1
	if i >= n || n > MaxBundle || len(r.Path) != PathLen(i, n) {
		return statement("no result", chain, root{}) // which nobody signs
	}
	return statement(results, chain, root(Climb(r.leaf(), i, n, r.Path)))
}

// results is the kind of statement that a root is.
const results = "results"

// root is the hash of a tree of results, as it is signed.
type root Hash

func (h root) body(c *coder) { c.hash((*Hash)(&h)) }

// Sign returns the result with a signature of it alone; private is the holder's key.
func (r Result) Sign(chain string, private ed25519.PrivateKey) Result {
	r.Place, r.Last, r.Path = 0, 0, nil
	r.Sig = sign(private, r.Statement(chain))
	return r
}

// ChunkTokens is how many tokens of an answer a gate signs at once.
const ChunkTokens = 32

// Chunk is a gate's signed part of an answer. Prev makes a chain of them.
type Chunk struct {
	Gate        Key
	Client      Key
	Model       Hash
	Epoch       uint64
	Session     Session
	Index       uint64
	Prev        Hash // of the statement of the chunk before; of the first, what was asked, see [Salt.Asked]
	Tokens      Hash
	Fingerprint Hash // of the last hidden states
	Routing     Hash // of the experts that were chosen
	Sig         Sig
}

// ChunkSize is the length of an encoded chunk.
const ChunkSize = 1 + 32 + 32 + 32 + 8 + 16 + 8 + 4*32 + 64

func (k *Chunk) place(c *coder) {
	c.key(&k.Gate)
	c.key(&k.Client)
	c.hash(&k.Model)
	c.u64(&k.Epoch)
	c.session(&k.Session)
	c.u64(&k.Index)
}

func (k *Chunk) body(c *coder) {
	k.place(c)
	c.hash(&k.Prev)
	c.hash(&k.Tokens)
	c.hash(&k.Fingerprint)
	c.hash(&k.Routing)
}

func (k *Chunk) code(c *coder) { k.body(c); c.sig(&k.Sig) }

// Place is the hash of what names the chunk: session and index.
func (k Chunk) Place() Hash {
	c := coder{buf: []byte("chunk")}
	k.place(&c)
	return Sum(c.buf)
}

// ID is what the next chunk has as Prev.
func (k Chunk) ID() Hash {
	c := coder{buf: []byte("chain")}
	k.body(&c)
	return Sum(c.buf)
}

// Contradicts says whether both stand at one place and are not the same. It
// does not verify signatures.
func (k Chunk) Contradicts(o Chunk) bool { return k.Place() == o.Place() && k.ID() != o.ID() }

// Signer is the gate.
func (k Chunk) Signer() Key { return k.Gate }

// Signature is the gate's.
func (k Chunk) Signature() Sig { return k.Sig }

// Statement is what the gate signs.
func (k Chunk) Statement(chain string) []byte { return statement("chunk", chain, &k) }

// Sign returns the chunk with its signature; private is the gate's key.
func (k Chunk) Sign(chain string, private ed25519.PrivateKey) Chunk {
	k.Sig = sign(private, k.Statement(chain))
	return k
}
