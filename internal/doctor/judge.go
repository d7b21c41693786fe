package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"
)

func judgeCPU(fatal, slow, kernels string) Check {
	c := Check{Name: "vector instructions", State: OK, Detail: "kernels use " + kernels}
	switch {
	case fatal != "":
		c.State, c.Detail, c.Fix = Fail, fatal, "make build on this machine, or take a release for it"
	case slow != "":
		c.State, c.Detail, c.Fix = Warn, slow, "make build on this machine, or take a release for it"
	}
	return c
}

func judgeCores(cores, used int) Check {
	c := Check{Name: "processors", State: OK, Detail: fmt.Sprintf("%d, of which a node may use %d", cores, used)}
	if used < cores {
		c.State, c.Fix = Warn, "unset GOMAXPROCS to use them all"
	}
	return c
}

// Memory thresholds, in bytes. A holder of no experts takes some 100 MB; one
// worth having holds a few experts of a large model besides.
const (
	leastMemory  = 256 << 20
	usefulMemory = 1 << 30
)

// ram is a machine's memory, in bytes.
type ram struct{ total, available uint64 }

func judgeMemory(m ram, err error) Check {
	c := Check{Name: "memory", State: OK}
	if err != nil {
		return unknown(c, err)
	}
	c.Detail = fmt.Sprintf("%s free of %s", humanize.IBytes(m.available), humanize.IBytes(m.total))
	switch {
	case m.available < leastMemory:
		c.State, c.Fix = Fail, "end other programs: a node needs 100 MB for itself"
	case m.available < usefulMemory:
		c.State, c.Fix = Warn, "with little memory a node holds few experts; it can still forward prompts"
	default:
		// Half is left for the owner and the page cache.
		c.Detail += fmt.Sprintf("; some %s could hold experts", humanize.IBytes(m.available/2))
	}
	return c
}

const leastSpace = 1 << 30

// free is the space left on a disk in bytes, or why it is not known.
type free struct {
	bytes uint64
	err   error
}

func judgeSpace(dir string, f free) Check {
	c := Check{Name: "disk space", State: OK}
	if f.err != nil {
		return unknown(c, f.err)
	}
	c.Detail = fmt.Sprintf("%s free for %s", humanize.IBytes(f.bytes), dir)
	if f.bytes < leastSpace {
		c.State, c.Fix = Warn, "weights are kept on disk; make room or name another directory with --data"
	}
	return c
}

// slowDisk is where reading an expert of a large model (some 10 MB) for the
// first time takes a quarter of a second.
const slowDisk = 40e6

func judgeDisk(s speed, err error) Check {
	c := Check{Name: "disk speed", State: OK}
	switch {
	case errors.Is(err, fs.ErrPermission):
		c.State, c.Detail, c.Fix = Fail, err.Error(), "name a directory you may write to with --data"
		return c
	case err != nil:
		return unknown(c, err)
	}
	c.Detail = fmt.Sprintf("writes %s/s, reads %s/s", humanize.Bytes(uint64(s.write)), humanize.Bytes(uint64(s.read)))
	if s.cached {
		c.Detail += " (perhaps from memory)"
	}
	if s.read < slowDisk || s.write < slowDisk/4 {
		c.State, c.Fix = Warn, "experts that are not in memory will be late; hold no more than fit (--memory), or use a faster disk"
	}
	return c
}

// wantedFiles is room for the connections a node keeps (384) and those that
// come and go, sockets and files.
const wantedFiles = 2048

func judgeFiles(limit uint64, err error) Check {
	c := Check{Name: "open files", State: OK}
	if err != nil {
		return unknown(c, err)
	}
	c.Detail = fmt.Sprintf("up to %d", limit)
	if limit < wantedFiles {
		c.State, c.Fix = Warn, fmt.Sprintf("ulimit -n %d before starting, or LimitNOFILE=%d in the service", wantedFiles, wantedFiles)
	}
	return c
}

// wantedBuffer is what quic-go asks the kernel for, in bytes.
const wantedBuffer = 7 << 20

func judgeBuffers(limit uint64, err error) Check {
	c := Check{Name: "UDP buffers", State: OK}
	if errors.Is(err, errors.ErrUnsupported) {
		c.Detail = "not checked on this system"
		return c
	}
	if err != nil {
		return unknown(c, err)
	}
	c.Detail = fmt.Sprintf("up to %d bytes", limit)
	if limit < wantedBuffer {
		c.State = Warn
		c.Fix = fmt.Sprintf("QUIC loses packets under load: sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", wantedBuffer+512<<10, wantedBuffer+512<<10)
	}
	return c
}

func judgePort(p Port, err error, running bool) Check {
	c := Check{Name: fmt.Sprintf("port %s %s", p.Network, p.Address), State: OK, Detail: "free"}
	switch {
	case err == nil:
	case errors.Is(err, syscall.EADDRINUSE) && running:
		c.Detail = "used by the node that runs here"
	case errors.Is(err, syscall.EADDRINUSE):
		c.State, c.Detail, c.Fix = Fail, "used by another program", "end it, or choose another port with --listen"
	default:
		c.State, c.Detail, c.Fix = Fail, err.Error(), "choose another address with --listen"
	}
	return c
}

func judgeHTTP(addr string, err error, running bool) Check {
	c := Check{Name: "HTTP " + addr, State: OK, Detail: "free"}
	switch {
	case running:
		c.Detail = "a node answers here"
	case err == nil:
	case errors.Is(err, syscall.EADDRINUSE):
		c.State, c.Detail, c.Fix = Fail, "used by another program", "end it, or choose another port with --http"
	default:
		c.State, c.Detail, c.Fix = Fail, err.Error(), "choose another address with --http"
	}
	return c
}

func judgeAddresses(public []string, err error) Check {
	c := Check{Name: "addresses", State: OK}
	if err != nil {
		return unknown(c, err)
	}
	if len(public) == 0 {
		c.Detail = "none that the Internet can reach; peers come through a port the router opens, a punched hole or a relay"
		return c
	}
	c.Detail = "of its own on the Internet: " + strings.Join(public, ", ")
	return c
}

func judgeRouter(kind string, err error) Check {
	c := Check{Name: "router", State: OK}
	if err != nil {
		c.State = Warn
		c.Detail = "none that opens ports on request (UPnP, NAT-PMP)"
		c.Fix = "switch UPnP on in the router, or forward port 4160 (TCP and UDP) and name it with --announce; without either, holes and relays are used"
		return c
	}
	c.Detail = "opens ports by " + kind
	return c
}

// unknown is a question without an answer.
func unknown(c Check, err error) Check {
	c.State, c.Detail = Warn, "cannot be told: "+err.Error()
	return c
}
