package entry

import (
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// errMisbehaved says that a gating node broke the promises of prompt.Chunk.
// It always comes together with prompt.ErrLost.
var errMisbehaved = errors.New("the gating node misbehaves")

const (
	// maxTokenBytes bounds one token's text. The longest tokens of known
	// vocabularies are runs of a few hundred spaces.
	maxTokenBytes = 1024
	// A tokenizer makes at most one token of each byte. Bytes that are no
	// UTF-8 may first become U+FFFD, three bytes, and an added leading space
	// and begin-of-text marks come on top.
	maxTokensPerByte = 3
	maxExtraTokens   = 16
	// What templates add, generously: published ones have up to 20 KB of
	// instructions in them, and some dozen bytes for each message.
	templateBytes        = 64 << 10
	templateMessageBytes = 1 << 10
)

// checker verifies what one attempt sends. Chunks past MaxTokens or past a
// Finish cannot come: the attempt has ended by then.
type checker struct {
	request      prompt.Request
	promptTokens int
	chunks       int
	drafts       prompt.Drafts
}

// chunk returns an error, which wraps prompt.ErrLost, for a chunk that no
// honest gating node sends.
func (k *checker) chunk(c prompt.Chunk) error {
	first := k.chunks == 0
	k.chunks++
	switch {
	case c.PromptTokens < 0 || c.PromptTokens > maxPromptTokens(k.request):
		return misbehaved("it counts %d tokens in a prompt of %d at most", c.PromptTokens, maxPromptTokens(k.request))
	case !first && c.PromptTokens != k.promptTokens:
		return misbehaved("it counts %d tokens in the prompt, then %d", k.promptTokens, c.PromptTokens)
	case c.Finish != prompt.FinishNone && c.Finish != prompt.FinishStop && c.Finish != prompt.FinishLength:
		return misbehaved("it finishes with %.20q", string(c.Finish))
	case !c.HasToken && c.Finish == prompt.FinishNone:
		return misbehaved("it sends a chunk without a token")
	case len(c.Embedding) > 0 && k.request.Task != prompt.TaskEmbed:
		return misbehaved("it sends an embedding that nobody asked for")
	case !c.HasToken && len(c.Bytes) > 0:
		return misbehaved("it sends text without a token")
	case c.HasToken && c.Token < 0:
		return misbehaved("it sends token %d", c.Token)
	case c.Drafts.Accepted > c.Drafts.Drafted || c.Drafts.Drafted < k.drafts.Drafted || c.Drafts.Accepted < k.drafts.Accepted:
		return misbehaved("it counts %d drafted tokens, %d of them right, after %d and %d", c.Drafts.Drafted, c.Drafts.Accepted, k.drafts.Drafted, k.drafts.Accepted)
	case !c.HasToken && c.Mark != "":
		return misbehaved("it sends a mark without a token")
	case len(c.Bytes) > maxTokenBytes:
		return misbehaved("it sends a token of %d bytes", len(c.Bytes))
	}
	k.promptTokens, k.drafts = c.PromptTokens, c.Drafts
	return nil
}

// maxPromptTokens is more tokens than any tokenizer makes of the prompt. A
// template may put in much of its own: instructions, and for each message and
// each byte of a tool's description some more.
func maxPromptTokens(r prompt.Request) int {
	if r.Chat == nil {
		return maxTokensPerByte*len(r.Text) + maxExtraTokens
	}
	size := templateBytes
	for _, m := range r.Chat.Messages {
		size += len(m.Role) + len(m.Content) + len(m.Reasoning) + len(m.Name) + len(m.CallID) + templateMessageBytes
		for _, c := range m.Calls {
			size += len(c.Name) + len(c.Arguments) + len(c.ID) + templateMessageBytes
		}
	}
	for _, t := range r.Chat.Tools {
		size += 4*len(t) + templateMessageBytes // indented
	}
	return maxTokensPerByte*size + maxExtraTokens
}

func misbehaved(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", prompt.ErrLost, errMisbehaved, fmt.Sprintf(format, args...))
}
