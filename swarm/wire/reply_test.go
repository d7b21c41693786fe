package wire

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

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

// TestReplyRoom: results that were computed in their place give the bytes that copies
// of them give, whatever the memory was before.
func TestReplyRoom(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 6))
		dim, calls := 1+r.IntN(70), 1+r.IntN(4)
		rows := make([]int, calls)
		all := 0
		for i := range rows {
			rows[i] = 1 + r.IntN(3)
			all += rows[i]
		}
		memory := make([]byte, r.IntN(2*(HeaderLen+ReplySize(all, dim))))
		b, outputs := ReplyRoom(memory[r.IntN(1+len(memory)):], all, dim)
		if !littleEndian() {
			t.Skip("no such place here")
		}
		var there, elsewhere []expert.Result
		for rest := outputs; len(there) < calls; {
			n := rows[len(there)] * dim
			for i := range rest[:n] {
				rest[i] = r.Float32()
			}
			out := expert.Batch{Rows: rows[len(there)], Dim: dim, Data: rest[:n]}
			there = append(there, expert.Result{Out: out})
			out.Data = slices.Clone(out.Data)
			elsewhere = append(elsewhere, expert.Result{Out: out})
			rest = rest[n:]
		}
		got := must(t)(AppendReply(b, 3, sampleMeter(), there))
		if !slices.Equal(got, must(t)(AppendReply(nil, 3, sampleMeter(), elsewhere))) {
			t.Fatalf("seed %d: other bytes", seed)
		}
		if at := &got[HeaderLen+replyFixed]; unsafe.Pointer(at) != unsafe.Pointer(&outputs[0]) || uintptr(unsafe.Pointer(at))%outputsAlign != 0 {
			t.Fatalf("seed %d: the outputs are not where they were computed, or badly aligned", seed)
		}
		if again, _ := ReplyRoom(got, all, dim); &again[:1][0] != &got[0] {
			t.Fatalf("seed %d: the memory of a reply does not do for the next one like it", seed)
		}
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
