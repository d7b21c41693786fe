// Package keyfile keeps a node's ed25519 key on disk: the identity among peers,
// and the account that owns what the node earns and may lose.
//
// A file is either plain PKCS #8 in PEM, readable by its owner alone, or the
// same text encrypted with a passphrase in the age format (scrypt), armored.
// Both are what the usual tools read: openssl pkey, age -d.
package keyfile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const (
	// keyBlock is the PEM type of a plain key.
	keyBlock = "PRIVATE KEY"
	// sealedBlock is that of an encrypted one.
	sealedBlock = "AGE ENCRYPTED FILE"
	// maxKeyFile bounds what is read from a key file. A real one has 119 bytes,
	// an encrypted one about 500.
	maxKeyFile = 16 << 10
	// scryptWork is the work of trying a passphrase, as a power of two: 256 MiB
	// and a second on a machine of 2020. maxScryptWork is what a file may ask
	// for; more would look like a program that hangs.
	scryptWork, maxScryptWork = 18, 20
)

// ErrPassphrase: a key file is encrypted, and the passphrase is missing or wrong.
var ErrPassphrase = errors.New("the key file is encrypted")

// Ask gives the passphrase of an encrypted file. nil: nobody knows it.
type Ask func() (string, error)

// Load returns the ed25519 key in the file at path, and creates the file
// with a new key, readable by its owner alone, if there is none. The key is
// the node's identity: whoever has it can speak as this node. When several
// processes create the same file at once, all of them get the same key. ask is
// asked only if the file is encrypted; see [ErrPassphrase].
func Load(path string, ask Ask) (ed25519.PrivateKey, error) {
	key, err := Read(path, ask)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the node's key: %w", err)
	}
	if err := Write(path, key, ""); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("creating the node's key: %w", err)
	}
	return Read(path, ask)
}

// Read is Load for a file that is there; otherwise the error wraps
// fs.ErrNotExist.
func Read(path string, ask Ask) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the node's key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("key file %s is not a key file; move it away and a new one is made", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s can be used by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the node's key: %w", err)
	}
	key, err := parse(text, ask)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// parse reads the text of a key file.
func parse(text []byte, ask Ask) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block != nil && block.Type == sealedBlock {
		var err error
		if text, err = unseal(text, ask); err != nil {
			return nil, err
		}
		block, _ = pem.Decode(text)
	}
	if block == nil || block.Type != keyBlock {
		return nil, fmt.Errorf("it holds no %q block; move it away and a new key is made (the node then has a new id)", keyBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it holds a %T; an ed25519 key is needed", parsed)
	}
	return key, nil
}

// unseal decrypts an armored file.
func unseal(text []byte, ask Ask) ([]byte, error) {
	if ask == nil {
		return nil, fmt.Errorf("%w, and no passphrase was given", ErrPassphrase)
	}
	pass, err := ask()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	id, err := age.NewScryptIdentity(pass)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	id.SetMaxWorkFactor(maxScryptWork)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(text)), id)
	if err != nil {
		if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
			return nil, fmt.Errorf("%w, and the passphrase is wrong", ErrPassphrase)
		}
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxKeyFile))
}

// Write puts a key into a new file that its owner alone can read, encrypted
// unless the passphrase is empty. It writes a file beside path and links it into
// place, so that path never holds half a key, and a file that is there is never
// replaced: then the error wraps fs.ErrExist.
func Write(path string, key ed25519.PrivateKey, passphrase string) error {
	text, err := encode(key, passphrase)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

func encode(key ed25519.PrivateKey, passphrase string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	plain := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	if passphrase == "" {
		return plain, nil
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(scryptWork)
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, to)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	err = errors.Join(err, w.Close(), armored.Close())
	return out.Bytes(), err
}
