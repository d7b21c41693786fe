package localswarm

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// MaxNodes bounds a swarm on one machine: each node is a process of some 60 MB.
const MaxNodes = 64

// Config of a [Swarm].
type Config struct {
	Exec  string   // the moeswarm binary
	Model string   // what --model takes: "demo" or a file
	Hold  []string // what --experts takes, one entry for each holding node
	// Gates is how many of the nodes gate, the first ones. Default 1.
	Gates int
	// Bare adds that many gating nodes that hold no experts.
	Bare int
	// Threads is what --threads takes; 0 leaves it out.
	Threads int
	// Front puts something in front of each node: it is told which of
	// Swarm.Nodes that is, -1 for the entry, and where it will listen, as
	// host:port, and gives the multiaddr to announce instead. nil: nothing is.
	Front func(node int, listen string) (announce string, err error)
	// As gives the words of the command line before the flags of one of
	// Swarm.Nodes, for benchmarks whose nodes misbehave. nil: "node".
	As func(node int) []string
	// Args are further arguments for every node.
	Args []string
	// StartTime is how long a node may take until it says it is ready.
	// Default 60 s: a model of some gigabytes is hashed first.
	StartTime time.Duration
	// Log gets what the nodes print on standard error. nil: dropped.
	Log io.Writer
	// Progress is told in a line what is going on. nil: nobody is.
	Progress func(string)
}

func (c Config) validate() (Config, error) {
	if c.Exec == "" || c.Model == "" {
		return c, errors.New("localswarm: needs the binary and a model")
	}
	if len(c.Hold) < 1 || len(c.Hold)+c.Bare > MaxNodes {
		return c, fmt.Errorf("%d nodes asked for; want 1 to %d", len(c.Hold)+c.Bare, MaxNodes)
	}
	if c.Gates == 0 && c.Bare == 0 {
		c.Gates = 1
	}
	if c.Gates < 0 || c.Gates > len(c.Hold) {
		return c, fmt.Errorf("%d gating nodes of %d", c.Gates, len(c.Hold))
	}
	if c.StartTime == 0 {
		c.StartTime = 60 * time.Second
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c, nil
}

// A node behind a front listens on a port from firstPort up to lastPort; so many
// are tried.
const (
	firstPort, lastPort = 20_000, 32_000
	portTries           = 100
)

// FreePort finds a port of loopback for a node to listen on. It is free again when
// the node takes it. A system gives connections that go out ports from 32768 on, so
// those are no choice: one of the many that nodes open meanwhile would have it now
// and then.
func FreePort() (addr *net.TCPAddr, err error) {
	var ln net.Listener
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return ln.Addr().(*net.TCPAddr), ln.Close()
}

// front finds a port for a node to listen on and what to announce for it.
// Without a front the node finds its own.
func (c Config) front(node int) (args []string, err error) {
	if c.Front == nil {
		return []string{"--listen", "/ip4/127.0.0.1/tcp/0"}, nil
	}
	addr, err := FreePort()
	if err != nil {
		return nil, err
	}
	announce, err := c.Front(node, addr.String())
	return []string{"--listen", fmt.Sprintf("/ip4/%s/tcp/%d", addr.IP, addr.Port), "--announce", announce}, err
}

// args is the command line of one node.
func (c Config) args(n *Node, listen, join []string) []string {
	a := []string{"node"}
	if c.As != nil && n.index >= 0 {
		a = c.As(n.index)
	}
	a = append(a, "--ephemeral", "--while-stdin", "--mdns=false", "--http", "127.0.0.1:0")
	a = append(a, listen...)
	for _, j := range join {
		a = append(a, "--join", j)
	}
	if n.Hold != "" {
		a = append(a, "--model", c.Model, "--experts", n.Hold)
	}
	if n.Gates {
		a = append(a, "--gate")
	}
	if c.Threads > 0 {
		a = append(a, "--threads", fmt.Sprint(c.Threads))
	}
	return append(a, c.Args...)
}

// ready is what a node's first line of output says.
type ready struct {
	peer, http string
	addrs      []string
}

// parseReady reads "ready peer=ID http=URL addr=MULTIADDR,…".
func parseReady(line string) (ready, error) {
	var r ready
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		return r, fmt.Errorf("a node said %.200q instead of being ready", line)
	}
	for _, field := range strings.Fields(rest) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "peer":
			r.peer = value
		case "http":
			r.http = value
		case "addr":
			r.addrs = strings.Split(value, ",")
		}
	}
	if r.peer == "" || r.http == "" || len(r.addrs) == 0 {
		return r, fmt.Errorf("a node's ready line lacks peer, http or addr: %.200q", line)
	}
	return r, nil
}
