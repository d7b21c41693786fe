// Package doctor looks at a machine as a node would use it and says what
// stands in the way.
//
// A [Check] is one question with its answer: a state, what was found, and,
// where something is wrong, what to do. [Examine] asks them all, one after the
// other. Each question is a measurement, which may touch the disk or the
// network, and a judgement, a pure function of what was measured; the
// judgements are in judge.go and have the tests.
//
// It changes nothing that it does not undo: the ports it opens are closed
// again, the file it writes to time the disk is removed.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"runtime"
	"time"
)

// State is how a check ended.
type State string

const (
	OK   State = "ok"
	Warn State = "warn" // a node works, but not as well as it could
	Fail State = "fail" // a node would not work
)

// Check is one question's answer.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do; empty when all is well
}

// Port is one that a node listens on.
type Port struct{ Network, Address string } // as net.Listen takes them

// Config says what to look at.
type Config struct {
	Data  string // the node's data directory
	Ports []Port
	HTTP  string // host:port of the HTTP endpoint
	// CPU tells what is wrong with this build on this machine, as ggml.Advice
	// does, and which vector instructions the kernels use.
	CPU func() (fatal, slow, kernels string)
	// Router looks for a router that opens ports and tells its kind.
	Router func(context.Context) (string, error)
	// Runs reports whether a node answers at the HTTP endpoint.
	Runs func(context.Context) bool
}

func (c Config) validate() error {
	if c.Data == "" || c.CPU == nil || c.Router == nil || c.Runs == nil {
		return errors.New("doctor: needs a data directory and all its questions")
	}
	return nil
}

// Examine asks every question and yields the answers as they come.
func Examine(ctx context.Context, c Config) (iter.Seq[Check], error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	questions := []func(context.Context) Check{
		func(context.Context) Check { return judgeCPU(c.CPU()) },
		func(context.Context) Check { return judgeCores(runtime.NumCPU(), runtime.GOMAXPROCS(0)) },
		func(context.Context) Check { return judgeMemory(memory()) },
		func(context.Context) Check { return judgeSpace(c.Data, space(c.Data)) },
		func(ctx context.Context) Check { return judgeDisk(diskSpeed(ctx, c.Data)) },
		func(context.Context) Check { return judgeFiles(openFiles()) },
		func(context.Context) Check { return judgeBuffers(udpBuffer()) },
	}
	running := c.Runs(ctx)
	for _, p := range c.Ports {
		questions = append(questions, func(context.Context) Check { return judgePort(p, tryPort(p), running) })
	}
	questions = append(questions,
		func(context.Context) Check { return judgeHTTP(c.HTTP, tryPort(Port{"tcp", c.HTTP}), running) },
		func(context.Context) Check { return judgeAddresses(publicAddresses()) },
		func(ctx context.Context) Check { return judgeRouter(c.Router(ctx)) },
	)
	return func(yield func(Check) bool) {
		for _, q := range questions {
			if ctx.Err() != nil || !yield(q(ctx)) {
				return
			}
		}
	}, nil
}

// tryPort opens a port and closes it again.
func tryPort(p Port) error {
	if p.Network == "udp" {
		c, err := net.ListenPacket(p.Network, p.Address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := net.Listen(p.Network, p.Address)
	if err != nil {
		return err
	}
	return l.Close()
}

// publicAddresses lists this machine's own addresses that the Internet could
// reach.
func publicAddresses() ([]string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if ok && n.IP.IsGlobalUnicast() && !n.IP.IsPrivate() {
			out = append(out, n.IP.String())
		}
	}
	return out, nil
}

// speed is what a disk did.
type speed struct {
	write, read float64 // bytes a second
	cached      bool    // the reading may have come from memory
}

// diskProbe is how much is written and read to time a disk: enough to leave
// small caches behind, and over in a second on a slow one.
const diskProbe = 64 << 20

// diskSpeed writes a file, waits until it is on the disk, and reads it back.
func diskSpeed(ctx context.Context, dir string) (s speed, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, err
	}
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	began := time.Now()
	for range diskProbe / len(block) {
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if _, err := f.Write(block); err != nil {
			return s, err
		}
	}
	if err := f.Sync(); err != nil {
		return s, err
	}
	s.write = diskProbe / time.Since(began).Seconds()
	s.cached = !forget(f)
	began = time.Now()
	for i := range diskProbe / len(block) {
		if _, err := f.ReadAt(block, int64(i*len(block))); err != nil {
			return s, fmt.Errorf("reading back: %w", err)
		}
	}
	s.read = diskProbe / time.Since(began).Seconds()
	return s, nil
}
