// Package flags reads command lines as package flag does, and says in one line what
// is wrong with one.
package flags

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"
)

// Parse parses args as fs.Parse does. Where help was asked for, it shows that and
// returns [flag.ErrHelp]. Another error comes without the help, which would push it
// out of sight, and says what the flag wants.
func Parse(fs *flag.FlagSet, args []string) error {
	help := fs.Usage
	fs.Usage = func() {}
	defer func() { fs.Usage = help }()
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		help()
	case err != nil:
		err = wanted(fs, err)
	}
	return err
}

// wanted says what a flag wants where package flag says "parse error", of values of
// its own kinds.
func wanted(fs *flag.FlagSet, err error) error {
	what, bad := strings.CutSuffix(err.Error(), ": parse error")
	if !bad {
		return err
	}
	f := fs.Lookup(what[strings.LastIndex(what, " -")+len(" -"):])
	if f == nil {
		return err
	}
	g, ok := f.Value.(flag.Getter)
	if !ok {
		return err
	}
	var want string
	switch g.Get().(type) {
	case bool:
		want = "true or false"
	case int, int64, uint, uint64:
		want = "a whole number"
	case float64:
		want = "a number"
	case time.Duration:
		want = "a time such as 300ms, 5s or 2m"
	default:
		return err
	}
	return fmt.Errorf("%s: want %s", what, want)
}
