package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/keyfile"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/swarm"
)

// devnet is a development ledger of real processes: validators, each of which
// the test may kill and start again, and nodes of a swarm that use the ledger.
// An account of the ledger is the data directory of a node.
type devnet struct {
	t          *testing.T // of the scene that runs
	whole      *testing.T
	binary     string
	home       string
	ticket     string
	model      string // the demo model's id
	validators []*daemon
	reader     *light.Client // proves what it reads
	open       light.Opener
	join       string // a node's address, by which the others meet
}

// newDevnet makes a ledger and starts nothing. Its binary is another module's and
// named in MOESWARM_LEDGER_BINARY; without it the test is skipped. args are flags
// of "moeswarm-ledger devnet"; as usual there are four validators, ten accounts,
// and epochs of 20 short blocks.
func newDevnet(t *testing.T, args ...string) *devnet {
	t.Helper()
	d := &devnet{t: t, whole: t, binary: os.Getenv("MOESWARM_LEDGER_BINARY"), home: t.TempDir(), model: demotest.Model(t, "Q4_K_M").ID().String()}
	if d.binary == "" {
		t.Skip("set MOESWARM_LEDGER_BINARY to a moeswarm-ledger, as make test-devnet does")
	}
	args = append([]string{"devnet", "--home", d.home, "--no-start", "--validators", "4", "--block-time", "300ms", "--epoch-blocks", "20"}, args...)
	if out, err := exec.Command(d.binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("moeswarm-ledger %v: %v\n%s", args, err, out)
	}
	return d
}

