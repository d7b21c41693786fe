package chat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// process is the child that runs a template. It renders one conversation at a
// time; one that takes too long or says nonsense is killed, and the next
// conversation gets a new one.
type process struct {
	command []string
	limit   time.Duration
	turn    chan struct{} // holds a value while nobody renders

	mu struct {
		sync.Mutex
		child  *child // nil: not started
		closed bool
	}
}

type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	done chan struct{} // closed when it has ended
}

func newProcess(command []string, limit time.Duration) *process {
	p := &process{command: command, limit: limit, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

var errClosed = errors.New("the node is stopping")

// render has the child do one job.
func (p *process) render(ctx context.Context, j job) (string, error) {
	line, err := json.Marshal(j)
	if err != nil {
		return "", err
	}
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	c, err := p.start()
	if err != nil {
		return "", err
	}
	type outcome struct {
		answer answer
		err    error
	}
	said := make(chan outcome, 1)
	go func() {
		a, err := c.ask(append(line, '\n'))
		said <- outcome{a, err}
	}()
	timer := time.NewTimer(p.limit)
	defer timer.Stop()
	select {
	case o := <-said:
		if o.err != nil {
			p.kill(c)
			return "", fmt.Errorf("it needs more than %d MiB of memory, or fails badly", maxMemory>>20)
		}
		if o.answer.Error != "" {
			return "", errors.New(o.answer.Error)
		}
		return o.answer.Text, nil
	case <-timer.C:
		p.kill(c)
		<-said
		return "", fmt.Errorf("it takes longer than %v", p.limit)
	case <-ctx.Done():
		p.kill(c)
		<-said
		return "", context.Cause(ctx)
	}
}

// start gives the running child, or a new one.
func (p *process) start() (*child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.mu.closed:
		return nil, errClosed
	case p.mu.child != nil:
		return p.mu.child, nil
	case len(p.command) == 0:
		return nil, errors.New("this program has no worker process for templates")
	}
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Env = []string{"GOMAXPROCS=2"} // nothing of ours; a template has no business in it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the worker process: %w", err)
	}
	c := &child{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10), done: make(chan struct{})}
	p.mu.child = c
	return c, nil
}

// kill ends a child and waits for its end.
func (p *process) kill(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killLocked(c)
}

func (p *process) killLocked(c *child) {
	if p.mu.child != c {
		return
	}
	p.mu.child = nil
	_ = c.cmd.Process.Kill()
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

func (p *process) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.closed = true
	if p.mu.child != nil {
		p.killLocked(p.mu.child)
	}
}

// ask writes a job and reads the answer, of limited length.
func (c *child) ask(line []byte) (answer, error) {
	if _, err := c.in.Write(line); err != nil {
		return answer{}, err
	}
	var text []byte
	for {
		part, err := c.out.ReadSlice('\n')
		text = append(text, part...)
		if len(text) > 8*maxOutput {
			return answer{}, errors.New("it says too much")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return answer{}, err
		}
		break
	}
	var a answer
	return a, json.Unmarshal(text, &a)
}
