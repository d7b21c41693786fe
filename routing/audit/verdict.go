package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Verdict is how an audit ended.
type Verdict struct {
	Peer    routing.Peer
	Model   expert.ModelID
	Layer   int
	At      time.Time // when the answer came
	Class   expert.Numeric
	Outcome Outcome
	Steps   []Step // the auditors that were asked, in order
}

// Step is what one auditor said.
type Step struct {
	Auditor string
	Grade   string  // empty: it could not tell
	Error   float64 // relative, of the worst row
	Rows    int
	Where   string
	Why     string // it could not tell
	Took    time.Duration
}

// String is one line for logs.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v in layer %d", v.Outcome, v.Layer)
	for _, s := range v.Steps {
		if s.Grade == "" {
			fmt.Fprintf(&b, "; %s: %s", s.Auditor, s.Why)
		} else {
			fmt.Fprintf(&b, "; %s: %s, error %.3g over %d rows", s.Auditor, s.Grade, s.Error, s.Rows)
		}
	}
	return b.String()
}
