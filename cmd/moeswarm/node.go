package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/gating/chat"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// nodeFlags is the command line of "moeswarm node".
type nodeFlags struct {
	data         string
	ephemeral    bool
	listen, join list
	announce     list
	mdns         bool
	nat, relay   bool
	swarmKey     string
	rendezvous   string
	via          list
	http         string
	hosts        list
	access       accessFlags
	models       list
	ticket       string
	disk         byteSize
	hotMemory    hotSize
	maxUpload    byteSize
	maxDownload  byteSize
	experts      string
	memory       byteSize
	gate         gateFlag
	audit        string
	template     string
	threads      int
	answers      int
	drafts       string
	draft        string
	kvMemory     byteSize
	sums         string
	answersF16   bool
	hedge        string
	owner        ownerFlags
	keys         keyFlags
	ledger       ledgerFlags
	whileStdin   bool
	verbose      bool
}

func (p program) node(ctx context.Context, args []string) error {
	var f nodeFlags
	fs := p.flags("node", "node [FLAGS]", `
  moeswarm node --model demo --gate
      hold and gate the built-in model; prints an address to join by
  moeswarm node --join /ip4/192.0.2.7/tcp/4160/p2p/12D3KooW… --model demo --experts '*:0-7' --gate=false
      hold half of each layer's experts for that swarm
  moeswarm node --model big.gguf --gate --draft small.gguf
      a small model of the same family goes ahead, where rounds to the experts take long
  moeswarm node --join /ip4/192.0.2.7/tcp/4160/p2p/12D3KooW…
      hold nothing; forward prompts for whatever the swarm serves
  moeswarm node --ticket moe1… --experts '*:0-7' --max-upload 2MB
      the same with what "moeswarm invite" printed; the parts come from peers, no model file is needed
  moeswarm node --ticket moe1… --experts auto --gate=auto --memory 4GiB
      hold what the swarm needs most, and gate while it has too few nodes that do
  curl http://127.0.0.1:4180/v1/completions -d '{"prompt":"func main() {","max_tokens":64,"temperature":0}'
`)
	fs.StringVar(&f.data, "data", "", "`directory` of the node's key and imported models (default: moeswarm in the user's data directory)")
	fs.BoolVar(&f.ephemeral, "ephemeral", false, "keep nothing on disk: a new identity, no model store")
	fs.Var(&f.listen, "listen", "`multiaddr` to listen on; may be repeated; port 0 lets the system choose (default: TCP and QUIC on port 4160)")
	fs.Var(&f.announce, "announce", "`multiaddr` to tell others instead of those listened on, where a forwarded port or a relay leads here; may be repeated")
	fs.Var(&f.join, "join", "`multiaddr` of a node to join, with /p2p/ID at its end; may be repeated")
	fs.BoolVar(&f.mdns, "mdns", true, "find nodes on the local network, and be found there")
	fs.BoolVar(&f.nat, "nat", true, "look for ways through routers: ask for a port (UPnP, NAT-PMP), use relays, punch holes")
	fs.BoolVar(&f.relay, "relay", true, "pass other nodes' connections on, within limits, while this node can be reached from outside")
	fs.StringVar(&f.swarmKey, "swarm-key", "", "`file` with the key of a private swarm, which all its nodes have; \"moeswarm swarm-key > FILE\" makes one")
	fs.StringVar(&f.rendezvous, "rendezvous", "", "meet the nodes that gave the same `name` through the public IPFS network's hash table; then nobody needs to be named with --join")
	fs.Var(&f.via, "rendezvous-via", "`multiaddr` of a node of another hash table to meet through, with /p2p/ID at its end; may be repeated")
	fs.StringVar(&f.http, "http", "127.0.0.1:4180", "`host:port` of the HTTP endpoint; \"none\" for no endpoint")
	fs.Var(&f.hosts, "http-name", "further host `name` by which HTTP clients may address this node; may be repeated")
	f.access.register(fs)
	fs.Var(&f.models, "model", "GGUF `file`, name of an imported model, \"demo\", or the id of a model, whose parts then come from peers; may be repeated")
	fs.StringVar(&f.ticket, "ticket", "", "`string` that \"moeswarm invite\" printed: whom to join, and the model; --join takes it, too")
	fs.Var(&f.disk, "disk", "`size` that parts of models from peers may take on disk, such as 20GiB; what most others hold goes first (default: no bound)")
	fs.Var(&f.hotMemory, "hot-memory", "`size` of the most used experts that a gating node keeps for its own answers, per model, such as 1GiB; layers whose experts are all here cost no round; auto: an eighth of the machine's memory, if that has room for half of the experts (default 0: what is kept here is also computed here)")
	fs.Var(&f.maxUpload, "max-upload", "`bytes` a second that parts of models may take going out to peers, such as 2MB (default: no bound)")
	fs.Var(&f.maxDownload, "max-download", "`bytes` a second that parts of models may take coming in (default: no bound)")
	fs.StringVar(&f.experts, "experts", "all", "experts to hold of each model: all, none, auto (the node chooses what the swarm needs most, within --memory), or `spec` LAYERS:EXPERTS with ranges and *, several separated by ';', such as '*:0-3' or '0,2:*;1:4-7'")
	fs.Var(&f.memory, "memory", "`amount` of memory and disk for what the node chooses itself with --experts auto and --gate=auto, such as 2GiB, for each model")
	fs.Var(&f.gate, "gate", "run the models' trunks and complete prompts; experts that are not held here are asked of peers; --gate=auto: while the swarm has too few nodes that do, the trunk counting in --memory (default false)")
	fs.StringVar(&f.audit, "audit", "auto", "how a gating node checks what peers answer: auto, by their standing; always; off")
	fs.StringVar(&f.template, "chat-template", "", "use the built-in chat template of this `name` instead of the models' own; not with --ledger and --gate: "+strings.Join(chat.Names(), ", "))
	fs.IntVar(&f.threads, "threads", 0, "`processors` to compute with (default: all)")
	fs.IntVar(&f.answers, "answers", 0, "answers a gating node works on at a time per model; four times as many wait, in fair turns between users (default 16)")
	fs.Var(&f.kvMemory, "kv-memory", "`size`, such as 8GiB, that a gating node's answers may take for their keys and values, those kept of earlier prompts included (default: a quarter of the machine's memory)")
	fs.StringVar(&f.drafts, "drafts", "auto", "tokens to try ahead of time in each step of an answer, looked up in what it has so far: auto (as many as measured acceptance and step times say pay), off, or always a `number`; answers are the same")
	fs.StringVar(&f.draft, "draft", "", "small model that drafts for those gated here, where there is nothing to look up: GGUF `file` with the same vocabulary, with experts or without, name of an imported model, or \"demo\"; all of it runs here")
	fs.StringVar(&f.sums, "sums", "exact", "exact: one result per expert, tokens equal a single machine's; partial: holders add up their experts, fewer bytes, last bits not fixed; not with --ledger")
	fs.BoolVar(&f.answersF16, "answers-f16", false, "let holders answer in half precision: half the bytes on slow lines, but results are rounded, so tokens may differ from a single machine's; counted as answers_f16 in \"moeswarm status --json\"")
	fs.StringVar(&f.hedge, "hedge", "auto", "when to duplicate expert calls that a peer has not answered, for 5 % of them at most: off, auto (after the p95 of that peer), or a `duration` such as 20ms")
	f.owner.define(fs)
	f.keys.register(fs)
	f.ledger.define(fs)
	fs.BoolVar(&f.whileStdin, "while-stdin", false, "stop when standard input ends; for programs that start nodes")
	fs.BoolVar(&f.verbose, "verbose", false, "log what the node does")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	if err := p.checkCPU(); err != nil {
		return err
	}
	if f.whileStdin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			io.Copy(io.Discard, p.stdin)
			cancel()
		}()
	}
	return p.runNode(ctx, f)
}

