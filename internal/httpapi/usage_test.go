package httpapi

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Several answers' drafts add up, and answers without any say nothing of them.
func TestPredictions(t *testing.T) {
	var u usage
	if b, _ := json.Marshal(u); string(b) != `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}` {
		t.Errorf("%s", b)
	}
	u.Prompt.Cached = 3
	if b, _ := json.Marshal(u); string(b) != `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":3}}` {
		t.Errorf("%s", b)
	}
	u.Details.count(prompt.Drafts{}, prompt.Drafts{Drafted: 3, Accepted: 1})
	u.Details.count(prompt.Drafts{}, prompt.Drafts{Drafted: 10})
	u.Details.count(prompt.Drafts{Drafted: 3, Accepted: 1}, prompt.Drafts{Drafted: 8, Accepted: 5})
	if want := (predictions{Accepted: 5, Rejected: 13}); u.Details != want {
		t.Errorf("%+v, want %+v", u.Details, want)
	}
}

// Both routes tell, whole and streamed, what was kept and what was guessed. A
// gating node that says it kept more than there was is not repeated.
func TestUsageDetails(t *testing.T) {
	url := serve(t, completer(func(_ context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
		return func(yield func(prompt.Chunk, error) bool) {
			c := prompt.Chunk{PromptTokens: 5, HasToken: true, Bytes: []byte("a"), Drafts: prompt.Drafts{Drafted: 2, Accepted: 1}}
			if r.MaxTokens == 9 {
				c.Cached = 99
			}
			if yield(c, nil) {
				c.Cached += 4
				c.Drafts.Drafted, c.Finish = 6, prompt.FinishLength
				yield(c, nil)
			}
		}
	}), nil)
	const counts = `"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"completion_tokens_details":{"accepted_prediction_tokens":1,"rejected_prediction_tokens":5},"prompt_tokens_details":{"cached_tokens":4}}`
	for _, more := range []string{"", `,"stream":true,"stream_options":{"include_usage":true}`} {
		for _, got := range []string{readAll(t, post(t, url, `{"prompt":"Hi"`+more+`}`)), readAll(t, postChat(t, url, `{`+hello+more+`}`))} {
			if !strings.Contains(got, counts) {
				t.Errorf("no %s in %s", counts, got)
			}
		}
	}
	if got := readAll(t, post(t, url, `{"prompt":"Hi","max_tokens":9}`)); !strings.Contains(got, `"cached_tokens":5}`) {
		t.Errorf("got %s", got)
	}
}
