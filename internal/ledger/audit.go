package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"slices"
)

// Audits of answers: some epochs after a gate signed an answer, a seed that
// nobody knew then says whether it has to show the transcript, and to whom.
const (
	// AuditDelay is how many epochs later the seed is of that draws an answer:
	// that of the next epoch is known in the last third of this one.
	AuditDelay = 2
	// AuditEpochs is for how many epochs a draw holds.
	AuditEpochs = 2
	// MaxAuditors is how many gates of the committee may see a transcript: the
	// second if the first is away.
	MaxAuditors = 2
)

// Audited says whether the answer that a chunk is of is drawn; seed is that of
// [AuditDelay] epochs after the chunk's.
func Audited(seed Hash, c Chunk, bps uint64) bool {
	h := auditHash("audit", seed, c, Key{})
	return binary.BigEndian.Uint64(h[:])%BpsOne < bps
}

// Auditors are who of a committee may see an answer's transcript, in the order
// in which they are asked: neither the gate nor the client. The first of them, so
// many as paid says, are gates that the epoch gives the client: whom it can pay.
func Auditors(seed Hash, c Chunk, seats []Seat) (keys []Key, paid int) {
	own := Assigned(seed, c.Client, seats)
	for _, s := range seats {
		if s.Peer != c.Gate && s.Peer != c.Client {
			keys = append(keys, s.Peer)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int {
		if x, y := slices.Contains(own, a), slices.Contains(own, b); x != y {
			if x {
				return -1
			}
			return 1
		}
		x, y := auditHash("auditor", seed, c, a), auditHash("auditor", seed, c, b)
		return bytes.Compare(x[:], y[:])
	})
	keys = keys[:min(len(keys), MaxAuditors)]
	for paid < len(keys) && slices.Contains(own, keys[paid]) {
		paid++
	}
	return keys, paid
}

// AuditSession is the session in which a client pays an auditor for looking at an
// answer: one for each answer, so that a voucher that comes again pays nothing
// twice and nothing else.
func AuditSession(c Chunk) (s Session) {
	h := Sum([]byte("audit session"), c.Gate[:], c.Session[:])
	copy(s[:], h[:])
	return s
}

// auditHash looks at what names an answer alone: at nothing that its gate
// chooses.
func auditHash(what string, seed Hash, c Chunk, k Key) Hash {
	return Sum([]byte(what), seed[:], c.Gate[:], c.Client[:], c.Model[:], c.Session[:], k[:])
}

// Deed is what a case about a chunk is about, as it stands in [Case].Evidence.
func (k Chunk) Deed() Hash { p := k.Place(); return Sum([]byte("deed"), p[:]) }

// Complaint is a client's word that an answer is to be looked at, drawn or not.
type Complaint struct {
	Client Key
	Chunk  Hash // ID of a chunk of the answer
	Sig    Sig
}

func (m *Complaint) body(c *coder) { c.key(&m.Client); c.hash(&m.Chunk) }
func (m *Complaint) code(c *coder) { m.body(c); c.sig(&m.Sig) }

// Signer is the client.
func (m Complaint) Signer() Key { return m.Client }

// Signature is the client's.
func (m Complaint) Signature() Sig { return m.Sig }

// Statement is what the client signs.
func (m Complaint) Statement(chain string) []byte { return statement("complaint", chain, &m) }

// Sign returns the complaint with its signature; private is the client's key.
func (m Complaint) Sign(chain string, private ed25519.PrivateKey) Complaint {
	m.Sig = sign(private, m.Statement(chain))
	return m
}

// AskKind is what somebody wants on the protocol of transcripts.
type AskKind uint8

// The kinds of requests.
const (
	AskLook AskKind = iota + 1 // a client to an auditor: look at the answer with this chunk
	AskShow                    // an auditor or juror to whoever has it: the transcript up to this chunk
)

// Ask is such a request.
type Ask struct {
	Kind  AskKind
	Chunk Chunk
	// Complaint, if its client is not zero, says that the client wants the answer
	// looked at, drawn or not.
	Complaint Complaint
	Case      Hash // of a juror; else zero
	// Tokens is how many the transcript has, prompt and answer, and Payment a
	// voucher for them, of [AuditSession]; zero: none. Both are a client's.
	Tokens  uint64
	Payment Voucher
}

// Paid says whether a voucher came with the request.
func (m Ask) Paid() bool { return m.Payment != Voucher{} }

// MaxAsk bounds an encoded Ask.
const MaxAsk = 1024

func (m *Ask) code(c *coder) {
	c.u8((*uint8)(&m.Kind))
	if m.Kind < AskLook || m.Kind > AskShow {
		c.fail("a request of kind %d", m.Kind)
	}
	m.Chunk.code(c)
	m.Complaint.code(c)
	c.hash(&m.Case)
	c.u64(&m.Tokens)
	m.Payment.code(c)
}
