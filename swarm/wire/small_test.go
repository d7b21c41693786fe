package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

func TestSmallKindsRoundTrip(t *testing.T) {
	ok := must(t)
	body := func(frame []byte) []byte { return frame[HeaderLen:] }
	refusal := Refusal{Code: CodeUnknownExpert, Wait: 2 * time.Second, Expert: 9, Detail: "gone"}
	if got, err := ParseRefusal(body(AppendRefusal(nil, 1, refusal))); err != nil || got != refusal {
		t.Errorf("refusal: %v, %v", got, err)
	}
	pong := Pong{Waiting: 4, Queued: time.Second, Payload: []byte("abc")}
	if got, err := ParsePong(body(AppendPong(nil, 1, pong))); err != nil || !reflect.DeepEqual(got, pong) {
		t.Errorf("pong: %v, %v", got, err)
	}
	if got, err := ParsePrompt(body(ok(AppendPrompt(nil, samplePrompt())))); err != nil || !reflect.DeepEqual(got, samplePrompt()) {
		t.Errorf("prompt: %v, %v", got, err)
	}
	for _, c := range []prompt.Chunk{
		{PromptTokens: 1, HasToken: true, Token: 5, Bytes: []byte{0xff}},
		{PromptTokens: 1, HasToken: true, Token: 0},
		{PromptTokens: 9, Finish: prompt.FinishStop},
		{PromptTokens: 9, Finish: prompt.FinishStop, Embedding: []float32{1, -0.5}},
		{PromptTokens: 9, Finish: prompt.FinishStop, Drafts: prompt.Drafts{Drafted: 5, Accepted: 4}, Cached: 3, Work: prompt.Work{Rounds: 2, Holders: 1, Hedges: 7}},
		{PromptTokens: 9, HasToken: true, Token: 7, Mark: "<|call|>", Tools: prompt.ToolsHarmony, Thinks: true},
		{PromptTokens: 9, HasToken: true, Token: 7, Logprob: -0.5, Top: []prompt.Candidate{{Token: 7, Bytes: []byte("x"), Logprob: -0.5}, {Token: 1, Logprob: -2}}},
		{HasToken: true, Token: 1<<31 - 1, Finish: prompt.FinishLength},
		{PromptTokens: 1, HasToken: true, Token: 5, Bytes: []byte("x"), Drafts: prompt.Drafts{Drafted: 70000, Accepted: 70000}},
	} {
		if got, err := ParseChunk(body(ok(AppendChunk(nil, c)))); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("chunk: %v, %v, want %v", got, err, c)
		}
	}
	end := PromptEnd{Code: CodeBusy, Wait: 90 * time.Second, Detail: "later"}
	if got, err := ParsePromptEnd(body(AppendPromptEnd(nil, end))); err != nil || got != end {
		t.Errorf("prompt end: %v, %v", got, err)
	}
	if got, err := ParseAnnouncement(body(ok(AppendAnnouncement(nil, sampleAnnouncement())))); err != nil || !reflect.DeepEqual(got, sampleAnnouncement()) {
		t.Errorf("announcement: %v, %v", got, err)
	}
}

// TestSignedPassUnread: statements of the ledger come out as they went in, and
// what is too long does not go in.
func TestSignedPassUnread(t *testing.T) {
	for _, k := range []Kind{KindPayment, KindSeal, KindReceipt} {
		for _, s := range [][]byte{nil, []byte("a voucher"), make([]byte, MaxSigned)} {
			h, body, err := ParseFrame(AppendSigned(nil, k, s))
			if err != nil || h.Kind != k || !bytes.Equal(body, s) {
				t.Errorf("%v of %d bytes: %v of %d, %v", k, len(s), h.Kind, len(body), err)
			}
		}
		if _, body, err := ParseFrame(AppendSigned(nil, k, make([]byte, MaxSigned+1))); err != nil || len(body) > 0 {
			t.Errorf("%v past the limit: %d bytes, %v", k, len(body), err)
		}
	}
}

