package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// gov is what those who have stake decide together.
func (p program) gov(ctx context.Context, args []string) error {
	commands := []walletCommand{
		{"list", "", "list proposals, the newest first", program.govList},
		{"show", "NUMBER", "show a proposal: what it changes, and how it stands", program.govShow},
		{"propose", "param|model|grant …", "propose a change of rules, a model, or money from the treasury", program.govPropose},
		{"self-test", "FILE", "what a model's self-test gives, for a proposal", program.govSelfTest},
		{"vote", "NUMBER yes|no|abstain|veto", "vote with the stake that the account delegated", program.govVote},
	}
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				return c.run(p, ctx, args[1:])
			}
		}
		if args[0] != "-h" && args[0] != "-help" && args[0] != "--help" {
			return usagef("no command \"gov %.40s\"; \"moeswarm gov -h\" lists them", args[0])
		}
	}
	fmt.Fprint(p.stdout, "Usage: moeswarm gov COMMAND [FLAGS]\n\nWhat those who have stake in the ledger decide.\n\n")
	for _, c := range commands {
		fmt.Fprintf(p.stdout, "  %-34s %s\n", c.name+" "+c.synopsis, c.about)
	}
	fmt.Fprint(p.stdout, `
"moeswarm gov COMMAND -h" shows the flags.

Examples:
  moeswarm gov list --ledger led1…
  moeswarm gov propose --title "A fee of 8 %" param fee_bps=800
  moeswarm gov vote 3 yes
`)
	if len(args) == 0 {
		return usagef("name a command")
	}
	return nil
}

// proposalView is a proposal as --json prints it.
type proposalView struct {
	ID       uint64   `json:"id"`
	Title    string   `json:"title"`
	Status   string   `json:"status"`
	Ends     string   `json:"voting_ends,omitempty"`
	Proposer string   `json:"proposer,omitempty"`
	Summary  string   `json:"summary,omitempty"`
	Changes  []string `json:"changes,omitempty"`
	Yes      uint64   `json:"yes"`
	Abstain  uint64   `json:"abstain"`
	No       uint64   `json:"no"`
	Veto     uint64   `json:"veto"`
	Failed   string   `json:"failed,omitempty"`
}

func viewOfProposal(x light.Proposal) proposalView {
	v := proposalView{ID: x.ID, Title: oneLine(x.Title), Status: x.Status, Proposer: oneLine(x.Proposer), Summary: oneLine(x.Summary),
		Yes: x.Tally[0], Abstain: x.Tally[1], No: x.Tally[2], Veto: x.Tally[3], Failed: oneLine(x.FailedReason)}
	if !x.VotingEnds.IsZero() {
		v.Ends = x.VotingEnds.Format("2006-01-02 15:04:05 MST")
	}
	for _, m := range x.Messages {
		v.Changes = append(v.Changes, changeLine(m))
	}
	return v
}

// oneLine makes a stranger's text fit for a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// changeLine says what a message of a proposal does.
func changeLine(m light.Message) string {
	msg, ok := light.Governed(m)
	if !ok {
		return oneLine(m.Type)
	}
	switch v := msg.(type) {
	case *ledger.UpdateParams:
		var all []string
		for _, c := range v.Changes {
			all = append(all, fmt.Sprintf("%s = %d", c.Name, c.Value))
		}
		return strings.Join(all, ", ")
	case *ledger.SetModel:
		verb := "admit"
		if !v.Model.Active {
			verb = "retire"
		}
		tested := ""
		if len(v.Model.SelfTest) > 0 {
			tested = ", gating nodes pass a self-test"
		}
		return fmt.Sprintf("%s model %s (%s), a token costs %v at least%s", verb, oneLine(v.Model.Name), v.ID, v.Model.Floor, tested)
	}
	return fmt.Sprintf("%T", msg)
}

