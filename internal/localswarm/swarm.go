package localswarm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// closeTime is how long nodes may take to say goodbye once asked to stop; a
// node itself promises to be gone within 10 s.
const closeTime = 12 * time.Second

// Swarm is a running throwaway swarm.
type Swarm struct {
	// Entry holds nothing; prompts enter there.
	Entry *Node
	// Nodes hold the experts or gate, in the order of Config.Hold, the bare
	// gating nodes last.
	Nodes []*Node

	cfg Config
}

// Node is one process of a swarm.
type Node struct {
	Hold  string // its --experts; empty for the entry
	Gates bool
	Peer  string   // its peer id
	URL   string   // of its HTTP endpoint
	Addrs []string // to join it by

	index int // in Swarm.Nodes; -1: the entry
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when the process has ended
	err   error         // how it ended; read after done
}

// Pid is the process id.
func (n *Node) Pid() int { return n.cmd.Process.Pid }

// Done is closed when the process has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Kill ends the process at once, as a crash would, and waits for its end.
func (n *Node) Kill() {
	n.cmd.Process.Kill()
	<-n.done
}

// Stop asks the process to leave the swarm, waits for its end and says how it
// ended.
func (n *Node) Stop() error {
	n.stdin.Close()
	n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(closeTime):
		n.Kill()
		return fmt.Errorf("node %s did not stop within %v and was killed", n.Peer, closeTime)
	}
	return n.err
}

// Start starts all processes and returns when each is ready and joined. When
// ctx ends before, it stops what it has started.
func Start(ctx context.Context, cfg Config) (_ *Swarm, err error) {
	cfg, err = cfg.validate()
	if err != nil {
		return nil, err
	}
	s := &Swarm{Entry: &Node{index: -1}, cfg: cfg}
	for i, hold := range cfg.Hold {
		s.Nodes = append(s.Nodes, &Node{Hold: hold, Gates: i < cfg.Gates, index: i})
	}
	for range cfg.Bare {
		s.Nodes = append(s.Nodes, &Node{Hold: "none", Gates: true, index: len(s.Nodes)})
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTime, fmt.Errorf("the nodes were not ready within %v", cfg.StartTime))
	defer cancel()
	// The first node is what the others join. They start together.
	cfg.Progress(fmt.Sprintf("starting %d nodes", len(s.Nodes)+1))
	if err := s.Nodes[0].start(ctx, cfg, nil); err != nil {
		return nil, err
	}
	join := s.Nodes[0].Addrs[:1]
	errs := make([]error, len(s.Nodes)+1)
	var wg sync.WaitGroup
	for i, n := range append(s.Nodes[1:len(s.Nodes):len(s.Nodes)], s.Entry) {
		wg.Go(func() { errs[i] = n.start(ctx, cfg, join) })
	}
	wg.Wait()
	return s, errors.Join(errs...)
}

// Restart starts one of Nodes again that has ended, as a new process with a new
// identity, which joins through the entry.
func (s *Swarm) Restart(ctx context.Context, node int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.StartTime, fmt.Errorf("the node was not ready within %v", s.cfg.StartTime))
	defer cancel()
	return s.Nodes[node].start(ctx, s.cfg, s.Entry.Addrs[:1])
}

// start runs one process and waits for its ready line.
func (n *Node) start(ctx context.Context, cfg Config, join []string) error {
	listen, err := cfg.front(n.index)
	if err != nil {
		return err
	}
	return n.run(ctx, cfg, cfg.args(n, listen, join))
}

// run runs a process and waits for its ready line.
func (n *Node) run(ctx context.Context, cfg Config, args []string) error {
	n.cmd = exec.Command(cfg.Exec, args...)
	// In a process group of its own, a node does not see the Ctrl-C that is
	// meant for its parent, which stops it in good order.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	n.cmd.Stderr = cfg.Log
	stdin, err := n.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.cmd.Start(); err != nil {
		n.cmd = nil
		return fmt.Errorf("start a node: %w", err)
	}
	n.stdin, n.done = stdin, make(chan struct{})
	line := make(chan string, 1)
	go func() {
		defer close(n.done)
		r := bufio.NewReader(stdout)
		first, _ := r.ReadString('\n')
		line <- first
		io.Copy(io.Discard, r)
		n.err = n.cmd.Wait()
	}()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case l := <-line:
		r, err := parseReady(l)
		if err != nil {
			return err
		}
		n.Peer, n.URL, n.Addrs = r.peer, r.http, r.addrs
		return nil
	}
}

// Close stops every process that still runs and returns when all have ended.
func (s *Swarm) Close() error {
	all := append([]*Node{s.Entry}, s.Nodes...)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, n := range all {
		if n.cmd == nil || n.done == nil {
			continue
		}
		select {
		case <-n.done: // ended before, killed on purpose perhaps
			continue
		default:
		}
		wg.Go(func() { errs[i] = n.Stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
