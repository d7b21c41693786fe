package httpapi

import (
	"encoding/json"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Several answers' drafts add up, and answers without any say nothing of them.
func TestPredictions(t *testing.T) {
	var u usage
	if b, _ := json.Marshal(u); string(b) != `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}` {
		t.Errorf("%s", b)
	}
	u.Details.count(prompt.Drafts{}, prompt.Drafts{Drafted: 3, Accepted: 1})
	u.Details.count(prompt.Drafts{}, prompt.Drafts{Drafted: 10})
	u.Details.count(prompt.Drafts{Drafted: 3, Accepted: 1}, prompt.Drafts{Drafted: 8, Accepted: 5})
	if want := (predictions{Accepted: 5, Rejected: 13}); u.Details != want {
		t.Errorf("%+v, want %+v", u.Details, want)
	}
}
