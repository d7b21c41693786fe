// Package prompt holds the nouns of a prompt on its way through the swarm:
// the [Request] somebody makes, the [Chunk]s that come back and the
// [Completer] verb that joins them.
//
// Three things complete prompts: the engine of a gating node, the client of a
// remote gating node, and the entry that finds a gating node and, should it
// die, replays the request on another. They all are Completers, so a node
// that gates and one that only forwards look the same from above.
//
// Text or a conversation goes in, tokens come out: only the gating node has the
// tokenizer and the chat template. Each
// chunk carries its token's raw bytes, which may end in the middle of a UTF-8
// sequence; [Text] turns them into printable text at the edge and watches for
// stop strings there.
package prompt

import (
	"context"
	"encoding/json"
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
	// Chat is a conversation instead of Text; the gating node renders it.
	Chat *Chat
	// Task is what is wanted; empty: a completion.
	Task Task
	// Tokens are those to be turned into text, for TaskDetokenize.
	Tokens []int32
	// Plain, for TaskTokenize, takes names of control tokens for text and adds
	// none.
	Plain bool
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
	// Logprobs asks for the log-probability of each token, and for those of
	// the Alternatives likeliest tokens at its place.
	Logprobs     bool
	Alternatives int
	// Schema is a JSON schema; the answer will be JSON that it allows. nil:
	// the answer is free. Package grammar says which schemas there are.
	Schema json.RawMessage
	// Trace asks for what an answer is checked by later, see [Trace]. It does not
	// travel: a gating node that signs its answers sets it. An answer that may
	// leave experts out has none.
	Trace bool
}

// Task is what a request wants of a gating node.
type Task string

const (
	TaskComplete   Task = ""
	TaskTokenize   Task = "tokenize"   // the tokens of the prompt, in chunks, as if they were drawn
	TaskDetokenize Task = "detokenize" // the bytes of Tokens, in chunks
	TaskEmbed      Task = "embed"      // the mean hidden state of the prompt, in one chunk
)

// Sampling says how the next token is drawn from the logits. The zero value
// is greedy. Drawing the token at position i uses randomness derived from
// (Seed, i) alone, so a replay elsewhere draws the same tokens.
type Sampling struct {
	Temperature   float32 // 0: greedy
	TopK          int     // keep the k best; 0: all
	TopP          float32 // keep the smallest set of at least this mass; 0 or 1: all
	MinP          float32 // drop tokens below this share of the best one's probability; 0: none
	RepeatPenalty float32 // divides positive logits of recent tokens; 0 or 1: none
	// FrequencyPenalty is taken off a token's logit for each time that it
	// stands in the answer so far, PresencePenalty once if it does.
	FrequencyPenalty, PresencePenalty float32
	Bias                              []Bias // no token twice
	Seed                              uint64
}

// Bias is added to a token's logit.
type Bias struct {
	Token int32   `json:"token"`
	Add   float32 `json:"add"`
}

// Greedy reports whether each token of the answer is the one with the best logit.
func (r Request) Greedy() bool {
	s := r.Sampling
	return s.Temperature == 0 && (s.RepeatPenalty == 0 || s.RepeatPenalty == 1) && s.FrequencyPenalty == 0 && s.PresencePenalty == 0 &&
		len(s.Bias) == 0 && r.Schema == nil && (r.Chat == nil || r.Chat.Force == "")
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
	// Logprob is the natural logarithm of the token's probability, and Top are
	// the likeliest tokens at its place, best first; when they are asked for.
	// Both are the model's own, before anything of Sampling and Schema.
	Logprob float32
	Top     []Candidate
	// Work is in the last chunk only. Gate, the name of the node that gave the
	// chunk, and Failovers, how often the answer lost its gating node so far,
	// are the entry's.
	Work      Work
	Gate      string
	Failovers int
	// Embedding is the answer to TaskEmbed: the mean over the prompt's tokens of
	// the hidden state after the last norm.
	Embedding []float32
	// Mark is the text of a control token, which has no Bytes: nothing for
	// people, but tool calls and reasoning are told apart by such marks.
	Mark   string
	Finish Finish // set in the last chunk only
	// Tools says, in the first chunk of a conversation's answer, how the model
	// writes tool calls.
	Tools ToolSyntax
	// Thinks says, there too, that the prompt ends inside the model's reasoning.
	Thinks bool
	// Dropped is what was left out on the way to this chunk, prefill included
	// in the first; zero unless the request allows it.
	Dropped Dropped
	// Drafts are those of the answer so far, so the last chunk has the sum.
	Drafts Drafts
	// Trace is there when it was asked for, in chunks with a token, and does not
	// travel either.
	Trace *Trace
}

// Trace is what led to a token.
type Trace struct {
	// Prompt is what came before the answer, Request.Prefix included, and Greedy
	// whether each token is the one with the best logit; both in the first
	// chunk only.
	Prompt []int32
	Greedy bool
	// Hidden is the hidden state, after the last norm, of the row that led to
	// the token.
	Hidden []float32
	// Routes are the experts that rows chose, by row, layer and expert: that row
	// and in the first chunk all before it.
	Routes []uint16
}

// Drafts counts tokens that were proposed ahead of the model, and those of
// them that the model then chose itself.
type Drafts struct{ Drafted, Accepted int }

// Work is what a gating node did while it gave an answer, beside others.
type Work struct {
	Rounds  int // layers for which peers were asked
	Holders int // peers that computed something
	Hedges  int // asks that duplicated another
}

// Candidate is a token that might have been drawn.
type Candidate struct {
	Token   int32
	Bytes   []byte
	Logprob float32
}

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
	// ErrUnpaid: the gating node wants to be paid, and is not.
	ErrUnpaid = errors.New("payment needed")
	// ErrNotMember: the node asked has no seat that lets it gate for the asker.
	ErrNotMember = errors.New("not a gating node for this client in this epoch")
)
