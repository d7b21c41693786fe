package wire

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// model is a model id that is easy to find in a dump.
func model() expert.ModelID {
	var m expert.ModelID
	for i := range m {
		m[i] = 0xa0 + byte(i)
	}
	return m
}

const modelHex = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"

func must(t testing.TB) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// sampleCall names rows 2 and 0 of three, so row 1 stays behind.
func sampleCall(sum bool) Call {
	c := Call{
		Sum: sum,
		In:  expert.Batch{Rows: 3, Dim: 2, Data: []float32{1, 2, 3, 4, 5, 6}},
		Calls: []expert.Call{
			{Expert: expert.ID{Model: model(), Layer: 3, Index: 5}, Rows: []int32{2, 0}},
			{Expert: expert.ID{Model: model(), Layer: 3, Index: 258}, Rows: []int32{0}},
		},
	}
	if sum {
		c.Calls[0].Weights, c.Calls[1].Weights = []float32{0.5, 0.25}, []float32{-1}
	}
	return c
}

// sampleCodes is a call whose rows travel as codes: one block of 32, its
// extreme -2 at the first place.
func sampleCodes() Call {
	c := Call{
		In:    expert.NewBatch(1, 32),
		Calls: []expert.Call{{Expert: expert.ID{Model: model(), Layer: 3, Index: 5}, Rows: []int32{0}}},
		Codes: expert.Codes{Rows: 1, Dim: 32, Block: 32, Extremes: []float32{-2}, Values: make([]int8, 32)},
	}
	c.Codes.Values[0], c.Codes.Values[1] = -127, 3
	c.Codes.Floats(c.In.Data)
	return c
}

func sampleResults() []expert.Result {
	return []expert.Result{
		{Out: expert.Batch{Rows: 2, Dim: 2, Data: []float32{1, 2, 3, 4}}},
		{Out: expert.Batch{Rows: 1, Dim: 2, Data: []float32{5, 6}}},
	}
}

func sampleMeter() Meter {
	return Meter{Waiting: 3, Queued: 258 * time.Microsecond, Compute: 5 * time.Microsecond}
}

func samplePrompt() prompt.Request {
	return prompt.Request{
		Model: model(), Text: "Gö", Prefix: []int32{7, 258}, MaxTokens: 16,
		Sampling:   prompt.Sampling{Temperature: 1, TopK: 40, TopP: 0.5, MinP: 0.25, RepeatPenalty: 2, Seed: 9},
		BestEffort: 0.125,
	}
}

func sampleAnnouncement() Announcement {
	a := Announcement{
		Model: model(), Name: "demo", Gates: true, Leaving: true, Waiting: 2, Prompts: 0x102,
		Expires: time.UnixMilli(0x0102030405), Layers: 2, Experts: 10, Held: NewHeld(2, 10),
	}
	a.Hold(0, 0)
	a.Hold(0, 9)
	a.Hold(1, 3)
	return a
}

// fullAnnouncement has every field that an announcement may have.
func fullAnnouncement() Announcement {
	a := sampleAnnouncement()
	a.Paused, a.Memory = true, 32
	a.Want(0, 1)
	a.Want(1, 3)
	a.Demand = make([]byte, 20)
	a.Demand[19] = DemandCode(2)
	a.Price = 2500
	return a
}

func TestSetID(t *testing.T) {
	b := AppendCancel(nil, 1)
	SetID(b, 0x0102030405060708)
	if want := AppendCancel(nil, 0x0102030405060708); string(b) != string(want) {
		t.Errorf("%x, want %x", b, want)
	}
}