// TestPriceIsOneForm: an announcement without a price has no bytes for it.
func TestPriceIsOneForm(t *testing.T) {
	b := must(t)(AppendAnnouncement(nil, sampleAnnouncement()))[HeaderLen:]
	if _, err := ParseAnnouncement(append(b, make([]byte, 8)...)); !errors.Is(err, ErrFormat) {
		t.Errorf("a price of 0: %v", err)
	}
	if _, err := ParseAnnouncement(append(b, 1, 2, 3)); !errors.Is(err, ErrFormat) {
		t.Errorf("half a price: %v", err)
	}
}

// TestDetailIsFitForALog: a stranger's text comes out as one short line of
// printable UTF-8, whatever was put in.
func TestDetailIsFitForALog(t *testing.T) {
	for _, s := range []string{
		"", "fine", strings.Repeat("ö", MaxDetail), strings.Repeat("\x80", 2*MaxDetail),
		"two\nlines\x1b[2Jand more", "\u202eright to left", strings.Repeat("x", MaxDetail-1) + "ö",
	} {
		for _, got := range []string{clip(s), clip(clip(s))} {
			if len(got) > MaxDetail || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x1b\u202e") {
				t.Errorf("%q became %q", s, got)
			}
		}
		raw := append([]byte{1, 0, 0, 0, 0, 0, 0}, s[:min(len(s), MaxDetail)]...)
		if r, err := ParseRefusal(raw); err != nil || r.Detail != clip(r.Detail) {
			t.Errorf("%q parsed to %q, %v", s, r.Detail, err)
		}
	}
}

func sampleConversation() prompt.Request {
	r := samplePrompt()
	r.Text = ""
	r.Chat = &prompt.Chat{
		Messages: []prompt.Message{
			{Role: "user", Content: "Gö<>"},
			{Role: "assistant", Reasoning: "hm", Calls: []prompt.ToolCall{{ID: "1", Name: "f", Arguments: json.RawMessage(`{"b":1,"a":2}`)}}},
			{Role: "tool", Content: "3", Name: "f", CallID: "1"},
		},
		Tools:     []json.RawMessage{json.RawMessage(`{"type":"function"}`)},
		Force:     "f",
		Variables: map[string]json.RawMessage{"enable_thinking": json.RawMessage("false")},
		Now:       1 << 40, Continue: true,
	}
	r.Sampling.FrequencyPenalty, r.Sampling.PresencePenalty = 0.5, -0.25
	r.Sampling.Bias = []prompt.Bias{{Token: 7, Add: -100}}
	r.Task, r.Tokens, r.Plain = prompt.TaskTokenize, []int32{5, 6}, true
	r.Logprobs, r.Alternatives, r.Schema = true, 3, json.RawMessage(`{"type":"object"}`)
	return r
}

func TestConversation(t *testing.T) {
	want := sampleConversation()
	if got, err := ParsePrompt(must(t)(AppendPrompt(nil, want))[HeaderLen:]); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	want.Chat.Messages[0].Content = strings.Repeat("x", MaxPromptBytes)
	if b, err := AppendPrompt(nil, want); !errors.Is(err, prompt.ErrBadRequest) || len(b) > 0 {
		t.Errorf("a conversation too long: %v, want ErrBadRequest", err)
	}
}

func TestPromptRefuses(t *testing.T) {
	nan := prompt.Sampling{}
	nan.TopP = numbersSlow[float32]([]byte{0, 0, 0xc0, 0x7f})[0]
	change := func(f func(r *prompt.Request)) prompt.Request {
		r := samplePrompt()
		f(&r)
		return r
	}
	for name, r := range map[string]prompt.Request{
		"long text":    change(func(r *prompt.Request) { r.Text = strings.Repeat("x", MaxPromptBytes+1) }),
		"not UTF-8":    change(func(r *prompt.Request) { r.Text = "\xff" }),
		"long prefix":  change(func(r *prompt.Request) { r.Prefix = make([]int32, MaxPrefix+1) }),
		"bad token":    change(func(r *prompt.Request) { r.Prefix = []int32{-1} }),
		"no tokens":    change(func(r *prompt.Request) { r.MaxTokens = 0 }),
		"negative k":   change(func(r *prompt.Request) { r.Sampling.TopK = -1 }),
		"NaN sampling": change(func(r *prompt.Request) { r.Sampling = nan }),
	} {
		if b, err := AppendPrompt(nil, r); !errors.Is(err, prompt.ErrBadRequest) || len(b) > 0 {
			t.Errorf("%s: %v, want ErrBadRequest", name, err)
		}
	}
	longest := prompt.Request{Text: strings.Repeat("x", MaxPromptBytes), Prefix: make([]int32, MaxPrefix), MaxTokens: 1}
	if _, _, err := ParseFrame(must(t)(AppendPrompt(nil, longest))); err != nil {
		t.Errorf("the longest prompt allowed: %v", err)
	}
}

