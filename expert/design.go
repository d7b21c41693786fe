package expert

// Design says how an architecture computes, beyond the sizes in its [Shape].
// What the file's tensors tell is not repeated here: biases, norms of queries
// and keys, attention sinks and shared experts are in use where the file has
// them, which opening has checked against the architecture.
type Design struct {
	Attention Attention
	Rope      Rope
	Gate      Gate

	EmbedScale    float32 // of the embedding's rows; 1: none
	ResidualScale float32 // of what attention and experts add; 1: none
	LogitScale    float32 // of the head's answer; 1: none
}

// Attention is how queries meet keys.
type Attention struct {
	Scale float32 // of a query times a key
	// NormAfterRope: the norms of query and key heads come after the rotation.
	NormAfterRope bool
	// Windows has, for each layer, how many positions a row sees, its own
	// included; 0 is all. Nil: all layers see all.
	Windows []int
	// Latent describes multi-head latent attention, nil for the usual kind.
	Latent *Latent
}

// Window is how many positions a layer sees, 0 for all.
func (a Attention) Window(layer int) int {
	if layer < len(a.Windows) {
		return a.Windows[layer]
	}
	return 0
}

// Latent is multi-head latent attention (MLA): keys and values of all heads
// are made of one short vector per position. A query head has Plain values
// that are not rotated and then Rotated ones that are.
type Latent struct {
	QRank    int // of the compressed queries; 0: they are not compressed
	Rank     int // of the compressed keys and values
	Plain    int
	Rotated  int
	ValueDim int // of one head
	// Absorbed: the file has the matrices attn_k_b and attn_v_b, by which
	// queries meet the compressed vectors themselves; without it keys and
	// values are made of them, by attn_kv_b.
	Absorbed bool
}

// Pairs says which values of a head are rotated together.
type Pairs uint8

const (
	Halves     Pairs = iota // value i and value i + Dims/2 (llama.cpp: NEOX)
	Neighbours              // value 2i and value 2i + 1 (llama.cpp: NORM)
)

// Rope is the rotary position embedding.
type Rope struct {
	Pairs     Pairs
	Dims      int     // values of a head that are rotated, the first ones; even
	Base      float32 // of the frequencies
	Scale     float32 // of the positions; 1: none
	Magnitude float32 // of the rotated values; 1: none
	// Yarn mixes scaled and unscaled positions by frequency; nil: all scaled.
	Yarn *Yarn
}

// Yarn is how YaRN (arXiv 2309.00071) stretches a context: frequencies with
// more than Fast turns in the original context keep their positions, those
// with less than Slow are scaled, those between are mixed.
type Yarn struct {
	Original   int // positions before the stretching
	Fast, Slow float32
}

// Score is what a gate makes of the scores of a row.
type Score uint8

const (
	Softmax     Score = iota // over all experts
	Sigmoid                  // each by itself
	SoftmaxKept              // over those kept
)

// Gate is how experts are chosen and weighted.
type Gate struct {
	Score Score
	// Normalise: the weights of those kept are divided by their sum.
	Normalise bool
	Scale     float32 // of the weights; 1: none
	// Groups of neighbouring experts, of which those with the best two
	// together are kept, GroupsUsed of them. 0 or 1: no groups.
	Groups, GroupsUsed int
}
