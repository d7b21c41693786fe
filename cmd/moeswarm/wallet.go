package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/keyfile"
	"github.com/moeswarm/moeswarm/swarm"
)

// walletCommand is one thing that "moeswarm wallet" does.
type walletCommand struct {
	name, synopsis, about string
	run                   func(p program, ctx context.Context, args []string) error
}

func walletCommands() []walletCommand {
	return []walletCommand{
		{"address", "[ACCOUNT]", "show the account of the node's key, or another, in all the forms in which it is named", program.walletAddress},
		{"balance", "[ACCOUNT]", "show what an account has, and its bond and escrows", program.walletBalance},
		{"send", "ACCOUNT AMOUNT", "give money to another account", program.walletSend},
		{"grant", "ACCOUNT AMOUNT", "pay the fees of another account, up to an amount", program.walletGrant},
		{"bond", "AMOUNT", "put money behind what this node signs as gating node or holder", program.walletBond},
		{"unbond", "AMOUNT", "take it back, after the unbonding time", program.walletUnbond},
		{"deposit", "MODEL AMOUNT", "set money aside to pay for answers of a model", program.walletDeposit},
		{"withdraw", "MODEL AMOUNT", "take it back, some epochs later", program.walletWithdraw},
		{"answers", "", "list the answers that gating nodes signed for this node", program.walletAnswers},
		{"complain", "ANSWER", "have other gating nodes look at one", program.walletComplain},
		{"export", "--out FILE", "copy the key to a file, encrypted or not", program.walletExport},
	}
}

// wallet is the account that the node's key is.
func (p program) wallet(ctx context.Context, args []string) error {
	if len(args) > 0 {
		for _, c := range walletCommands() {
			if c.name == args[0] {
				return c.run(p, ctx, args[1:])
			}
		}
	}
	if len(args) > 0 && args[0] != "-h" && args[0] != "-help" && args[0] != "--help" {
		return usagef("no command \"wallet %.40s\"; \"moeswarm wallet -h\" lists them", args[0])
	}
	fmt.Fprint(p.stdout, "Usage: moeswarm wallet COMMAND [FLAGS]\n\nThe account of a node: its key is the same as among peers.\n\n")
	for _, c := range walletCommands() {
		fmt.Fprintf(p.stdout, "  %-24s %s\n", c.name+" "+c.synopsis, c.about)
	}
	fmt.Fprint(p.stdout, `
"moeswarm wallet COMMAND -h" shows the flags. A key that exists is never replaced.

Examples:
  moeswarm wallet address
  moeswarm wallet balance --ledger led1…
  moeswarm wallet bond 500 --ledger led1…
  moeswarm wallet export --out backup.key
`)
	if len(args) == 0 {
		return usagef("name a command")
	}
	return nil
}

// walletFlags are what all commands of the wallet take.
type walletFlags struct {
	keyFlags
	data string
}

func (f *walletFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.data, "data", "", "data `directory` of the node (default: moeswarm in the user's data directory)")
	f.register(fs)
}

// load reads the node's key; a node that never ran gets one if it may be made.
func (p program) load(f walletFlags, create bool) (ed25519.PrivateKey, error) {
	path := f.key
	if path == "" {
		dir, err := p.dataDir(f.data)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(dir, "key")
	}
	read := keyfile.Read
	if create && f.key == "" {
		read = keyfile.Load
	}
	key, err := read(path, p.passphrase(f.passphrase, "passphrase of "+path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; name the node's directory with --data, or its key with --key", err)
	}
	return key, err
}

// accountView is what "wallet address --json" prints.
type accountView struct {
	Address string `json:"address"`
	Peer    string `json:"peer"`
	Key     string `json:"public_key"`
}

func viewOf(key [32]byte) (accountView, error) {
	peer, err := swarm.PeerOf(key)
	return accountView{Address: account.Of(key).String(), Peer: string(peer), Key: fmt.Sprintf("%x", key)}, err
}

func publicOf(key ed25519.PrivateKey) [32]byte { return [32]byte(key.Public().(ed25519.PublicKey)) }

func (p program) walletAddress(_ context.Context, args []string) error {
	var f walletFlags
	fs := p.flags("wallet address", "wallet address [FLAGS] [ACCOUNT]", `
  moeswarm wallet address
      the account in the three forms in which it is named; makes a key if there is none
  moeswarm wallet address --data /var/lib/moeswarm --json
  moeswarm wallet address 12D3KooW…
      the address and key of a peer; from an address alone neither can be told
`)
	f.define(fs)
	asJSON := fs.Bool("json", false, "print one JSON object")
	ops, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	var public [32]byte
	if len(ops) == 1 {
		if public, err = parseAccount(ops[0]); err != nil {
			return err
		}
	} else {
		key, err := p.load(f, true)
		if err != nil {
			return err
		}
		public = publicOf(key)
	}
	v, err := viewOf(public)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	fmt.Fprintf(p.stdout, "address     %s\npeer        %s\npublic key  %s\n", v.Address, v.Peer, v.Key)
	return nil
}

func (p program) walletExport(_ context.Context, args []string) error {
	var f walletFlags
	fs := p.flags("wallet export", "wallet export --out FILE [FLAGS]", `
  moeswarm wallet export --out key.backup
      a copy that its owner alone can read
  moeswarm wallet export --out key.age --encrypt
      encrypted with a passphrase (age, scrypt); "moeswarm node --key key.age" runs on it, "age -d" opens it
  MOESWARM_PASSPHRASE=… moeswarm wallet export --key key.age --out key.plain
      decrypted again
`)
	f.define(fs)
	out := fs.String("out", "", "`file` to write; it must not exist")
	encrypt := fs.Bool("encrypt", false, "encrypt it with a passphrase, which is asked for twice")
	to := fs.String("new-passphrase-file", "", "`file` whose first line encrypts the copy, instead of asking")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	if *out == "" {
		return usagef("say where to write the key with --out FILE")
	}
	key, err := p.load(f, false)
	if err != nil {
		return err
	}
	pass := ""
	if *encrypt || *to != "" {
		if pass, err = p.newPassphrase(*to); err != nil {
			return err
		}
	}
	if err := keyfile.Write(*out, key, pass); err != nil {
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s exists, and keys are never written over: choose another name", *out)
		}
		return err
	}
	how := "as it is: whoever reads the file has the account"
	if pass != "" {
		how = "encrypted: without the passphrase nobody can use it, you neither"
	}
	p.say("wrote the key to %s, %s", *out, how)
	return nil
}

// newPassphrase asks for one that nothing checks yet.
func (p program) newPassphrase(file string) (string, error) {
	if file != "" {
		pass, err := p.passphrase(file, "")()
		if err == nil && pass == "" {
			err = fmt.Errorf("%s begins with an empty line; a passphrase is needed", file)
		}
		return pass, err
	}
	first, err := p.prompt("new passphrase")
	if err != nil {
		return "", fmt.Errorf("encrypting: %w", err)
	}
	again, err := p.prompt("once more")
	switch {
	case err != nil:
		return "", err
	case first != again:
		return "", errors.New("the two passphrases differ; nothing was written")
	case first == "":
		return "", errors.New("an empty passphrase protects nothing; nothing was written")
	}
	return first, nil
}
