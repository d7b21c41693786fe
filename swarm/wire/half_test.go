package wire

import (
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// TestHalves: every half comes back as itself, and a float becomes the nearest
// half, the even one of two as near.
func TestHalves(t *testing.T) {
	for h := range 1 << 16 {
		x := fromHalf(uint16(h))
		if h>>10&31 != 31 && toHalf(x) != uint16(h) {
			t.Fatalf("%#04x became %v and %#04x", h, x, toHalf(x))
		}
	}
	r := rand.New(rand.NewPCG(41, 1))
	for range 200_000 {
		x := float32(math.Ldexp(r.Float64()*2-1, r.IntN(44)-28))
		if r.IntN(4) == 0 { // half way between two
			h := uint16(r.IntN(0x7bff))
			x = (fromHalf(h) + fromHalf(h+1)) / 2
		}
		h := toHalf(x)
		d := math.Abs(float64(fromHalf(h)) - float64(x))
		for _, other := range []uint16{h - 1, h + 1} {
			if other>>10&31 == 31 || other>>15 != h>>15 {
				continue
			}
			e := math.Abs(float64(fromHalf(other)) - float64(x))
			if e < d || e == d && h&1 == 1 {
				t.Fatalf("%v became %v; %v is nearer or even", x, fromHalf(h), fromHalf(other))
			}
		}
	}
}

func TestHalfReply(t *testing.T) {
	ok := must(t)
	b := ok(AppendHalfReply(nil, 1, sampleMeter(), sampleResults()))
	want := "2e000000 02 02 0100000000000000" + "00 01 0000 03000000 02010000 05000000 03000000 02000000" +
		"003c 0040 0042 0044 0045 0046"
	if got := hex.EncodeToString(b); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s", got)
	}
	if len(b) != HeaderLen+HalfReplySize(3, 2) {
		t.Errorf("%d bytes, HalfReplySize says %d", len(b), HeaderLen+HalfReplySize(3, 2))
	}
	r, err := ParseReply(b[HeaderLen:])
	if err != nil || !r.Half || r.Out.Rows != 3 || r.Out.Data[5] != 6 {
		t.Errorf("%v, %v", r, err)
	}
	b[len(b)-1], b[len(b)-2] = 0x7c, 0 // infinity
	if _, err := ParseReply(b[HeaderLen:]); !errors.Is(err, expert.ErrBadResult) {
		t.Errorf("infinity: %v", err)
	}
	// What half precision has no room for travels as floats.
	big := sampleResults()
	big[0].Out.Data[0] = 1e6
	r, err = ParseReply(ok(AppendHalfReply(nil, 1, sampleMeter(), big))[HeaderLen:])
	if err != nil || r.Half || r.Out.Data[0] != 1e6 {
		t.Errorf("%v, %v", r, err)
	}
}

// TestHalfIsAskedFor: a call says whether an answer in half precision will do.
func TestHalfIsAskedFor(t *testing.T) {
	c := sampleCall(false)
	c.Half = true
	var got Call
	if err := ParseCall(must(t)(AppendCall(nil, 1, c))[HeaderLen:], &got); err != nil || !got.Half {
		t.Errorf("%v, %v", got.Half, err)
	}
	c.Sum, c.Calls = true, sampleCall(true).Calls
	if _, err := AppendCall(nil, 1, c); !errors.Is(err, expert.ErrBadCall) {
		t.Errorf("a sum in half precision: %v", err)
	}
}