func (p program) govList(ctx context.Context, args []string) (err error) {
	var f clientFlags
	fs := p.flags("gov list", "gov list [FLAGS]", "\n  moeswarm gov list --ledger led1…\n")
	f.define(fs, p)
	asJSON := fs.Bool("json", false, "print one JSON list")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	l, _, end, err := p.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	all, err := l.Proposals(ctx)
	if err != nil {
		return err
	}
	views := []proposalView{}
	for _, x := range all {
		views = append(views, viewOfProposal(x))
	}
	if *asJSON {
		return json.NewEncoder(p.stdout).Encode(views)
	}
	if len(views) == 0 {
		fmt.Fprintln(p.stdout, "there are no proposals")
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NUMBER\tSTATUS\tVOTING ENDS\tTITLE")
	for _, v := range views {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", v.ID, v.Status, v.Ends, v.Title)
	}
	return w.Flush()
}

func (p program) govShow(ctx context.Context, args []string) (err error) {
	var f clientFlags
	fs := p.flags("gov show", "gov show [FLAGS] NUMBER", "\n  moeswarm gov show 3\n")
	f.define(fs, p)
	asJSON := fs.Bool("json", false, "print one JSON object")
	ops, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	number, err := proposalNumber(ops[0])
	if err != nil {
		return err
	}
	l, _, end, err := p.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	x, err := l.Proposal(ctx, number)
	if err != nil {
		return err
	}
	v := viewOfProposal(x)
	if *asJSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	fmt.Fprintf(p.stdout, "proposal %d: %s\nstatus   %s\n", v.ID, v.Title, v.Status)
	if v.Ends != "" {
		fmt.Fprintf(p.stdout, "ends     %s\n", v.Ends)
	}
	for _, c := range v.Changes {
		fmt.Fprintf(p.stdout, "changes  %s\n", c)
	}
	if v.Summary != "" {
		fmt.Fprintf(p.stdout, "summary  %s\n", v.Summary)
	}
	fmt.Fprintf(p.stdout, "votes    yes %d, no %d, veto %d, abstain %d (units of stake, counted when voting ends)\n", v.Yes, v.No, v.Veto, v.Abstain)
	if v.Failed != "" {
		fmt.Fprintf(p.stdout, "failed   %s\n", v.Failed)
	}
	return nil
}

func proposalNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, usagef("%.40q is no proposal's number; \"moeswarm gov list\" shows them", s)
	}
	return n, nil
}

func (p program) govVote(ctx context.Context, args []string) (err error) {
	var f clientFlags
	fs := p.flags("gov vote", "gov vote [FLAGS] NUMBER yes|no|abstain|veto", "\n  moeswarm gov vote 3 yes\n")
	f.define(fs, p)
	ops, err := parse(fs, args, 2, 2)
	if err != nil {
		return err
	}
	number, err := proposalNumber(ops[0])
	if err != nil {
		return err
	}
	vote, ok := map[string]light.Vote{"yes": light.VoteYes, "no": light.VoteNo, "abstain": light.VoteAbstain, "veto": light.VoteVeto}[ops[1]]
	if !ok {
		return usagef("vote %.20q: want yes, no, abstain or veto", ops[1])
	}
	l, _, end, err := p.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	id, err := l.Vote(ctx, number, vote)
	if err == nil {
		fmt.Fprintf(p.stdout, "voted %s on proposal %d; transaction %s\n", ops[1], number, id)
	}
	return err
}

