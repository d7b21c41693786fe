package devnet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/home"
)

const (
	// readyTime is how long the processes may take until they made a block.
	readyTime = 60 * time.Second
	// stopTime is how long one may take to stop before it is killed.
	stopTime = 10 * time.Second
)

// Ready is what a process says in its first line of output, as
// "ready ticket=led1…".
const Ready = "ready ticket="

// Processes are the nodes of a ledger, running.
type Processes struct {
	// Ticket lets nodes use the ledger.
	Ticket light.Ticket

	all  []*process
	quit *atomic.Bool // they are being stopped
}

// process is one node.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.Closer
	done chan struct{} // closed when it has ended
	err  error         // set before done is closed
}

// Start starts a process for each home, from the binary exec, and returns when
// all have made a block together. log gets what they complain of. If it
// fails, or ctx ends before, it leaves nothing running.
func Start(ctx context.Context, exec string, homes []*home.Home, log io.Writer) (_ *Processes, err error) {
	p := &Processes{quit: new(atomic.Bool)}
	defer func() {
		if err != nil {
			p.Stop()
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("the nodes made no block within %v", readyTime))
	defer cancel()
	lines := make([]chan string, len(homes))
	for i, h := range homes {
		one, line, err := launch(exec, h, &untilQuit{log, p.quit})
		if err != nil {
			return nil, err
		}
		p.all, lines[i] = append(p.all, one), line
	}
	for i, line := range lines {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case l := <-line:
			text, ok := strings.CutPrefix(strings.TrimSpace(l), Ready)
			if !ok {
				return nil, fmt.Errorf("%s did not start", p.all[i].name)
			}
			t, err := light.ParseTicket(text)
			if err != nil {
				return nil, err
			}
			t.Addrs = append(p.Ticket.Addrs, t.Addrs...)
			p.Ticket = t
		}
	}
	return p, nil
}

// launch starts one process, which gives its first line of output.
func launch(binary string, h *home.Home, log io.Writer) (*process, chan string, error) {
	p := &process{name: h.Settings.Name, done: make(chan struct{})}
	p.cmd = exec.Command(binary, "start", "--home", h.Dir, "--while-stdin")
	// In a process group of its own, a node does not see the Ctrl-C that is
	// meant for its parent, which stops it in good order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = &prefixed{w: log, prefix: p.name + ": "}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.in = in
	line := make(chan string, 1)
	go func() {
		defer close(p.done)
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n')
		line <- first
		io.Copy(io.Discard, r)
		p.err = p.cmd.Wait()
	}()
	return p, line, nil
}

// Wait returns when ctx ends or a process has ended by itself.
func (p *Processes) Wait(ctx context.Context) error {
	ended := make(chan *process, len(p.all))
	for _, one := range p.all {
		go func() {
			select {
			case <-one.done:
				ended <- one
			case <-ctx.Done():
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case one := <-ended:
		return fmt.Errorf("%s ended: %w", one.name, errors.Join(one.err, errors.New("nobody asked it to")))
	}
}

// Stop stops all processes and returns when they have ended.
func (p *Processes) Stop() error {
	p.quit.Store(true)
	errs := make([]error, len(p.all))
	var wg sync.WaitGroup
	for i, one := range p.all {
		wg.Go(func() { errs[i] = one.stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Kill ends all processes at once, as a crash of the machine would.
func (p *Processes) Kill() {
	for _, one := range p.all {
		one.cmd.Process.Kill()
	}
	for _, one := range p.all {
		<-one.done
	}
}

func (p *process) stop() error {
	select {
	case <-p.done: // ended before
		return nil
	default:
	}
	p.in.Close()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopTime):
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %v and was killed", p.name, stopTime)
	}
}

// untilQuit drops what nodes complain of while all of them are being stopped:
// that the others are gone.
type untilQuit struct {
	w    io.Writer
	quit *atomic.Bool
}

func (u *untilQuit) Write(b []byte) (int, error) {
	if u.quit.Load() {
		return len(b), nil
	}
	return u.w.Write(b)
}

// prefixed puts the name of who wrote before each line.
type prefixed struct {
	w      io.Writer
	prefix string
	rest   []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(p.rest), "\n")
		if !ok {
			return len(b), nil
		}
		p.rest = []byte(rest)
		if _, err := fmt.Fprintf(p.w, "%s%s\n", p.prefix, line); err != nil {
			return len(b), err
		}
	}
}
