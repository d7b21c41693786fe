package wire

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

func TestReplyRoundTrip(t *testing.T) {
	got, err := ParseReply(must(t)(AppendReply(nil, 1, sampleMeter(), sampleResults()))[HeaderLen:])
	want := Reply{Meter: sampleMeter(), Out: expert.Batch{Rows: 3, Dim: 2, Data: []float32{1, 2, 3, 4, 5, 6}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	want.Sum = true
	got, err = ParseReply(must(t)(AppendSum(nil, 1, want.Meter, want.Out))[HeaderLen:])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// TestMeterSaturates: times and counts past the fields' range, or below zero,
// come out as the nearest that the field holds.
func TestMeterSaturates(t *testing.T) {
	m := Meter{Waiting: -1, Queued: -time.Second, Compute: 1000 * time.Hour}
	got, err := ParseReply(must(t)(AppendReply(nil, 1, m, nil))[HeaderLen:])
	want := Meter{Compute: math.MaxUint32 * time.Microsecond}
	if err != nil || got.Meter != want {
		t.Errorf("%v, %v, want %v", got.Meter, err, want)
	}
}

func TestReplyRefuses(t *testing.T) {
	bad := sampleResults()
	bad[1].Err = expert.ErrUnknownExpert
	if b, err := AppendReply(nil, 1, Meter{}, bad); !errors.Is(err, expert.ErrUnknownExpert) || len(b) > 0 {
		t.Errorf("failed result: %v", err)
	}
	bad = sampleResults()
	bad[1].Out.Dim = 1
	if b, err := AppendReply(nil, 1, Meter{}, bad); !errors.Is(err, expert.ErrBadResult) || len(b) > 0 {
		t.Errorf("two widths: %v", err)
	}
	good := must(t)(AppendReply(nil, 1, sampleMeter(), sampleResults()))[HeaderLen:]
	for name, change := range map[string]func(b []byte) []byte{
		"mode":       func(b []byte) []byte { b[0] = 2; return b },
		"format":     func(b []byte) []byte { b[1] = 1; return b },
		"rows":       func(b []byte) []byte { b[16]++; return b },
		"huge rows":  func(b []byte) []byte { b[19] = 0xff; return b },
		"huge both":  func(b []byte) []byte { b[19], b[23] = 0x40, 0x10; return b },
		"NaN":        func(b []byte) []byte { b[len(b)-1], b[len(b)-2] = 0xff, 0xff; return b },
		"cut off":    func(b []byte) []byte { return b[:len(b)-1] },
		"more bytes": func(b []byte) []byte { return append(b, 0, 0, 0, 0) },
		"empty":      func(b []byte) []byte { return nil },
	} {
		if _, err := ParseReply(change(slices.Clone(good))); !errors.Is(err, expert.ErrBadResult) {
			t.Errorf("%s: %v, want ErrBadResult", name, err)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add(must(f)(AppendReply(nil, 1, sampleMeter(), sampleResults()))[HeaderLen:])
	f.Add(must(f)(AppendSum(nil, 1, sampleMeter(), expert.NewBatch(2, 3)))[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParseReply(body)
		if err != nil {
			if !errors.Is(err, expert.ErrBadResult) {
				t.Fatalf("%v does not wrap ErrBadResult", err)
			}
			return
		}
		again, err := AppendSum(nil, 1, x.Meter, x.Out)
		if !x.Sum {
			again, err = AppendReply(nil, 1, x.Meter, []expert.Result{{Out: x.Out}})
		}
		if err != nil || !slices.Equal(again[HeaderLen:], body) {
			t.Fatalf("second round: %v, other bytes", err)
		}
	})
}
