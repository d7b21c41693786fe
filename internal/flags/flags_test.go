package flags

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

// TestParse: an error is one line that says what the flag wants, and shows no help;
// help shows that alone.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // of the error; empty: none
	}{
		{"--count 3 --share 0.5 --wait 2s --any=false --size 7", ""},
		{"--count many", `invalid value "many" for flag -count: want a whole number`},
		{"--count 1.5", `invalid value "1.5" for flag -count: want a whole number`},
		{"--size -1", `invalid value "-1" for flag -size: want a whole number`},
		{"--share half", `invalid value "half" for flag -share: want a number`},
		{"--wait 5", `invalid value "5" for flag -wait: want a time such as 300ms, 5s or 2m`},
		{"--two-words x--count", `invalid value "x--count" for flag -two-words: want a whole number`},
		{"--any=perhaps", `invalid boolean value "perhaps" for -any: want true or false`},
		{"--count 99999999999999999999", `invalid value "99999999999999999999" for flag -count: value out of range`},
		{"--own x", `invalid value "x" for flag -own: want y`},
		{"--else", "flag provided but not defined: -else"},
		{"--count", "flag needs an argument: -count"},
		{"-h", flag.ErrHelp.Error()},
		{"--help", flag.ErrHelp.Error()},
	} {
		var shown strings.Builder
		fs := New("program", "try", "try [FLAGS]", "\n  program try --count 3\n", &shown)
		fs.Int("count", 0, "")
		fs.Int("two-words", 0, "")
		fs.Uint64("size", 0, "")
		fs.Float64("share", 0, "")
		fs.Duration("wait", time.Second, "")
		fs.Bool("any", true, "")
		fs.Func("own", "", func(string) error { return errors.New("want y") })
		got := ""
		err := Parse(fs, strings.Fields(c.args))
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
		if !errors.Is(err, flag.ErrHelp) {
			if shown.Len() > 0 {
				t.Errorf("%s: help that nobody asked for: %s", c.args, &shown)
			}
			fs.Usage()
		}
		for _, part := range []string{"Usage: program try [FLAGS]\n", "-two-words", "Examples:\n  program try --count 3\n"} {
			if strings.Count(shown.String(), part) != 1 {
				t.Errorf("%s: help has no %q, or two: %s", c.args, part, &shown)
			}
		}
	}
}
