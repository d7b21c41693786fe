// Package prompt holds the nouns of a prompt on its way through the swarm:
// the [Request] somebody makes, the [Chunk]s that come back and the
// [Completer] verb that joins them.
//
// Three things complete prompts: the engine of a gating node, the client of a
// remote gating node, and the entry that finds a gating node and, should it
// die, replays the request on another. They all are Completers, so a node
// that gates and one that only forwards look the same from above.
//
// Text goes in, tokens come out: only the gating node has the tokenizer. Each
// chunk carries its token's raw bytes, which may end in the middle of a UTF-8
// sequence; [Text] turns them into printable text at the edge and watches for
// stop strings there.
package prompt

import (
	"context"
	"errors"
	"iter"

	"github.com/moeswarm/moeswarm/expert"
)

// Request is one prompt to be completed.
type Request struct {
	Model expert.ModelID
	// User tells apart those whom a gating node is fair between. It does not
	// travel: the node where a request arrives says whose it is, the peer's
	// name for one from the network. Empty: the node's own users.
	User string
	Text string // the prompt, as the user wrote it
	// Prefix holds tokens of the answer that were already delivered. They are
	// prefilled, not delivered again, and count against MaxTokens. This is
	// how an answer moves from a gating node that died to another one.
	Prefix    []int32
	MaxTokens int // of the whole answer, Prefix included; > 0
	Sampling  Sampling
	// BestEffort is the share of a row's gate mass that may be left out when
	// experts are late or have no holder, 0 to 1. 0, the default, is exact: no
	// expert is ever left out.
	BestEffort float32
}

// Sampling says how the next token is drawn from the logits. The zero value
// is greedy. Drawing the token at position i uses randomness derived from
// (Seed, i) alone, so a replay elsewhere draws the same tokens.
type Sampling struct {
	Temperature   float32 // 0: greedy
	TopK          int     // keep the k best; 0: all
	TopP          float32 // keep the smallest set of at least this mass; 0 or 1: all
	MinP          float32 // drop tokens below this share of the best one's probability; 0: none
	RepeatPenalty float32 // divides positive logits of recent tokens; 0 or 1: none
	Seed          uint64
}

// Finish says why an answer ended.
type Finish string

const (
	FinishNone   Finish = ""       // it has not ended
	FinishStop   Finish = "stop"   // end-of-text token, or a stop string
	FinishLength Finish = "length" // MaxTokens, or the model's context, is used up
)

// Chunk is one step of an answer: one token, or, in the last chunk, possibly
// only the reason why it ended.
type Chunk struct {
	PromptTokens int    // tokens of the prompt; the same in every chunk
	Cached       int    // how many of them were kept from an earlier prompt; the same in every chunk
	HasToken     bool   // false only in a last chunk without a token
	Token        int32  // the token's id
	Bytes        []byte // its raw bytes; empty for control tokens
	Finish       Finish // set in the last chunk only
	// Dropped is what was left out on the way to this chunk, prefill included
	// in the first; zero unless the request allows it.
	Dropped Dropped
	// Drafts are those of the answer so far, so the last chunk has the sum.
	Drafts Drafts
}

// Drafts counts tokens that were proposed ahead of the model, and those of
// them that the model then chose itself.
type Drafts struct{ Drafted, Accepted int }

// Dropped counts experts that were left out of rows because they were late.
type Dropped struct {
	Calls int     // (row, expert) pairs
	Mass  float64 // sum of their gate weights; a row's weights add up to 1
}

// Completer completes prompts. The sequence yields the tokens after
// Request.Prefix in order and ends after a chunk with Finish set, or after an
// error. When the caller stops ranging or ctx ends, the work stops too.
type Completer interface {
	Complete(ctx context.Context, r Request) iter.Seq2[Chunk, error]
}

// Errors of a Completer that its callers tell apart.
var (
	// ErrBadRequest: the request itself is at fault (prompt too long, number
	// out of range); no other node will do better.
	ErrBadRequest = errors.New("bad request")
	// ErrUnknownModel: the node asked does not gate this model.
	ErrUnknownModel = errors.New("model not served here")
	// ErrBusy: the node has as many answers running and waiting as it allows.
	ErrBusy = errors.New("busy")
	// ErrLost: the node was lost, or is leaving, before the answer ended.
	// Replay on another.
	ErrLost = errors.New("gating node lost")
	// ErrNoGate: no gating node of this model is known.
	ErrNoGate = errors.New("no gating node for this model")
	// ErrMissingExperts: the gating node is there, but experts have no holder.
	ErrMissingExperts = errors.New("experts without a holder")
)