func (p program) runNode(ctx context.Context, f nodeFlags) error {
	if err := f.useTicket(); err != nil {
		return err
	}
	cfg, err := p.nodeConfig(f)
	if err != nil {
		return err
	}
	var store *expert.Store
	if f.ephemeral && f.keys.key != "" {
		if cfg.Key, err = p.nodeKey(f.keys, ""); err != nil {
			return err
		}
	}
	if !f.ephemeral {
		if f.data, err = p.dataDir(f.data); err != nil {
			return err
		}
		cfg.Evidence = filepath.Join(f.data, "evidence")
		cfg.Reputations = filepath.Join(f.data, "reputations.json")
		if cfg.Key, err = p.nodeKey(f.keys, f.data); err != nil {
			return err
		}
		if store, err = expert.OpenStore(f.data); err != nil {
			return err
		}
		if cfg.Content, err = content.Open(f.data, int64(f.disk)); err != nil {
			return err
		}
		defer cfg.Content.Close()
	}
	memory, err := f.autoMemory()
	if err != nil {
		return err
	}
	if cfg.HotMemory = int64(f.hotMemory.byteSize); f.hotMemory.auto {
		cfg.HotMemory = node.HotAuto
	}
	cfg.MaxUpload, cfg.MaxDownload = int64(f.maxUpload), int64(f.maxDownload)
	for _, name := range f.models {
		m, err := p.openFor(ctx, cfg, store, name)
		if err != nil {
			return err
		}
		defer m.Model.Close()
		shape := m.Model.Shape()
		if f.experts == "auto" {
			m.Auto, m.Memory = true, memory
		} else if m.Hold, err = expert.ParseSpec(f.experts, shape.SparseLayers, shape.Experts); err != nil {
			return usagef("--experts for model %s: %w", m.Name, err)
		}
		m.Gate, m.GateAuto = f.gate.on, f.gate.auto
		if f.gate.auto {
			m.Memory = memory
		}
		cfg.Models = append(cfg.Models, m)
	}
	if f.ephemeral {
		f.data = ""
	}
	if err := f.owner.apply(&cfg, f.data); err != nil {
		return err
	}
	if f.draft != "" {
		if cfg.Draft, err = p.openDraft(ctx, store, f.draft); err != nil {
			return fmt.Errorf("--draft: %w", err)
		}
		defer cfg.Draft.Model.Close()
	}
	end, err := f.ledger.join(&cfg, f.data)
	if err != nil {
		return err
	}
	defer end()
	if p.sees != nil && cfg.Economy != nil {
		cfg.Economy.Ledger = p.sees(cfg.Economy.Ledger)
	}
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	leaveRoom(f.threads)
	return p.serve(ctx, n)
}

