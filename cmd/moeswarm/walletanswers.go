package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
	"github.com/moeswarm/moeswarm/internal/owner"
)

// paidAnswer is what "wallet answers --json" prints of one.
type paidAnswer struct {
	ID     string `json:"id"`
	Epoch  uint64 `json:"epoch"`
	Gate   string `json:"gate"`
	Model  string `json:"model"`
	Tokens uint32 `json:"tokens"` // prompt and answer
}

// walletAnswers lists the answers that gating nodes signed for this node.
func (p program) walletAnswers(_ context.Context, args []string) error {
	fs := p.flags("wallet answers", "wallet answers [FLAGS]", `
  moeswarm wallet answers
      the latest first, with the ids that "moeswarm wallet complain" takes
`)
	data := fs.String("data", "", "data `directory` of the node (default: moeswarm in the user's data directory)")
	asJSON := fs.Bool("json", false, "print a JSON list")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	folders, err := filepath.Glob(filepath.Join(dir, "ledger", "*", "answers"))
	if err != nil {
		return err
	}
	answers := []paidAnswer{}
	for _, folder := range folders {
		proofs, err := transcript.ReadProofs(folder)
		if err != nil {
			return err
		}
		for _, x := range proofs {
			c := x.Chunk
			answers = append(answers, paidAnswer{hex.EncodeToString(c.Session[:]), c.Epoch, account.Of(c.Gate).String(), c.Model.String(), x.Tokens})
		}
	}
	if *asJSON {
		return json.NewEncoder(p.stdout).Encode(answers)
	}
	if len(answers) == 0 {
		_, err := fmt.Fprintln(p.stdout, "no gating node has signed an answer for this node in the last epochs")
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "answer\tepoch\ttokens\tgating node\tmodel")
	for _, a := range answers {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%.12s\n", a.ID, a.Epoch, a.Tokens, a.Gate, a.Model)
	}
	return w.Flush()
}

// walletComplain has an answer looked at by other gating nodes.
func (p program) walletComplain(ctx context.Context, args []string) error {
	fs := p.flags("wallet complain", "wallet complain [FLAGS] ANSWER", `
  moeswarm wallet complain 5f0c…
      have another gating node look at an answer, two epochs after it was given, and
      bring it before a jury if it does not hold; the node has to run until then, and
      pays for it what a prompt of the answer's length costs, within --max-audit-spend
`)
	ask := p.ownersNode(fs)
	ops, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if err := ask(ctx, owner.ComplainPath, map[string]string{"answer": ops[0]}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "another gating node is asked to look at it as soon as two epochs are over; what was asked and answered goes to that node, and to a jury's if it does not hold")
	return err
}