// startDevnet makes a ledger and starts its validators.
func startDevnet(t *testing.T, args ...string) *devnet {
	t.Helper()
	d := newDevnet(t, args...)
	for i := range 4 {
		d.validators = append(d.validators, d.ledgerNode(fmt.Sprintf("validator%d", i)))
	}
	for _, v := range d.validators {
		v.begin()
	}
	var whole light.Ticket
	for _, v := range d.validators {
		one := v.readyTicket()
		one.Addrs = append(whole.Addrs, one.Addrs...)
		whole = one
	}
	d.ticket = whole.String()
	out, err := swarm.NewOutside(light.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	d.open = out
	if d.reader, err = light.New(light.Config{Ticket: whole, Open: out}); err != nil {
		t.Fatal(err)
	}
	return d
}

// ledgerNode is a node of the ledger whose folder is in the ledger's.
func (d *devnet) ledgerNode(folder string) *daemon {
	return d.daemon(folder, d.binary, "start", "--home", filepath.Join(d.home, folder), "--while-stdin")
}

// account is an account's folder: the --data of its node.
func (d *devnet) account(i int) string { return filepath.Join(d.home, "accounts", strconv.Itoa(i)) }

// key is an account's public key.
func (d *devnet) key(i int) ledger.Key {
	d.t.Helper()
	key, err := keyfile.Read(filepath.Join(d.account(i), "key"), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return ledger.KeyOf(key)
}

func (d *devnet) modelHash() ledger.Hash {
	id, err := parseModel(d.model)
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

// do runs a command of the program and gives what it prints.
func (d *devnet) do(args ...string) string {
	d.t.Helper()
	stdout, stderr, err := runBinary(d.t, append(args, "--ledger", d.ticket)...)
	if err != nil {
		d.t.Fatalf("moeswarm %s: %v: %s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// all does things at once that wait for blocks.
func (d *devnet) all(things ...func()) {
	d.t.Helper()
	done := make(chan struct{})
	for _, f := range things {
		go func() {
			defer func() { done <- struct{}{} }() // also where f ends the test
			f()
		}()
	}
	for range things {
		<-done
	}
	if d.t.Failed() {
		d.t.FailNow()
	}
}

// clock is where the ledger stands, proved.
func (d *devnet) clock() ledger.Clock {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	k, err := d.reader.Clock(ctx)
	if err != nil {
		d.t.Fatalf("the clock: %v", err)
	}
	return k
}

// past reads a record of a past state from a validator that runs, unproved. It
// reports whether there is one.
func (d *devnet) past(height uint64, key []byte, r ledger.Record) bool {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ticket, err := light.ParseTicket(d.ticket)
	if err != nil {
		d.t.Fatal(err)
	}
	var failed error
	for i, addr := range ticket.Addrs {
		if i < len(d.validators) && !d.validators[i].runs() {
			continue
		}
		answer, err := light.Ask(ctx, d.open, addr, light.AskRecord, light.Question{Height: height, Store: light.Codespace, Key: key}.Encode())
		var record light.Record
		if err == nil {
			record, err = light.DecodeRecord(answer)
		}
		if err == nil && record.Value != nil {
			err = ledger.Decode(record.Value, r)
		}
		if err == nil {
			return record.Value != nil
		}
		failed = errors.Join(failed, err)
	}
	d.t.Fatalf("no validator has the state of block %d: %v", height, failed)
	return false
}

// devNode is a node of the swarm that uses the ledger, under an account.
type devNode struct {
	*daemon
	account int
	url     string
	peer    string
	key     ledger.Key
}

// node starts a node of an account with flags of "moeswarm node". The first one
// is who the others join. A fault, as "work=40ms", makes its holder misbehave.
func (d *devnet) node(account int, fault string, args ...string) *devNode {
	d.t.Helper()
	command := []string{"node"}
	if fault != "" {
		command = []string{"bench", faultyNode, fault}
	}
	command = append(command, "--data", d.account(account), "--yield", "off", "--nice", "0", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--http", "127.0.0.1:0", "--ledger", d.ticket, "--while-stdin")
	if d.join != "" {
		command = append(command, "--join", d.join)
	}
	n := &devNode{daemon: d.daemon(fmt.Sprintf("node %d", account), built(d.t), append(command, args...)...), account: account, key: d.key(account)}
	n.begin()
	n.ready()
	if d.join == "" {
		d.join = n.view().Addrs[0]
	}
	return n
}

// again starts a node that was stopped or killed, as it was.
func (n *devNode) again() {
	n.t.Helper()
	n.begin()
	n.ready()
}

// ready waits for a node's first line.
func (n *devNode) ready() {
	n.t.Helper()
	line := n.line()
	_, rest, found := strings.Cut(line, "http=")
	if !found {
		n.t.Fatalf("%s is not ready: %q\n%s", n.name, line, n.log)
	}
	n.url, _, _ = strings.Cut(rest, " ")
	n.peer = n.view().Peer
}

// view is what the node shows of itself.
func (n *devNode) view() (v node.View) {
	n.t.Helper()
	c, err := client.New(n.url)
	if err == nil {
		err = c.Get(context.Background(), "/v1/swarm", &v)
	}
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", n.name, err, n.log)
	}
	return v
}

// patience is how long an answer or an event may take that a test waits for.
const patience = 3 * time.Minute

// try asks a node for an answer; at gets the number of each piece of text.
func (n *devNode) try(prompt string, tokens int, at func(i int)) (client.Answer, error) {
	c, err := client.New(n.url)
	if err != nil {
		return client.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	count := 0
	return c.Complete(ctx, client.Request{Prompt: prompt, MaxTokens: tokens}, func(string) {
		if count++; at != nil {
			at(count)
		}
	})
}

// ask asks a node for an answer, which must be one machine's.
func (n *devNode) ask(prompt string, tokens int, at func(i int)) {
	n.t.Helper()
	a, err := n.try(prompt, tokens, at)
	if err != nil {
		n.t.Fatalf("%s: %v\n%+v", n.name, err, n.view().Ledger)
	}
	sameTokens(n.t, prompt, a.Tokens, reference(n.t, prompt, tokens))
}

// seats waits until a node knows of a committee of so many for it.
func (n *devNode) seats(size int) {
	n.t.Helper()
	awaitLong(n.t, fmt.Sprintf("%d seats", size), func() bool {
		v := n.view().Ledger
		return len(v.Seats) == 1 && v.Seats[0].Size == size
	})
}

// scene is a part of a test that begins where the last one ended.
func (d *devnet) scene(name string, play func()) {
	d.whole.Helper()
	defer func() { d.t = d.whole }()
	if !d.whole.Run(name, func(t *testing.T) { d.t = t; play() }) {
		d.whole.FailNow()
	}
}

// daemon is a process that a test starts, kills and starts again.
type daemon struct {
	*devnet
	name string
	path string
	args []string
	log  *safeBuffer

	cmd   *exec.Cmd // nil: not running
	in    io.Closer
	first chan string // its first line of output
}

func (d *devnet) daemon(name, path string, args ...string) *daemon {
	p := &daemon{devnet: d, name: name, path: path, args: args, log: &safeBuffer{}}
	d.whole.Cleanup(func() {
		p.stop()
		if d.whole.Failed() {
			d.whole.Logf("%s:\n%s", p.name, p.log)
		}
	})
	return p
}

func (p *daemon) runs() bool { return p.cmd != nil }

// begin starts the process. It ends with the test, also where that crashes.
func (p *daemon) begin() {
	p.t.Helper()
	cmd := exec.Command(p.path, p.args...)
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		p.in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatalf("starting %s: %v", p.name, err)
	}
	p.cmd, p.first = cmd, make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		p.first <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, r)
	}()
}

// line waits for the first line of output; empty: it ended before.
func (p *daemon) line() string {
	p.t.Helper()
	select {
	case line := <-p.first:
		return line
	case <-time.After(patience):
		p.t.Fatalf("%s says nothing for %v\n%s", p.name, patience, p.log)
		return ""
	}
}

// readyTicket waits until a node of the ledger runs and gives its ticket.
func (p *daemon) readyTicket() light.Ticket {
	p.t.Helper()
	line := p.line()
	text, _ := strings.CutPrefix(line, "ready ticket=")
	t, err := light.ParseTicket(text)
	if err != nil {
		p.t.Fatalf("%s is not ready: %q, %v\n%s", p.name, line, err, p.log)
	}
	return t
}

// kill ends the process as a crash of its machine would.
func (p *daemon) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		p.wait()
	}
}

// stop ends the process in good order.
func (p *daemon) stop() {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
		p.wait()
		late.Stop()
	}
}

func (p *daemon) wait() {
	_ = p.cmd.Wait()
	_ = p.in.Close()
	p.cmd = nil
}

// awaitLong waits for what takes some epochs.
func awaitLong(t *testing.T, what string, good func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !good(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// balance is what "wallet balance" shows of an account.
func (d *devnet) balance(account int) (b balanceView) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.do("wallet", "balance", "--json", "--model", d.model, "--data", d.account(account))), &b); err != nil {
		d.t.Fatal(err)
	}
	return b
}
