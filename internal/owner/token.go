package owner

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenName is the file, in the node's data directory, whose content proves
// that a request comes from the node's owner. Its permissions do the work:
// loopback is open to every user of a machine, this file to one.
const TokenName = "owner-token"

const tokenBytes = 32

// Token reads the token of a data directory, and makes it if there is none.
func Token(dir string) (string, error) {
	path := filepath.Join(dir, TokenName)
	if t, err := ReadToken(dir); !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	raw := make([]byte, tokenBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	token := hex.EncodeToString(raw)
	f, err := os.CreateTemp(dir, TokenName+"-*") // with mode 0600
	if err != nil {
		return "", fmt.Errorf("owner's token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	err = errors.Join(err, f.Close())
	if err == nil {
		// Link, not rename: of two nodes that start at once the first wins.
		err = os.Link(f.Name(), path)
	}
	_ = os.Remove(f.Name())
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("owner's token: %w", err)
	}
	return ReadToken(dir)
}

// ReadToken reads the token of a data directory.
func ReadToken(dir string) (string, error) {
	path := filepath.Join(dir, TokenName)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("owner's token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenBytes {
		return "", fmt.Errorf("owner's token: %s is damaged; delete it and start the node again", path)
	}
	return token, nil
}
