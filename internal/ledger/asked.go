package ledger

import "encoding/binary"

// Salt is what a client draws for an answer. Its gate learns it, and who audits
// the answer; without it nobody can find out by trying what was asked and
// answered, though a chunk is evidence that everybody may see.
type Salt [16]byte

// Session is the name of the answer.
func (s Salt) Session() (id Session) {
	h := Sum([]byte("answer"), s[:])
	copy(id[:], h[:])
	return id
}

// Asked stands for a request, as its bytes went from the client to the gate, and
// for how many tokens the gate made of it and of what came before the answer.
// The first chunk of the answer has it as Prev.
func (s Salt) Asked(request []byte, tokens int) Hash {
	return Sum([]byte("asked"), s[:], binary.BigEndian.AppendUint32(nil, uint32(tokens)), request)
}

// Tokens stands for tokens of the answer.
func (s Salt) Tokens(tokens []int32) Hash {
	b := make([]byte, 0, 4*len(tokens))
	for _, t := range tokens {
		b = binary.BigEndian.AppendUint32(b, uint32(t))
	}
	return Sum([]byte("tokens"), s[:], b)
}
