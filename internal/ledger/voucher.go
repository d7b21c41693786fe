package ledger

import "crypto/ed25519"

// Voucher is a client's promise to pay a gate. Cum and Tokens are totals of the
// session at that gate in that epoch, so only the highest one counts: one that
// is lost, repeated or late changes nothing. It needs no expiry, since the
// epoch has one.
type Voucher struct {
	Client  Key
	Gate    Key
	Model   Hash
	Epoch   uint64
	Session Session
	Tokens  uint64 // prompt and answer
	Cum     Amount
	Sig     Sig
}

// VoucherSize is the length of an encoded voucher.
const VoucherSize = 1 + 32 + 32 + 32 + 8 + 16 + 8 + 8 + 64

func (v *Voucher) body(c *coder) {
	c.key(&v.Client)
	c.key(&v.Gate)
	c.hash(&v.Model)
	c.u64(&v.Epoch)
	c.session(&v.Session)
	c.u64(&v.Tokens)
	c.amount(&v.Cum)
}

func (v *Voucher) code(c *coder) { v.body(c); c.sig(&v.Sig) }

// Signer is the client.
func (v Voucher) Signer() Key { return v.Client }

// Signature is the client's.
func (v Voucher) Signature() Sig { return v.Sig }

// Statement is what the client signs.
func (v Voucher) Statement(chain string) []byte { return statement("voucher", chain, &v) }

// Sign returns the voucher with its signature; private is the client's key.
func (v Voucher) Sign(chain string, private ed25519.PrivateKey) Voucher {
	v.Sig = sign(private, v.Statement(chain))
	return v
}

// Receipt is a gate's promise to a holder: the work it did for the gate in the
// epoch so far. It is a claim on the gate's bond. A unit is one token row
// through one expert; rows of an answer that came late count nothing.
type Receipt struct {
	Gate   Key
	Holder Key
	Model  Hash
	Epoch  uint64
	Units  uint64 // total of the epoch
	Passed uint64 // audits passed, total of the epoch
	Sig    Sig
}

// ReceiptSize is the length of an encoded receipt.
const ReceiptSize = 1 + 32 + 32 + 32 + 8 + 8 + 8 + 64

func (r *Receipt) body(c *coder) {
	c.key(&r.Gate)
	c.key(&r.Holder)
	c.hash(&r.Model)
	c.u64(&r.Epoch)
	c.u64(&r.Units)
	c.u64(&r.Passed)
}

func (r *Receipt) code(c *coder) { r.body(c); c.sig(&r.Sig) }

// Signer is the gate.
func (r Receipt) Signer() Key { return r.Gate }

// Signature is the gate's.
func (r Receipt) Signature() Sig { return r.Sig }

// Statement is what the gate signs.
func (r Receipt) Statement(chain string) []byte { return statement("receipt", chain, &r) }

// Sign returns the receipt with its signature; private is the gate's key.
func (r Receipt) Sign(chain string, private ed25519.PrivateKey) Receipt {
	r.Sig = sign(private, r.Statement(chain))
	return r
}
