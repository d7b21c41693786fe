package owner

import (
	"context"
	"encoding/binary"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Sampler reads what the machine does. It is not safe for concurrent use.
type Sampler struct {
	at   time.Time
	used time.Duration // by this process, at that time
	slow Sample        // what commands said
	read time.Time     // when they did
}

// NewSampler returns one; the first sample says nothing of the processors.
func NewSampler() *Sampler { return &Sampler{slow: Unknown()} }

// sampleEvery is how long what a command said is kept.
const sampleEvery = 10 * time.Second

// toolTime bounds one of the system's commands.
const toolTime = 2 * time.Second

// Sample reads the machine. The load of the processors is the average of the
// last minute, less what this process used; the rest the system's own commands
// say, every ten seconds.
func (s *Sampler) Sample(now time.Time) Sample {
	if now.Sub(s.read) >= sampleEvery {
		s.read = now
		s.slow.Battery = parsePmset(tool("pmset", "-g", "batt"))
		s.slow.Idle = parseIoreg(tool("ioreg", "-c", "IOHIDSystem", "-d", "4"))
		s.slow.Free = parseMemoryPressure(tool("memory_pressure", "-Q"))
	}
	out := s.slow
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return out
	}
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if load, ok := loadAverage(); ok && !s.at.IsZero() {
		own := float64(used-s.used) / float64(now.Sub(s.at))
		out.Busy = share(load-own, float64(runtime.NumCPU()))
	}
	s.at, s.used = now, used
	return out
}

func tool(name string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// loadAverage is the kernel's average of runnable threads over a minute:
// three fixed-point numbers of 32 bits and, after padding, their scale.
func loadAverage() (float64, bool) {
	b, err := unix.SysctlRaw("vm.loadavg")
	if err != nil || len(b) < 24 {
		return 0, false
	}
	scale := binary.NativeEndian.Uint64(b[16:])
	return float64(binary.NativeEndian.Uint32(b)) / float64(max(1, scale)), true
}

// Nice gives the process that much less of the processors than others get, 0
// to 19.
func Nice(level int) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, level) }
