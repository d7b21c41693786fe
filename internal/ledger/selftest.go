package ledger

// Mark is one value of a fingerprint of hidden states: its place among them, and
// its bfloat16.
type Mark struct {
	Index uint32
	Bits  uint16
}

// MaxMarks bounds the values of a fingerprint.
const MaxMarks = 128

func (m *Mark) code(c *coder) { c.u32(&m.Index); c.u16(&m.Bits) }

func marks(c *coder, all *[]Mark) {
	list(c, all, MaxMarks, 6, func(c *coder, m *Mark) { m.code(c) })
}

// SelfTest is what a gate makes of a model's public prompt.
type SelfTest struct {
	Model Hash
	Marks []Mark
}

func (t *SelfTest) code(c *coder) { c.hash(&t.Model); marks(c, &t.Marks) }

// What two machines that run one model may differ by, see [SameMarks].
const (
	sameShare = 90 // percent of the marks
	sameOff   = 4  // mean difference of mantissas, of 128 steps
)

// SameMarks says whether a fingerprint is that of the model which made the
// reference: of 9 in 10 of the reference's values it has the sign and exponent at
// the same place, with mantissas that differ by 4 of 128 steps on average at most.
// Both are in the order of their places; what is not, is not found. An empty
// reference is nobody's.
func SameMarks(reference, of []Mark) bool {
	same, off, at := 0, 0, 0
	for _, r := range reference {
		for at < len(of) && of[at].Index < r.Index {
			at++
		}
		if at == len(of) {
			break
		}
		if m := of[at]; m.Index == r.Index && m.Bits>>7 == r.Bits>>7 {
			same++
			off += max(int(m.Bits&127)-int(r.Bits&127), int(r.Bits&127)-int(m.Bits&127))
		}
	}
	return same > 0 && same*100 >= len(reference)*sameShare && off <= same*sameOff
}
