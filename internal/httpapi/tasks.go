package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

const (
	// maxInputs bounds the texts of one request for embeddings.
	maxInputs = 256
	// atOnce is how many of them are under way together: enough to fill steps,
	// few enough to leave places for others.
	atOnce = 8
	// maxTaskTokens bounds tokens of a text that is only tokenised, as the wire
	// bounds those of an answer.
	maxTaskTokens = 1 << 18
)

// task answers a request that is no completion: handle does the work, in as
// many places as it takes.
func (s *Server) task(w http.ResponseWriter, r *http.Request, handle func(ctx context.Context, body []byte, user string) (any, error)) {
	if !s.take(1) {
		s.fail(w, s.busy())
		return
	}
	defer s.giveBack(1)
	body, done, fault := s.readBody(w, r)
	defer done()
	if fault != nil {
		s.fail(w, fault)
		return
	}
	v, err := handle(r.Context(), body, s.access.who(r))
	if r.Context().Err() != nil {
		if err = cause(r.Context()); err == nil {
			return // the client left
		}
	}
	if err != nil {
		s.fail(w, explain(err))
		return
	}
	s.reply(w, http.StatusOK, v)
}

// gathered is the answer to a task.
type gathered struct {
	tokens    []int32
	pieces    [][]byte
	embedding []float32
	prompt    int
}

// gather does one task to its end.
func (s *Server) gather(ctx context.Context, r prompt.Request) (g gathered, err error) {
	for c, err := range s.cfg.Completer.Complete(ctx, r) {
		if err != nil {
			return g, err
		}
		g.prompt = c.PromptTokens
		if c.HasToken {
			g.tokens = append(g.tokens, c.Token)
			g.pieces = append(g.pieces, append([]byte{}, c.Bytes...))
		}
		if len(c.Embedding) > 0 {
			g.embedding = c.Embedding
		}
		if c.Finish != prompt.FinishNone {
			return g, nil
		}
	}
	return g, errBrokenOff
}

// tokenFields are the bodies of /tokenize and /detokenize, which llama.cpp and
// vLLM have with different names.
type tokenFields struct {
	Model    *string         `json:"model"`
	Content  *string         `json:"content"`
	Prompt   *string         `json:"prompt"`
	Messages []messageFields `json:"messages"`
	Special  *bool           `json:"add_special"`
	SpecialV *bool           `json:"add_special_tokens"`
	Pieces   *bool           `json:"with_pieces"`
	Tokens   []int32         `json:"tokens"`
}

// tokenize answers POST /tokenize.
func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) {
	s.task(w, r, func(ctx context.Context, body []byte, user string) (any, error) {
		var f tokenFields
		example := route{example: `{"content": "Once upon a time"}`}
		if err := json.Unmarshal(body, &f); err != nil {
			return nil, badJSON(body, example, err)
		}
		p := parser{}
		req := prompt.Request{Task: prompt.TaskTokenize, MaxTokens: maxTaskTokens, User: user}
		model := p.text("model", f.Model, maxModelBytes)
		switch {
		case f.Content != nil:
			req.Text = *f.Content
		case f.Prompt != nil:
			req.Text = *f.Prompt
		case f.Messages != nil:
			req.Chat = &prompt.Chat{Messages: p.messages(f.Messages), Now: time.Now().Unix()}
		default:
			p.refuse("content", "it is missing; send a string, or messages")
		}
		// llama.cpp leaves special tokens away when nothing is said, vLLM adds them.
		special := f.Special
		if special == nil {
			special = f.SpecialV
		}
		if special == nil {
			with := f.Content == nil
			special = &with
		}
		req.Plain = !*special && req.Chat == nil
		if p.err != nil {
			return nil, p.err
		}
		var err error
		if req.Model, err = s.resolve(model); err != nil {
			return nil, err
		}
		g, err := s.gather(ctx, req)
		if err != nil {
			return nil, err
		}
		tokens := any(append([]int32{}, g.tokens...))
		if f.Pieces != nil && *f.Pieces {
			tokens = pieces(g)
		}
		return struct {
			Tokens any `json:"tokens"`
			Count  int `json:"count"`
		}{tokens, len(g.tokens)}, nil
	})
}

// pieces are tokens with their texts, or with their bytes where these are no
// text, as llama.cpp gives them.
func pieces(g gathered) any {
	type piece struct {
		ID    int32 `json:"id"`
		Piece any   `json:"piece"`
	}
	all := []piece{}
	for i, id := range g.tokens {
		p := piece{ID: id, Piece: string(g.pieces[i])}
		if !utf8.Valid(g.pieces[i]) {
			var numbers []int
			for _, b := range g.pieces[i] {
				numbers = append(numbers, int(b))
			}
			p.Piece = numbers
		}
		all = append(all, p)
	}
	return all
}