// openFor opens a model for a node: whole, or in parts.
func (p program) openFor(ctx context.Context, cfg node.Config, store *expert.Store, name string) (node.Model, error) {
	if id, ok := byID(store, cfg.Content, name); ok {
		return p.openParts(ctx, cfg, id)
	}
	return p.openModel(ctx, store, name)
}

// serve runs the node and prints its ready line.
func (p program) serve(ctx context.Context, n *node.Node) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var calm sync.WaitGroup
	defer calm.Wait()
	calm.Go(func() { keepCalm(ctx) })
	select {
	case err := <-done:
		cancel()
		return err
	case <-n.Ready():
	}
	_, werr := fmt.Fprintf(p.stdout, "ready peer=%s http=%s addr=%s\n", n.ID(), n.URL(), strings.Join(n.Addrs(), ","))
	if werr != nil { // nobody can use a node that nobody can find
		cancel()
	}
	err := <-done
	cancel()
	return errors.Join(werr, err)
}

func (p program) nodeConfig(f nodeFlags) (node.Config, error) {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	cfg := node.Config{
		Version: version(), Listen: f.listen, Announce: f.announce, Join: f.join, MDNS: f.mdns, Hosts: f.hosts,
		Template: f.template, Threads: f.threads, Answers: f.answers, Audit: f.audit,
		Log: slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level})),
		Say: p.say, Misbehave: p.misbehave, Cheat: p.cheat,
	}
	if len(cfg.Listen) == 0 {
		cfg.Listen = []string{"/ip4/0.0.0.0/tcp/4160", "/ip4/0.0.0.0/udp/4160/quic-v1"}
	}
	cfg.Reach = swarm.Reach{Traverse: f.nat, Relay: f.nat && f.relay}
	cfg.Rendezvous = swarm.Rendezvous{Name: f.rendezvous, Via: f.via}
	if f.swarmKey != "" {
		text, err := os.ReadFile(f.swarmKey)
		if err != nil {
			return cfg, fmt.Errorf("--swarm-key: %w; \"moeswarm swarm-key > FILE\" makes one", err)
		}
		if cfg.Reach.Key, err = swarm.ParseSwarmKey(text); err != nil {
			return cfg, usagef("--swarm-key %s: %w", f.swarmKey, err)
		}
	}
	cfg.HalfAnswers = f.answersF16
	if f.answersF16 && f.sums == "partial" {
		return cfg, usagef("--answers-f16 and --sums partial exclude each other")
	}
	if f.template != "" && !slices.Contains(chat.Names(), f.template) {
		return cfg, usagef("--chat-template %.40q: there are %s", f.template, strings.Join(chat.Names(), ", "))
	}
	if exec, err := os.Executable(); err == nil {
		cfg.TemplateWorker = []string{exec, templateWorker}
	}
	if f.ledger.ticket != "off" && f.sums == "partial" {
		return cfg, usagef("--sums partial and --ledger exclude each other: holders sign one result for each expert, and nobody could show a jury that a sum is wrong; leave --sums out")
	}
	switch f.sums {
	case "exact":
	case "partial":
		cfg.PartialSums = true
	default:
		return cfg, usagef("--sums %q: want exact or partial", f.sums)
	}
	if f.draft != "" && f.gate == (gateFlag{}) {
		return cfg, usagef("--draft %s: only a gating node drafts; add --gate", f.draft)
	}
	switch n, err := strconv.Atoi(f.drafts); {
	case f.drafts == "auto":
	case f.drafts == "off", err == nil && n == 0:
		cfg.Drafts = -1
	case err == nil && n > 0 && n <= engine.MaxDrafts:
		cfg.Drafts = n
	default:
		return cfg, usagef("--drafts %q: want auto, off or a number from 1 to %d", f.drafts, engine.MaxDrafts)
	}
	if f.gate != (gateFlag{}) && len(f.models) == 0 {
		return cfg, usagef("--gate needs a --model whose trunk to run; try --model demo")
	}
	switch f.audit {
	case "auto", "always", "off":
	default:
		return cfg, usagef("--audit %q: want auto, always or off", f.audit)
	}
	cfg.KVMemory = int64(f.kvMemory)
	var err error
	if cfg.Routing.Hedge, err = routing.ParseHedge(f.hedge); err != nil {
		return cfg, usagef("--%w", err)
	}
	if f.http == "none" {
		return cfg, nil
	}
	if _, _, err := net.SplitHostPort(f.http); err != nil {
		return cfg, usagef("--http %q: want host:port, such as 127.0.0.1:4180, or none", f.http)
	}
	cfg.HTTP = f.http
	return cfg, f.access.set(&cfg)
}

