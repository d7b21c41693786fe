package main

import (
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/moeswarm/moeswarm/internal/keyfile"
)

// passphraseVariable is the environment variable with the passphrase of an
// encrypted key.
const passphraseVariable = "MOESWARM_PASSPHRASE"

// keyFlags say where the node's key is and what opens it.
type keyFlags struct {
	key        string
	passphrase string
}

func (f *keyFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.key, "key", "", "`file` of the node's key, plain or encrypted (default: key in the data directory)")
	fs.StringVar(&f.passphrase, "passphrase-file", "", "`file` whose first line opens an encrypted key (default: $"+passphraseVariable+", else the terminal is asked)")
}

// nodeKey is the key of a node with this data directory: the one that was named,
// or the directory's own, which is made if there is none.
func (p program) nodeKey(f keyFlags, data string) (ed25519.PrivateKey, error) {
	read, path := keyfile.Read, f.key
	if path == "" {
		read, path = keyfile.Load, filepath.Join(data, "key")
	}
	return read(path, p.passphrase(f.passphrase, "passphrase of "+path))
}

// passphrase finds the passphrase: in a file, in the environment, from who sits at the
// terminal.
func (p program) passphrase(file, question string) keyfile.Ask {
	return func() (string, error) {
		if file != "" {
			text, err := os.ReadFile(file)
			line, _, _ := strings.Cut(string(text), "\n")
			return strings.TrimSuffix(line, "\r"), err
		}
		if s := p.getenv(passphraseVariable); s != "" {
			return s, nil
		}
		return p.prompt(question)
	}
}

// prompt asks at the terminal, and does not show what is typed.
func (p program) prompt(question string) (string, error) {
	in, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("give its passphrase with --passphrase-file or " + passphraseVariable)
	}
	fmt.Fprint(p.stderr, question+": ")
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(p.stderr)
	return string(b), err
}