func (p program) govPropose(ctx context.Context, args []string) (err error) {
	var f clientFlags
	fs := p.flags("gov propose", "gov propose [FLAGS] param NAME=VALUE… | model ID NAME | grant ACCOUNT AMOUNT", `
  moeswarm gov propose --title "Shorter epochs" param epoch_blocks=360
  moeswarm gov propose --title "Admit OLMoE" --floor 250nneuro --units 128 --unit-work 6291 model 3f9c… olmoe-1b-7b
  moeswarm gov propose --title "Test OLMoE" --self-test "$(moeswarm gov self-test olmoe.gguf)" model 3f9c… olmoe-1b-7b
  moeswarm gov propose --title "No more demo" --retire model 3f9c… demo
  moeswarm gov propose --title "A grant for the documentation" grant neuro1… 500
`)
	f.define(fs, p)
	title := fs.String("title", "", "one `line` that says what is proposed")
	summary := fs.String("summary", "", "a `text` that says why (default: the title)")
	deposit := amount(10 * ledger.Neuro)
	fs.Var(&deposit, "deposit", "`amount` that the account puts down, and has back unless the proposal is vetoed")
	var floor amount
	fs.Var(&floor, "floor", "least `amount` that a token of the model costs")
	units := fs.Uint64("units", 0, "`experts` that a token row of the model goes through: sparse layers times experts of each; bounds what a gating node can report (0: no bound)")
	work := fs.Uint64("unit-work", 0, "`thousands` of multiplications of one of them, 3 x width x inner width / 1000, by which the work of models compares when emission is divided (0: one)")
	retire := fs.Bool("retire", false, "take the model off the list instead")
	test := fs.String("self-test", "", "`text` that \"moeswarm gov self-test FILE\" prints for the model: gating nodes whose own comes out otherwise have no seat (default: none is asked for)")
	ops, err := parse(fs, args, 1, -1)
	if err != nil {
		return err
	}
	tested, err := parseSelfTest(*test)
	if err != nil {
		return err
	}
	message, err := proposed(ops, ledger.Model{Active: !*retire, Floor: ledger.Amount(floor), UnitsPerRow: *units, UnitWork: *work}, tested)
	if err != nil {
		return err
	}
	if *title == "" {
		return usagef("say in one line what is proposed, with --title")
	}
	if *summary == "" {
		summary = title
	}
	l, _, end, err := p.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	id, err := l.Propose(ctx, *title, *summary, ledger.Amount(deposit), message)
	if err == nil {
		fmt.Fprintf(p.stdout, "proposed %q; transaction %s; \"moeswarm gov list\" shows its number\n", *title, id)
	}
	return err
}

// proposed is the message that a proposal is about.
func proposed(ops []string, model ledger.Model, tested ledger.SelfTest) (light.Message, error) {
	kind, ops := ops[0], ops[1:]
	switch {
	case kind == "param" && len(ops) > 0:
		u := &ledger.UpdateParams{}
		params := ledger.DefaultParams()
		for _, op := range ops {
			name, text, ok := strings.Cut(op, "=")
			value, err := strconv.ParseUint(text, 10, 64)
			if !ok || err != nil {
				return light.Message{}, usagef("%.60q: want NAME=VALUE with a whole number", op)
			}
			if err := params.Set(name, value); err != nil {
				return light.Message{}, usagef("%w; there are: %s", err, strings.Join(paramNames(), ", "))
			}
			u.Changes = append(u.Changes, ledger.Change{Name: name, Value: value})
		}
		return light.ByGovernance(u)
	case kind == "model" && len(ops) == 2:
		id, err := parseModel(ops[0])
		if err != nil {
			return light.Message{}, err
		}
		if len(tested.Marks) > 0 && tested.Model != id {
			return light.Message{}, usagef("the self-test is of model %v, not of %v", tested.Model, id)
		}
		model.Name, model.SelfTest = ops[1], tested.Marks
		return light.ByGovernance(&ledger.SetModel{ID: id, Model: model})
	case kind == "grant" && len(ops) == 2:
		to, err := parseAddress(ops[0])
		if err != nil {
			return light.Message{}, err
		}
		n, err := parseAmount(ops[1])
		if err != nil {
			return light.Message{}, usageError{err}
		}
		return light.Grant(to, n), nil
	}
	return light.Message{}, usagef("propose what? param NAME=VALUE…, model ID NAME, or grant ACCOUNT AMOUNT")
}

func paramNames() []string {
	var names []string
	for _, s := range ledger.ParamSpecs() {
		names = append(names, s.Name)
	}
	return names
}
