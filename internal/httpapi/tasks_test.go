package httpapi

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// tasks answers tasks: each byte is a token, and an embedding has the length of
// the text in it.
func tasks() completer {
	return func(_ context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
		return func(yield func(prompt.Chunk, error) bool) {
			ids := r.Tokens
			if r.Task == prompt.TaskTokenize {
				if !r.Plain {
					ids = append(ids, 1)
				}
				for _, b := range []byte(r.Text) {
					ids = append(ids, int32(b))
				}
			}
			for _, id := range ids {
				if !yield(prompt.Chunk{HasToken: true, Token: id, Bytes: []byte{byte(id)}}, nil) {
					return
				}
			}
			c := prompt.Chunk{PromptTokens: len(r.Text), Finish: prompt.FinishStop}
			if r.Task == prompt.TaskEmbed {
				c.Embedding = []float32{float32(len(r.Text)), -1}
			}
			yield(c, nil)
		}
	}
}

func TestTasks(t *testing.T) {
	url := serve(t, tasks(), nil)
	for _, tc := range []struct{ path, body, want string }{
		{"/tokenize", `{"content":"hi"}`, `{"tokens":[104,105],"count":2}`},
		{"/tokenize", `{"content":"hi","add_special":true}`, `{"tokens":[1,104,105],"count":3}`},
		{"/tokenize", `{"prompt":"hi"}`, `{"tokens":[1,104,105],"count":3}`},
		{"/tokenize", `{"content":""}`, `{"tokens":[],"count":0}`},
		{"/tokenize", `{"content":"é","with_pieces":true}`, `{"tokens":[{"id":195,"piece":[195]},{"id":169,"piece":[169]}],"count":2}`},
		{"/detokenize", `{"tokens":[104,105,195,169,255]}`, `{"content":"hié�","prompt":"hié�"}`},
		{"/v1/embeddings", `{"input":"abc"}`, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,-1]}],"model":"demo","usage":{"prompt_tokens":3,"total_tokens":3}}`},
		{"/v1/embeddings", `{"input":["abc","de"],"encoding_format":"base64"}`, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AABAQAAAgL8="},{"object":"embedding","index":1,"embedding":"AAAAQAAAgL8="}],"model":"demo","usage":{"prompt_tokens":5,"total_tokens":5}}`},
	} {
		golden(t, readAll(t, send(t, "POST", url+tc.path, tc.body)), tc.want+"\n")
	}
	many := `{"input":["a"` + strings.Repeat(`,"b"`, 99) + `]}`
	if got := readAll(t, send(t, "POST", url+"/v1/embeddings", many)); strings.Count(got, `"index"`) != 100 {
		t.Errorf("got %s", got)
	}
	for _, tc := range []struct{ path, body, param, want string }{
		{"/tokenize", `{}`, "content", "missing"}, {"/tokenize", ``, "", "body is empty"},
		{"/detokenize", `{"tokens":"x"}`, "tokens", "want"},
		{"/v1/embeddings", `{}`, "input", "missing"}, {"/v1/embeddings", `{"input":[[1,2]]}`, "input", "token ids"}, {"/v1/embeddings", `{"input":[]}`, "input", "empty"},
		{"/v1/embeddings", `{"input":"x","dimensions":3}`, "dimensions", "not supported"}, {"/v1/embeddings", `{"input":"x","encoding_format":"int8"}`, "encoding_format", "base64"},
		{"/v1/embeddings", `{"input":["a"` + strings.Repeat(`,"b"`, 256) + `]}`, "input", "more than 256"},
	} {
		r := send(t, "POST", url+tc.path, tc.body)
		if text := readAll(t, r); r.StatusCode != 400 || !strings.Contains(text, tc.want) || tc.param != "" && !strings.Contains(text, fmt.Sprintf(`"param":%q`, tc.param)) {
			t.Errorf("%s %.60s: %s, %s", tc.path, tc.body, r.Status, text)
		}
	}
}

func TestNoEmbedding(t *testing.T) {
	url := serve(t, newFake("a"), nil)
	checkError(t, "an old gating node", send(t, "POST", url+"/v1/embeddings", `{"input":"x"}`), 400, "invalid_request_error", "", "bad_request", "no embedding")
}
