package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

// TestTrace: a whole answer says in its header where it came from, a streamed
// one at its end, and at its beginning what is known by then.
func TestTrace(t *testing.T) {
	url := serve(t, newFake("a", "b"), nil)
	for _, stream := range []bool{false, true} {
		r := post(t, url, fmt.Sprintf(`{"prompt":"Hi","stream":%v}`, stream))
		if got := r.Header.Get(routeHeader); got != "gates=12D3Gate; failovers=0" {
			t.Errorf("stream %v: route %q", stream, got)
		}
		readAll(t, r)
		h := r.Header
		if stream {
			if h.Get(timingHeader) != "" {
				t.Error("a stream knows its timing at the beginning")
			}
			h = r.Trailer
		}
		timing := h.Get(timingHeader)
		for _, want := range []string{"first;dur=", "total;dur=", `gate;desc="12D3Gate"`, `holders;desc="2"`, `rounds;desc="8"`, `hedges;desc="1"`, `drafted;desc="0"`, `accepted;desc="0"`} {
			if !strings.Contains(timing, want) {
				t.Errorf("stream %v: no %s in %q", stream, want, timing)
			}
		}
		if h.Get(routeHeader) == "" {
			t.Errorf("stream %v: no route at the end", stream)
		}
	}
}