func TestFullAnnouncement(t *testing.T) {
	b := must(t)(AppendAnnouncement(nil, fullAnnouncement()))
	if got, err := ParseAnnouncement(b[HeaderLen:]); err != nil || !reflect.DeepEqual(got, fullAnnouncement()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseAnnouncement(b[HeaderLen : len(b)-1]); !errors.Is(err, ErrFormat) {
		t.Errorf("cut short: %v", err)
	}
}

func TestDemandCode(t *testing.T) {
	for _, d := range []float64{0, 0.001, 0.5, 1, 1.7, 40} {
		if got := DemandOf(DemandCode(d)); got < d*0.95 || got > d*1.05 {
			t.Errorf("%v comes back as %v", d, got)
		}
	}
	if DemandCode(math.NaN()) != 0 || DemandCode(math.Inf(1)) != 255 || DemandCode(-1) != 0 {
		t.Error("what is no number has a code")
	}
}

func TestAnnouncementRefuses(t *testing.T) {
	for name, change := range map[string]func(a *Announcement){
		"long name":      func(a *Announcement) { a.Name = strings.Repeat("x", MaxName+1) },
		"control name":   func(a *Announcement) { a.Name = "a\x1bb" },
		"too deep":       func(a *Announcement) { a.Layers, a.Held = MaxLayers+1, NewHeld(MaxLayers+1, 10) },
		"too wide":       func(a *Announcement) { a.Experts, a.Held = MaxExperts+1, NewHeld(2, MaxExperts+1) },
		"no experts":     func(a *Announcement) { a.Experts, a.Held = 0, nil },
		"short bitmap":   func(a *Announcement) { a.Held = a.Held[1:] },
		"past the shape": func(a *Announcement) { a.Held[1] |= 4 },
		"short wanted":   func(a *Announcement) { a.Wanted = NewHeld(1, 10) },
		"wanted past it": func(a *Announcement) { a.Wanted = NewHeld(2, 10); a.Wanted[3] |= 4 },
		"short demand":   func(a *Announcement) { a.Demand = make([]byte, 19) },
		"all dense":      func(a *Announcement) { a.Dense = 2 },
		"skips too many": func(a *Announcement) { a.Dense, a.Skip = 1, 1 },
		"before 1970":    func(a *Announcement) { a.Expires = time.UnixMilli(-1) },
	} {
		a := sampleAnnouncement()
		change(&a)
		if b, err := AppendAnnouncement(nil, a); !errors.Is(err, ErrFormat) || len(b) > 0 {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	widest := Announcement{Name: strings.Repeat("x", MaxName), Expires: time.UnixMilli(1), Layers: MaxLayers, Experts: MaxExperts, Held: NewHeld(MaxLayers, MaxExperts),
		Wanted: NewHeld(MaxLayers, MaxExperts), Demand: make([]byte, MaxLayers*MaxExperts)}
	if _, _, err := ParseFrame(must(t)(AppendAnnouncement(nil, widest))); err != nil {
		t.Errorf("the widest announcement allowed: %v", err)
	}
}

func TestHolds(t *testing.T) {
	a := sampleAnnouncement()
	for layer := -1; layer < 4; layer++ {
		for index := -1; index < 20; index++ {
			want := layer == 0 && (index == 0 || index == 9) || layer == 1 && index == 3
			if a.Holds(layer, index) != want {
				t.Errorf("Holds(%d, %d) = %v", layer, index, !want)
			}
		}
	}
}

func FuzzParseRefusal(f *testing.F) {
	f.Add(AppendRefusal(nil, 1, Refusal{Code: 3, Wait: 5, Expert: 1, Detail: "x"})[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParseRefusal(body)
		if err != nil {
			return
		}
		if x.Err() == nil {
			t.Fatal("a refusal that is no error")
		}
		if y, err := ParseRefusal(AppendRefusal(nil, 1, x)[HeaderLen:]); err != nil || x != y {
			t.Fatalf("%v, %v, want %v", y, err, x)
		}
	})
}

func FuzzParsePong(f *testing.F) {
	f.Add(AppendPong(nil, 1, Pong{Waiting: 1, Payload: []byte("x")})[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		if x, err := ParsePong(body); err == nil && !bytes.Equal(AppendPong(nil, 1, x)[HeaderLen:], body[:min(len(body), pongFixed+MaxPing)]) {
			t.Fatalf("other bytes for %v", x)
		}
	})
}

func FuzzParsePrompt(f *testing.F) {
	f.Add(must(f)(AppendPrompt(nil, samplePrompt()))[HeaderLen:])
	f.Add(must(f)(AppendPrompt(nil, sampleConversation()))[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParsePrompt(body)
		if err != nil {
			return
		}
		// JSON has many ways to write one thing; what we write is one of them.
		first := must(t)(AppendPrompt(nil, x))
		y, err := ParsePrompt(first[HeaderLen:])
		if err != nil {
			t.Fatalf("%q: %v", first, err)
		}
		if second := must(t)(AppendPrompt(nil, y)); !bytes.Equal(first, second) {
			t.Fatalf("%q, then %q", first, second)
		}
		if optionsOf(x).empty() && len(body) == len(first)-HeaderLen && !bytes.Equal(body, first[HeaderLen:]) {
			t.Fatalf("other bytes for %v", x)
		}
	})
}

func FuzzParseChunk(f *testing.F) {
	f.Add(must(f)(AppendChunk(nil, prompt.Chunk{PromptTokens: 1, HasToken: true, Token: 3, Bytes: []byte("x")}))[HeaderLen:])
	f.Add(must(f)(AppendChunk(nil, prompt.Chunk{PromptTokens: 1, HasToken: true, Token: 3, Bytes: []byte("x"), Drafts: prompt.Drafts{Drafted: 9, Accepted: 4}}))[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParseChunk(body)
		if err != nil {
			return
		}
		if y, err := ParseChunk(must(t)(AppendChunk(nil, x))[HeaderLen:]); err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%v, %v, want %v", y, err, x)
		}
	})
}

func FuzzParsePromptEnd(f *testing.F) {
	f.Add(AppendPromptEnd(nil, PromptEnd{Code: 35, Detail: "x"})[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParsePromptEnd(body)
		if err != nil {
			return
		}
		if y, err := ParsePromptEnd(AppendPromptEnd(nil, x)[HeaderLen:]); err != nil || x != y || (x.Err() == nil) != (x.Code == CodeOK) {
			t.Fatalf("%v, %v, want %v", y, err, x)
		}
	})
}

func FuzzParseAnnouncement(f *testing.F) {
	f.Add(must(f)(AppendAnnouncement(nil, sampleAnnouncement()))[HeaderLen:])
	f.Add(must(f)(AppendAnnouncement(nil, fullAnnouncement()))[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParseAnnouncement(body)
		if err != nil {
			return
		}
		x.Holds(int(x.Waiting), x.Experts)
		if again := must(t)(AppendAnnouncement(nil, x)); !slices.Equal(again[HeaderLen:], body) {
			t.Fatalf("other bytes for %v", x)
		}
	})
}

// TestAnnouncementGating: that a node may gate, or will, travels.
func TestAnnouncementGating(t *testing.T) {
	for _, which := range [][2]bool{{true, false}, {false, true}, {true, true}} {
		a := sampleAnnouncement()
		a.MayGate, a.WillGate = which[0], which[1]
		got, err := ParseAnnouncement(must(t)(AppendAnnouncement(nil, a))[HeaderLen:])
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%v: %+v, %v", which, got, err)
		}
	}
}