// TestGoldens pins the bytes of every kind, field by field as the package doc
// lists them. A change here is a new version of the format.
func TestGoldens(t *testing.T) {
	ok := must(t)
	const id = 0x0807060504030201
	for _, g := range []struct {
		name string
		got  []byte
		want string // spaces between fields
	}{
		{"call", ok(AppendCall(nil, id, sampleCall(false))),
			"66000000 02 01 0102030405060708" + modelHex + "0300 00 00 02000000 02000000 0200 0000" +
				"0500 0000 02000000 01000000 00000000" + "0201 0000 01000000 00000000" +
				"0000803f 00000040 0000a040 0000c040"},
		{"call for a sum", ok(AppendCall(nil, id, sampleCall(true))),
			"72000000 02 01 0102030405060708" + modelHex + "0300 01 00 02000000 02000000 0200 0000" +
				"0500 0000 02000000 01000000 00000000 0000003f 0000803e" + "0201 0000 01000000 00000000 000080bf" +
				"0000803f 00000040 0000a040 0000c040"},
		{"call with codes", ok(AppendCall(nil, id, sampleCodes())),
			"6a000000 02 01 0102030405060708" + modelHex + "0300 00 01 01000000 20000000 0100 0000" +
				"0500 0000 01000000 00000000" + "000000c0 8103" + strings.Repeat("00", 30)},
		{"reply", ok(AppendReply(nil, 1, sampleMeter(), sampleResults())),
			"3a000000 02 02 0100000000000000" + "00 00 0000 03000000 02010000 05000000 03000000 02000000" +
				"0000803f 00000040 00004040 00008040 0000a040 0000c040"},
		{"sum", ok(AppendSum(nil, 1, sampleMeter(), expert.Batch{Rows: 1, Dim: 1, Data: []float32{-2}})),
			"26000000 02 02 0100000000000000" + "01 00 0000 03000000 02010000 05000000 01000000 01000000 000000c0"},
		{"refusal", AppendRefusal(nil, 1, Refusal{Code: CodeOverloaded, Wait: time.Millisecond, Expert: NoExpert, Detail: "full"}),
			"15000000 02 03 0100000000000000 03 e8030000 ffff 66756c6c"},
		{"cancel", AppendCancel(nil, 1), "0a000000 02 04 0100000000000000"},
		{"ping", AppendPing(nil, 1, []byte("xy")), "0c000000 02 05 0100000000000000 7879"},
		{"pong", AppendPong(nil, 1, Pong{Waiting: 2, Queued: 3 * time.Microsecond, Payload: []byte("xy")}),
			"14000000 02 06 0100000000000000 02000000 03000000 7879"},
		{"prompt", ok(AppendPrompt(nil, samplePrompt())),
			"61000000 02 10 0000000000000000" + modelHex + "10000000 0000803f 28000000 0000003f 0000803e 00000040 0000003e" +
				"0900000000000000 02000000 00000000 07000000 02010000 47c3b6"},
		{"prompt with options", ok(AppendPrompt(nil, prompt.Request{Model: model(), MaxTokens: 1, Chat: &prompt.Chat{Messages: []prompt.Message{{Role: "user", Content: "x"}}, Now: 7}})),
			"93000000 02 10 0000000000000000" + modelHex + "01000000 00000000 00000000 00000000 00000000 00000000 00000000" +
				"0000000000000000 00000000 3d000000" + hex.EncodeToString([]byte(`{"chat":{"messages":[{"role":"user","content":"x"}],"now":7}}`))},
		{"chunk with sections", ok(AppendChunk(nil, prompt.Chunk{PromptTokens: 5, HasToken: true, Token: 258, Mark: "<m>", Tools: prompt.ToolsHermes})),
			"29000000 02 11 0000000000000000 05000000 07 00 0000 02010000 00000000 00000000 03 3c6d3e 06 6865726d6573"},
		{"chunk", ok(AppendChunk(nil, prompt.Chunk{PromptTokens: 5, HasToken: true, Token: 258, Bytes: []byte("ab"), Finish: prompt.FinishLength,
			Dropped: prompt.Dropped{Calls: 3, Mass: 0.5}})),
			"20000000 02 11 0000000000000000 05000000 01 02 0000 02010000 03000000 0000003f 6162"},
		{"chunk with drafts", ok(AppendChunk(nil, prompt.Chunk{PromptTokens: 5, Token: 258, Finish: prompt.FinishStop,
			Drafts: prompt.Drafts{Drafted: 258, Accepted: 3}})),
			"26000000 02 11 0000000000000000 05000000 10 01 0000 02010000 00000000 00000000 02010000 03000000"},
		{"prompt end", AppendPromptEnd(nil, PromptEnd{Code: CodeLost, Detail: "bye"}),
			"12000000 02 12 0000000000000000 23 00000000 627965"},
		{"keep-alive", AppendKeepAlive(nil), "0a000000 02 13 0000000000000000"},
		{"announcement", ok(AppendAnnouncement(nil, sampleAnnouncement())),
			"46000000 02 20 0000000000000000" + modelHex + "03 04 0200 0a00 0000 02000201 0504030201000000" +
				"64656d6f 0102 0800"},
		{"want", AppendWant(nil, id, sampleWant()),
			"3a000000 02 30 0102030405060708 02 000000" + modelHex + "0504030201000000 00000400"},
		{"blob", AppendBlob(nil, id, Blob{Size: 258, Data: []byte("xyz")}),
			"15000000 02 31 0102030405060708 0201000000000000 78797a"},
	} {
		if got, want := hex.EncodeToString(g.got), strings.ReplaceAll(g.want, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", g.name, got, want)
		}
		if h, body, err := ParseFrame(g.got); err != nil || len(body) != h.Len {
			t.Errorf("%s: ParseFrame: %v, %v", g.name, h, err)
		}
	}
}
