package wire

import (
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

func sampleOpening() Opening {
	o := Opening{
		At:   time.UnixMilli(0x0102030405),
		Gate: expert.Batch{Rows: 3, Dim: 1, Data: []float32{1, 2, 3}},
		Up:   expert.Batch{Rows: 3, Dim: 1, Data: []float32{4, 5, 6}},
	}
	for i := range o.Call {
		o.Call[i], o.Result[i] = 0xc0, 0xe0
	}
	for i := range o.Sig {
		o.Sig[i] = 0x50
	}
	return o
}

// TestChallengeGoldens pins the bytes as the package doc lists them.
func TestChallengeGoldens(t *testing.T) {
	ok := must(t)
	for _, g := range []struct {
		name string
		got  []byte
		want string
	}{
		{"challenge", ok(AppendChallenge(nil, 0x0807060504030201, sampleCall(false))),
			"66000000 02 07 0102030405060708" + modelHex + "0300 00 00 02000000 02000000 0200 0000" +
				"0500 0000 02000000 01000000 00000000" + "0201 0000 01000000 00000000" +
				"0000803f 00000040 0000a040 0000c040"},
		{"opening", ok(AppendOpening(nil, 1, sampleOpening())),
			"ba000000 02 08 0100000000000000" + "00 000000 03000000 01000000 00000000 0504030201000000" +
				strings.Repeat("c0", 32) + strings.Repeat("e0", 32) + strings.Repeat("50", 64) +
				"0000803f 00000040 00004040" + "00008040 0000a040 0000c040"},
	} {
		if got, want := hex.EncodeToString(g.got), strings.ReplaceAll(g.want, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", g.name, got, want)
		}
		if h, body, err := ParseFrame(g.got); err != nil || len(body) != h.Len || h.Kind.String() == "" {
			t.Errorf("%s: ParseFrame: %v, %v", g.name, h, err)
		}
	}
	if got, err := ParseOpening(ok(AppendOpening(nil, 1, sampleOpening()))[HeaderLen:]); err != nil || !reflect.DeepEqual(got, sampleOpening()) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestChallengeLimits(t *testing.T) {
	big := Call{In: expert.NewBatch(MaxChallengeRows+1, 2)}
	call := expert.Call{Expert: expert.ID{Model: model()}}
	for r := range big.In.Rows {
		call.Rows = append(call.Rows, int32(r))
	}
	big.Calls = []expert.Call{call}
	wide := Call{In: expert.NewBatch(MaxChallengeRows, MaxDim), Calls: []expert.Call{{Rows: call.Rows[:MaxChallengeRows]}}}
	for name, c := range map[string]Call{"rows": big, "width": wide, "sum": sampleCall(true)} {
		b, err := AppendChallenge([]byte("before"), 1, c)
		if !errors.Is(err, expert.ErrBadCall) || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for name, c := range map[string]Call{"rows": big, "sum": sampleCall(true)} {
		var got Call
		if err := ParseChallenge(must(t)(AppendCall(nil, 1, c))[HeaderLen:], &got); !errors.Is(err, expert.ErrBadCall) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := must(t)(AppendOpening(nil, 1, sampleOpening()))[HeaderLen:]
	for name, change := range map[string]func([]byte) []byte{
		"short":     func(b []byte) []byte { return b[:openingFixed-1] },
		"long":      func(b []byte) []byte { return append(b, 0) },
		"format":    func(b []byte) []byte { b[0] = 1; return b },
		"reserved":  func(b []byte) []byte { b[2] = 1; return b },
		"reserved2": func(b []byte) []byte { b[12] = 1; return b },
		"no rows":   func(b []byte) []byte { b[4] = 0; return b[:openingFixed] },
		"many rows": func(b []byte) []byte { b[4] = MaxChallengeRows + 1; return b },
		"overflow":  func(b []byte) []byte { b[7], b[11] = 0x80, 0x80; return b },
		"infinity":  func(b []byte) []byte { return appendNumbers(b[:len(b)-4], []float32{float32(math.Inf(1))}) },
	} {
		if _, err := ParseOpening(change(slices.Clone(good))); !errors.Is(err, expert.ErrBadResult) {
			t.Errorf("%s: %v, want ErrBadResult", name, err)
		}
	}
	o := sampleOpening()
	o.Up = expert.NewBatch(2, 1)
	if _, err := AppendOpening(nil, 1, o); err == nil {
		t.Error("layers of two shapes went out")
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(must(f)(AppendChallenge(nil, 1, sampleCall(false)))[HeaderLen:])
	f.Add(must(f)(AppendCall(nil, 1, sampleCall(true)))[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		var c Call
		if err := ParseChallenge(body, &c); err != nil {
			if !errors.Is(err, expert.ErrBadCall) {
				t.Fatalf("%v does not wrap ErrBadCall", err)
			}
			return
		}
		if c.Sum || c.pairs() > MaxChallengeRows {
			t.Fatalf("accepted %d rows, sum %v", c.pairs(), c.Sum)
		}
	})
}

func FuzzParseOpening(f *testing.F) {
	f.Add(must(f)(AppendOpening(nil, 1, sampleOpening()))[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := ParseOpening(body)
		if err != nil {
			if !errors.Is(err, expert.ErrBadResult) {
				t.Fatalf("%v does not wrap ErrBadResult", err)
			}
			return
		}
		again, err := AppendOpening(nil, 1, o)
		if err != nil || !slices.Equal(again[HeaderLen:], body) {
			t.Fatalf("second round: %v, other bytes", err)
		}
	})
}