// detokenize answers POST /detokenize.
func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) {
	s.task(w, r, func(ctx context.Context, body []byte, user string) (any, error) {
		var f tokenFields
		if err := json.Unmarshal(body, &f); err != nil {
			return nil, badJSON(body, route{example: `{"tokens": [1, 2, 3]}`}, err)
		}
		p := parser{}
		model := p.text("model", f.Model, maxModelBytes)
		if len(f.Tokens) > maxTaskTokens {
			p.refuse("tokens", "%d tokens; at most %d are accepted", len(f.Tokens), maxTaskTokens)
		}
		if p.err != nil {
			return nil, p.err
		}
		id, err := s.resolve(model)
		if err != nil {
			return nil, err
		}
		g, err := s.gather(ctx, prompt.Request{Model: id, Task: prompt.TaskDetokenize, Tokens: f.Tokens, MaxTokens: maxTaskTokens, User: user})
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		text := prompt.NewText(nil)
		for _, piece := range g.pieces {
			s, _ := text.Add(piece)
			b.WriteString(s)
		}
		b.WriteString(text.Flush())
		return struct {
			Content string `json:"content"`
			Prompt  string `json:"prompt"`
		}{b.String(), b.String()}, nil
	})
}

// embeddingFields are the body of /v1/embeddings.
type embeddingFields struct {
	Model      *string         `json:"model"`
	Input      json.RawMessage `json:"input"`
	Format     *string         `json:"encoding_format"`
	Dimensions *int64          `json:"dimensions"`
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

// embeddings answers POST /v1/embeddings.
func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) {
	s.task(w, r, func(ctx context.Context, body []byte, user string) (any, error) {
		var f embeddingFields
		if err := json.Unmarshal(body, &f); err != nil {
			return nil, badJSON(body, route{example: `{"input": "Once upon a time"}`}, err)
		}
		p := parser{}
		model := p.text("model", f.Model, maxModelBytes)
		inputs := p.inputs(f.Input)
		if f.Dimensions != nil {
			p.refuse("dimensions", "not supported: an embedding has as many numbers as the model is wide")
		}
		packed := f.Format != nil && *f.Format == "base64"
		if f.Format != nil && !packed && *f.Format != "float" {
			p.refuse("encoding_format", "%.40q: want float or base64", *f.Format)
		}
		if p.err != nil {
			return nil, p.err
		}
		id, err := s.resolve(model)
		if err != nil {
			return nil, err
		}
		vectors, tokens, err := s.embed(ctx, prompt.Request{Model: id, Task: prompt.TaskEmbed, MaxTokens: 1, User: user}, inputs)
		if err != nil {
			return nil, err
		}
		data := make([]embedding, len(vectors))
		for i, v := range vectors {
			data[i] = embedding{"embedding", i, v}
			if packed {
				data[i].Embedding = pack(v)
			}
		}
		return struct {
			Object string      `json:"object"`
			Data   []embedding `json:"data"`
			Model  string      `json:"model"`
			Usage  struct {
				PromptTokens int `json:"prompt_tokens"`
				TotalTokens  int `json:"total_tokens"`
			} `json:"usage"`
		}{"list", data, s.nameOf(id), struct {
			PromptTokens int `json:"prompt_tokens"`
			TotalTokens  int `json:"total_tokens"`
		}{tokens, tokens}}, nil
	})
}

// inputs reads a text or a list of texts.
func (p *parser) inputs(raw json.RawMessage) []string {
	if absent(raw) {
		p.refuse("input", "it is missing; send a string, or a list of strings")
		return nil
	}
	texts, problem := list(raw, maxInputs)
	switch {
	case problem == tooMany:
		p.refuse("input", "more than %d texts", maxInputs)
	case problem == numbers:
		p.refuse("input", "lists of token ids are not supported; send texts")
	case problem != "":
		p.refuse("input", "want a string or a list of strings")
	case len(texts) == 0:
		p.refuse("input", "the list is empty")
	}
	return texts
}

// embed finds the embeddings of texts, some at a time.
func (s *Server) embed(ctx context.Context, r prompt.Request, texts []string) (vectors [][]float32, tokens int, err error) {
	vectors = make([][]float32, len(texts))
	for at := 0; at < len(texts); at += atOnce {
		var requests []prompt.Request
		for _, text := range texts[at:min(at+atOnce, len(texts))] {
			r.Text = text
			requests = append(requests, r)
		}
		if tokens, err = s.embedSome(ctx, requests, vectors[at:], tokens); err != nil {
			return nil, 0, err
		}
	}
	return vectors, tokens, nil
}

func (s *Server) embedSome(ctx context.Context, requests []prompt.Request, into [][]float32, tokens int) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	steps := pump(ctx, s.cfg.Completer, requests)
	defer steps.wait()
	defer cancel()
	for st := range steps.c {
		if st.err != nil {
			return 0, st.err
		}
		if st.chunk.Finish == prompt.FinishNone {
			continue
		}
		if len(st.chunk.Embedding) == 0 {
			return 0, fmt.Errorf("%w: the gating node gave no embedding; it may be of an older version", prompt.ErrBadRequest)
		}
		into[st.choice] = st.chunk.Embedding
		tokens += st.chunk.PromptTokens
	}
	return tokens, context.Cause(ctx)
}

// pack is a vector as OpenAI's clients ask for it: base64 of little-endian
// float32.
func pack(v []float32) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}
