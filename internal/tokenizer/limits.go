package tokenizer

// Limits on what metadata may claim. All are far above published models.
const (
	// MaxTokens bounds the vocabulary; the largest published ones have about
	// 262,000 tokens.
	MaxTokens = 1 << 20
	// MaxTokenBytes bounds the text of one token; the longest published ones
	// are runs of a few hundred spaces. It also bounds the depth of the
	// search for control tokens, and so its time.
	MaxTokenBytes = 1 << 10
	// MaxMerges bounds BPE's merges; published models have at most about two
	// for each token.
	MaxMerges = 1 << 21
)