// say prints a line for people.
func (p program) say(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }

// dataDir is where a node keeps its key and its models.
func (p program) dataDir(dir string) (string, error) {
	if dir == "" {
		base := p.getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("%w; name a directory with --data", err)
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "moeswarm")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w; name another with --data", err)
	}
	return dir, nil
}

// openModel opens a file, an imported model or the demo. Without a store
// nothing is remembered, so the file is hashed each time.
func (p program) openModel(ctx context.Context, store *expert.Store, name string) (node.Model, error) {
	progress := p.progress("reading " + name)
	if store != nil {
		m, e, err := store.Open(ctx, name, demo.GGUF(), progress)
		if err != nil {
			return node.Model{}, err
		}
		if e.Note != "" {
			p.say("%s: %s", e.Name, e.Note)
		}
		return node.Model{Name: e.Name, Model: m}, nil
	}
	if name == demo.Name {
		m, err := expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
		return node.Model{Name: demo.Name, Model: m}, err
	}
	m, err := expert.OpenModel(name, expert.Options{})
	if err != nil {
		return node.Model{}, err
	}
	if _, err := m.Identify(ctx, progress); err != nil {
		return node.Model{}, errors.Join(err, m.Close())
	}
	return node.Model{Name: strings.TrimSuffix(filepath.Base(name), ".gguf"), Model: m}, nil
}

// openDraft is openModel for a model that is computed here alone: it may also
// be a file without experts.
func (p program) openDraft(ctx context.Context, store *expert.Store, name string) (node.Model, error) {
	m, err := p.openModel(ctx, store, name)
	if !errors.Is(err, expert.ErrDense) {
		return m, err
	}
	dense, err := expert.OpenModel(name, expert.Options{Dense: true})
	if err != nil {
		return node.Model{}, err
	}
	if _, err := dense.Identify(ctx, p.progress("reading "+name)); err != nil {
		return node.Model{}, errors.Join(err, dense.Close())
	}
	return node.Model{Name: strings.TrimSuffix(filepath.Base(name), ".gguf"), Model: dense}, nil
}

// autoMemory checks --experts auto and --memory, which belong together.
func (f nodeFlags) autoMemory() (int64, error) {
	switch {
	case f.experts != "auto" && f.gate.auto:
		return int64(f.memory), nil
	case f.experts != "auto" && f.memory > 0:
		return 0, usagef("--memory goes with --experts auto or --gate=auto; %q names the experts to hold", f.experts)
	case f.experts != "auto":
		return 0, nil
	case f.memory == 0:
		return 0, usagef("--experts auto needs --memory, such as --memory 2GiB: what this machine can spare")
	}
	return int64(f.memory), nil
}

// roomFor is how many of Go's places for running code there are besides those of
// the workers: some are left to the network while all workers compute, and
// keepCalm takes one.
const roomFor = ggml.Spare + 1

// leaveRoom gives Go more places than there are workers.
func leaveRoom(threads int) {
	now := runtime.GOMAXPROCS(0)
	if threads <= 0 {
		threads = min(now, runtime.NumCPU())
	}
	if want := threads + roomFor; now < want {
		runtime.GOMAXPROCS(want)
	}
}
