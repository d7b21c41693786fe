package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"github.com/moeswarm/moeswarm/internal/localswarm"
)

// TestOfficialClient: OpenAI's own Go client, at a node that holds nothing, of a
// swarm of real processes.
func TestOfficialClient(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"*:0-7", "*:8-15"}})
	c := openai.NewClient(option.WithBaseURL(s.Entry.URL+"/v1"), option.WithAPIKey("any"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ask := func(text string, n int64) openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{
			Model: "demo", MaxCompletionTokens: openai.Int(n), Temperature: openai.Float(0),
			Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("// Package main"), openai.UserMessage(text)},
		}
	}
	t.Run("chat", func(t *testing.T) {
		params := ask("func main() {", 12)
		params.Logprobs, params.TopLogprobs = openai.Bool(true), openai.Int(2)
		whole, err := c.Chat.Completions.New(ctx, params)
		if err != nil {
			t.Fatal(err)
		}
		stream := c.Chat.Completions.NewStreaming(ctx, params)
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			all.AddChunk(stream.Current())
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		text := whole.Choices[0].Message.Content
		if text == "" || all.Choices[0].Message.Content != text || whole.Usage.CompletionTokens == 0 || len(whole.Choices[0].Logprobs.Content) != int(whole.Usage.CompletionTokens) {
			t.Errorf("whole %s, streamed %q", whole.RawJSON(), all.Choices[0].Message.Content)
		}
		if l := whole.Choices[0].Logprobs.Content[0]; len(l.TopLogprobs) != 2 || l.TopLogprobs[0].Token != l.Token || l.Logprob > 0 {
			t.Errorf("log-probabilities %+v", l)
		}
	})
	t.Run("several answers to a schema", func(t *testing.T) {
		params := ask("func main() {", 120)
		params.N, params.Temperature, params.Seed = openai.Int(2), openai.Float(1), openai.Int(3)
		params.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "person", Schema: json.RawMessage(
				`{"type":"object","properties":{"name":{"type":"string","maxLength":8},"age":{"type":"integer","minimum":0,"maximum":150}},"required":["name","age"],"additionalProperties":false}`)},
		}}
		r, err := c.Chat.Completions.New(ctx, params)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range r.Choices {
			var v struct {
				Name *string
				Age  *int
			}
			if err := json.Unmarshal([]byte(ch.Message.Content), &v); err != nil || v.Name == nil || v.Age == nil || *v.Age > 150 || ch.FinishReason != "stop" {
				t.Errorf("%q, %s: %v", ch.Message.Content, ch.FinishReason, err)
			}
		}
		if len(r.Choices) != 2 || r.Choices[0].Message.Content == r.Choices[1].Message.Content {
			t.Errorf("two answers: %s", r.RawJSON())
		}
	})
	t.Run("the rest", func(t *testing.T) {
		if r, err := c.Completions.New(ctx, openai.CompletionNewParams{Model: "demo", MaxTokens: openai.Int(5), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("func main() {")}}); err != nil || r.Usage.CompletionTokens == 0 {
			t.Errorf("a text: %v", err)
		}
		again := openai.CompletionNewParams{Model: "demo", MaxTokens: openai.Int(3), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\n// main prints its arguments, one a line.\nfunc main() {")}}
		var cached int64
		for range 2 {
			var raw *http.Response
			r, err := c.Completions.New(ctx, again, option.WithResponseInto(&raw))
			if err != nil {
				t.Fatal(err)
			}
			cached = r.Usage.PromptTokensDetails.CachedTokens
			if timing := raw.Header.Get("Server-Timing"); strings.Contains(timing, `rounds;desc="0"`) || strings.Contains(timing, `holders;desc="0"`) {
				t.Errorf("an answer without work: %s", timing)
			}
		}
		if cached == 0 {
			t.Error("a prompt asked again: nothing was kept")
		}
		if r, err := c.Models.List(ctx); err != nil || len(r.Data) != 1 || r.Data[0].ID != "demo" {
			t.Errorf("models: %v", err)
		}
		if r, err := c.Models.Get(ctx, "demo"); err != nil || r.ID != "demo" {
			t.Errorf("a model: %v", err)
		}
		r, err := c.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "demo", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"func main() {}", "package x"}}})
		if err != nil || len(r.Data) != 2 || len(r.Data[0].Embedding) < 16 || len(r.Data[0].Embedding) != len(r.Data[1].Embedding) {
			t.Errorf("embeddings: %v", err)
		}
		params := ask("Hi", 5)
		params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "f"})}
		_, err = c.Chat.Completions.New(ctx, params)
		var fault *openai.Error
		if !errors.As(err, &fault) || fault.StatusCode != 400 || !strings.Contains(fault.Message, "knows no tools") {
			t.Errorf("tools where the template knows none: %v", err)
		}
	})
	t.Run("a stream is cut off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		stream := c.Chat.Completions.NewStreaming(ctx, ask("func main() {", 2000))
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		cancel()
		for stream.Next() {
		}
		if stream.Err() == nil {
			t.Error("the stream ended well")
		}
	})
	t.Run("a hundred at once", func(t *testing.T) {
		want, err := c.Chat.Completions.New(ctx, ask("func main() {", 6))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				r, err := c.Chat.Completions.New(ctx, ask("func main() {", 6), option.WithMaxRetries(20))
				if err != nil || r.Choices[0].Message.Content != want.Choices[0].Message.Content {
					t.Errorf("got %v, %v", r, err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("curl", func(t *testing.T) {
		curl, err := exec.LookPath("curl")
		if err != nil {
			t.Skip("there is no curl here")
		}
		out, err := exec.CommandContext(ctx, curl, "-sN", s.Entry.URL+"/v1/chat/completions", "-d",
			`{"messages":[{"role":"user","content":"func main() {"}],"max_tokens":4,"stream":true}`).Output()
		if err != nil || !bytes.HasSuffix(out, []byte("data: [DONE]\n\n")) || bytes.Count(out, []byte("data: ")) < 4 {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// TestChatOverPipe: a conversation without a terminal.
func TestChatOverPipe(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"*:0-15"}})
	file := t.TempDir() + "/talk.json"
	cmd := exec.Command(built(t), "chat", "--node", s.Entry.URL, "-n", "6", "--temperature", "0", "--system", "// Package x")
	cmd.Env = append(cmd.Environ(), "XDG_DATA_HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader("/help\nfunc main() {\\\n\tfmt.\n\"\"\"\nfunc a() {\n}\n\"\"\"\n/route\n/nonsense\n/undo\n/save " + file + "\n/save " + file + "\n/quit\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &errs)
	}
	for _, want := range []string{"/save FILE", "gates=", "tokens/s", "total;dur=", "3 messages in " + file} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	for _, want := range []string{"no command \"/nonsense\"", "exists; choose another name"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("no %q in:\n%s", want, &errs)
		}
	}
	if got := fmt.Sprint(savedRoles(t, file)); got != "[system user assistant]" {
		t.Errorf("saved %s", got)
	}
}
