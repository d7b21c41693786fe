// Package flags reads command lines as package flag does, with help that has examples
// and errors of one line.
package flags

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// New makes the flag set of a program's command. Its help is the synopsis, the flags
// and examples, and goes to help: it is what was asked for. Errors are the caller's to
// print.
func New(program, command, synopsis, examples string, help io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fmt.Fprintf(help, "Usage: %s %s\n\n", program, synopsis)
		fs.SetOutput(help)
		fs.PrintDefaults()
		fs.SetOutput(io.Discard)
		fmt.Fprintf(help, "\nExamples:\n%s", strings.TrimLeft(examples, "\n"))
	}
	return fs
}

// Parse parses args for a set that [New] made, as its Parse does. Where help was asked for, it shows that and
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
