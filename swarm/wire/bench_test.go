package wire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// layerCall is a layer's frame for one peer: rows of 2048, two experts.
func layerCall(rows, of int) Call {
	c := Call{In: expert.NewBatch(of, 2048)}
	for i := range 2 {
		call := expert.Call{Expert: expert.ID{Index: uint16(i)}}
		for r := range rows {
			call.Rows = append(call.Rows, int32(r))
		}
		c.Calls = append(c.Calls, call)
	}
	return c
}

func BenchmarkAppendCall(b *testing.B) {
	for _, shape := range [][2]int{{1, 1}, {1, 8}, {128, 128}} {
		b.Run(fmt.Sprintf("rows=%dof%d", shape[0], shape[1]), func(b *testing.B) {
			c := layerCall(shape[0], shape[1])
			var buf []byte
			b.SetBytes(int64(c.size(shape[0])))
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = AppendCall(buf[:0], 1, c)
			}
		})
	}
}

func BenchmarkParseCall(b *testing.B) {
	for _, rows := range []int{1, 128} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			buf, _ := AppendCall(nil, 1, layerCall(rows, rows))
			body := slices.Clone(buf[HeaderLen:]) // aligned, as a Reader's are
			var c Call
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := ParseCall(body, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReply(b *testing.B) {
	for _, rows := range []int{1, 128} {
		results := []expert.Result{{Out: expert.NewBatch(rows, 2048)}, {Out: expert.NewBatch(rows, 2048)}}
		buf, _ := AppendReply(nil, 1, Meter{}, results)
		b.Run(fmt.Sprintf("append/rows=%d", rows), func(b *testing.B) {
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = AppendReply(buf[:0], 1, Meter{}, results)
			}
		})
		b.Run(fmt.Sprintf("parse/rows=%d", rows), func(b *testing.B) {
			body := slices.Clone(buf[HeaderLen:])
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseReply(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
