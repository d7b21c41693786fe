package node

import (
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger/credit"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// HotAuto lets the machine's memory say how much of it hot experts may take.
const HotAuto = -1

// Config of a [Node].
type Config struct {
	Version string
	// Key is the node's identity among peers, and its account; nil: a new one
	// for this run.
	Key    ed25519.PrivateKey
	Listen []string // multiaddrs; empty: the swarm package's default
	Join   []string // multiaddrs of nodes to join
	// Announce are multiaddrs to tell others instead of those listened on.
	Announce []string
	MDNS     bool // find others on the local network, and be found
	// Reach and Rendezvous are the swarm package's: ways through routers, and
	// to nodes whose addresses nobody knows.
	Reach      swarm.Reach
	Rendezvous swarm.Rendezvous

	HTTP  string   // host:port of the HTTP endpoint; empty: none
	Hosts []string // further names under which clients may address it
	// Keys, Origins and Rate say who may ask, as in package httpapi.
	Keys, Origins []string
	Rate          int
	TLS           *tls.Config // nil: no TLS

	Models []Model // what this node serves; empty: it only forwards prompts
	// Threads bounds the computing of the whole node; 0: all processors.
	Threads int
	// PartialSums asks holders for weighted sums instead of one result per
	// expert: fewer bytes, last bits not fixed.
	PartialSums bool
	// HalfAnswers lets holders answer in half precision: half the bytes,
	// tokens may differ from a single machine's.
	HalfAnswers bool
	// Routing holds the numbers that the choice of peers depends on; zero
	// fields mean their defaults.
	Routing routing.Policy
	// Answers is how many answers a gating node works on at a time, per
	// model; more wait. 0: the engine's default.
	Answers int
	// KVMemory bounds the bytes that the keys and values of answers take, those
	// kept of earlier ones included, over all models gated. 0: a quarter of the
	// machine's memory.
	KVMemory int64

	// Drafts is how many tokens ahead of their time gating nodes bring to a
	// step: as many as pay (0), none (below 0), or always so many.
	Drafts int
	// Draft is a small model that drafts for those gated here; without one
	// drafts are looked up in the answers themselves.
	Draft Model
	// Template names a built-in chat template to use for all models instead of
	// their own; empty: their own. A gating node with an economy has none: who
	// checks its answers reads conversations by the model's own.
	Template string
	// TemplateWorker is the command line of a process that runs chat.Serve,
	// where templates that came with models run; empty: they are refused.
	TemplateWorker []string

	// Audit says how gating nodes check what peers answer: "auto" or empty,
	// by their standing; "always", every answer; "off".
	Audit string
	// Evidence is the directory where what convicts a peer is kept; empty:
	// nowhere.
	Evidence string
	// Reputations is the file where the conduct of peers is kept; beside it
	// are exclusions.jsonl, who was found to lie, and standings.json, whose
	// answers have been right. Empty: all is forgotten with this run.
	Reputations string

	// Economy joins the node to a ledger, with Key as its account; nil: nothing
	// is paid, and who says that it gates is a gating node.
	Economy *Economy

	// Name and Team are shown in lists of who did how much, without a ledger.
	Name, Team string

	// handOver bounds the wait of a leaving node for others to take what only it
	// holds; 0: handOverTime. Tests on busy machines have more.
	handOver time.Duration

	// Owner is what the machine's owner allows; the zero value: everything.
	Owner Owner

	// Misbehave wraps what peers' calls are computed with; for benchmarks and
	// tests. nil: nothing does.
	Misbehave func(expert.Applier) expert.Applier
	// Cheat makes a gating node of tests give answers that are not what was
	// paid for; the zero value: it is honest.
	Cheat Cheat
	// Content keeps parts of models that come from peers; nil: no model may be
	// in parts.
	Content *content.Store
	// HotMemory is how many bytes of experts that a gated model uses most are
	// kept here for the node's own answers, per model; 0: none; HotAuto: as many
	// as the machine has room for.
	HotMemory int64
	// MaxUpload and MaxDownload bound what goes out and comes in of parts of
	// models, in bytes a second; 0: no bound.
	MaxUpload, MaxDownload int64

	Log *slog.Logger // nil: silent
	// Say is told, in lines for people, what the node waits for. nil: nobody.
	Say func(format string, args ...any)
}

// Cheat is how a gating node deceives those whom it answers.
type Cheat struct {
	Experts func(expert.Applier) expert.Applier // computes its answers; nil: as they are
	Asked   func(prompt.Request) prompt.Request // what it answers instead; nil: what it was asked
}

// Model is one model that the node serves a part of.
type Model struct {
	Name  string
	Model *expert.Model // stays open until Run has returned; of one in parts Hold and the trunk are fetched
	Hold  []expert.Slot // experts to compute here
	Auto  bool          // choose them instead, within Memory bytes
	Gate  bool          // run the trunk and complete prompts
	// GateAuto lets the node gate while the swarm has too few nodes that do. The
	// trunk then counts in Memory, unless that is 0.
	GateAuto bool
	// Memory is what the node gives to experts that it chooses itself.
	Memory int64
}

// mayGate reports whether the node gates the model, now or at times.
func (m Model) mayGate() bool { return m.Gate || m.GateAuto }

func (c Config) validate() (Config, error) {
	if c.Threads < 0 {
		return c, fmt.Errorf("threads %d: want a positive number, or 0 for all processors", c.Threads)
	}
	if c.Answers < 0 {
		return c, fmt.Errorf("answers %d: want a positive number, or 0 for the default", c.Answers)
	}
	if c.KVMemory < 0 {
		return c, fmt.Errorf("%d bytes for keys and values: want a positive number, or 0 for the default", c.KVMemory)
	}
	if c.Audit != "" && c.Audit != "auto" && c.Audit != "always" && c.Audit != "off" {
		return c, fmt.Errorf("audit %.20q: want auto, always or off", c.Audit)
	}
	if err := c.Owner.validate(); err != nil {
		return c, err
	}
	if e := c.Economy; e != nil && (c.Key == nil || e.Ledger == nil || e.Chain == "" || e.Dir == "") {
		return c, errors.New("node: an economy needs the node's key, a ledger with its name, and a directory")
	}
	if c.Economy != nil && c.PartialSums {
		return c, errors.New("partial sums and a ledger exclude each other: holders sign results of experts, and nobody could show a jury that a sum is wrong")
	}
	if c.Economy != nil && c.Template != "" && slices.ContainsFunc(c.Models, Model.mayGate) {
		return c, errors.New("--chat-template does not go with --ledger and --gate: whoever checks an answer reads conversations by the model's own template, and would find another text; leave it out")
	}
	if err := credit.CheckNames(c.Name, c.Team); err != nil {
		return c, fmt.Errorf("name or team of this node: %w", err)
	}
	for _, m := range c.Models {
		if m.Model == nil {
			return c, errors.New("node: a model without a file")
		}
		if m.Gate && m.GateAuto || m.Memory < 0 {
			return c, fmt.Errorf("model %s: a node gates always or when it is needed, with no less than 0 bytes", m.Name)
		}
		if m.Auto && (m.Memory <= 0 || len(m.Hold) > 0) {
			return c, fmt.Errorf("model %s: a node that chooses its experts needs memory for them, and none of them given", m.Name)
		}
		if !m.Model.Whole() && c.Content == nil {
			return c, fmt.Errorf("model %s comes in parts, which need a data directory to be kept in", m.Name)
		}
	}
	if c.Key == nil {
		var err error
		if _, c.Key, err = ed25519.GenerateKey(nil); err != nil {
			return c, err
		}
	}
	if c.handOver == 0 {
		c.handOver = handOverTime
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	return c, nil
}
