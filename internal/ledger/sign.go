package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Signed is a statement that somebody signs: a voucher, a receipt, a result, a
// chunk, a transaction of the light client.
type Signed interface {
	Signer() Key
	Signature() Sig
	// Statement is what is signed on a chain of this name. Its first bytes tell
	// kinds of statements and chains apart, so that none passes for another.
	Statement(chain string) []byte
}

// MaxChain bounds the length of a chain's name.
const MaxChain = 48

// statement is kind, chain and the record, which leaves its signature out.
func statement(kind, chain string, r interface{ body(*coder) }) []byte {
	name := sha256.Sum256([]byte(chain))
	c := coder{buf: make([]byte, 0, 256)}
	c.buf = append(c.buf, "neuro/"...)
	c.buf = append(c.buf, kind...)
	c.buf = append(c.buf, 0)
	c.buf = append(c.buf, name[:]...)
	r.body(&c)
	return c.buf
}

// zip215 is the one rule of verification: alone and in batches the same
// signatures pass, on every machine. (The standard library's rule differs from
// that of batches for signatures that were made to differ.)
func zip215() *voi.Options { return &voi.Options{Verify: voi.VerifyOptionsZIP_215} }

// VerifySig says whether sig is k's over message.
func VerifySig(k Key, message []byte, sig Sig) bool {
	return voi.VerifyWithOptions(voi.PublicKey(k[:]), message, sig[:], zip215())
}

// Verify says whether the statement was signed by whom it names. The error
// wraps ErrSignature.
func Verify(chain string, s Signed) error {
	if !VerifySig(s.Signer(), s.Statement(chain), s.Signature()) {
		return fmt.Errorf("%w: of %v", ErrSignature, s.Signer())
	}
	return nil
}

// VerifyAll says of each statement whether its signature holds, about five
// times as fast as one by one when all do.
func VerifyAll[S Signed](chain string, all []S) []bool {
	if len(all) == 1 {
		return []bool{Verify(chain, all[0]) == nil}
	}
	batch := voi.NewBatchVerifierWithCapacity(len(all))
	for _, s := range all {
		k, sig := s.Signer(), s.Signature()
		batch.AddWithOptions(voi.PublicKey(k[:]), s.Statement(chain), sig[:], zip215())
	}
	_, each := batch.Verify(nil)
	return each
}

func sign(private ed25519.PrivateKey, message []byte) Sig {
	return Sig(ed25519.Sign(private, message))
}
