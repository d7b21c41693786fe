package owner

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sampler reads what the machine does. It is not safe for concurrent use.
type Sampler struct {
	root string // "" but for tests
	last ticks
}

// NewSampler returns one; the first sample says nothing of the processors.
func NewSampler() *Sampler { return &Sampler{} }

// Sample reads the machine.
func (s *Sampler) Sample(now time.Time) Sample {
	out := Unknown()
	all := parseStat(s.read("/proc/stat"))
	all.own = s.own()
	if s.last.total > 0 {
		d := all.since(s.last)
		out.Busy = share(d.total-d.idle-d.own, d.total)
	}
	s.last = all
	out.Free = parseMeminfo(s.read("/proc/meminfo"))
	out.Pressure = parsePressure(s.read("/proc/pressure/memory"))
	out.Battery = s.battery()
	out.Idle = s.idle(now)
	return out
}

// own is what this process used, and others of the same program: nodes beside
// this one are the owner's, too, and must not make each other pause.
func (s *Sampler) own() float64 {
	self := s.read("/proc/self/stat")
	name, used := programOf(self), parseSelfStat(self)
	pid, _, _ := strings.Cut(self, " ")
	dirs, _ := filepath.Glob(s.root + "/proc/[0-9]*")
	for _, dir := range dirs {
		if filepath.Base(dir) == pid {
			continue
		}
		if stat := s.read(strings.TrimPrefix(dir, s.root) + "/stat"); name != "" && programOf(stat) == name {
			used += parseSelfStat(stat)
		}
	}
	return used
}

func (s *Sampler) read(path string) string {
	b, err := os.ReadFile(s.root + path)
	if err != nil {
		return ""
	}
	return string(b)
}

// battery reads the charge of the emptiest battery that is being used up.
func (s *Sampler) battery() float64 {
	dirs, _ := filepath.Glob(s.root + "/sys/class/power_supply/*")
	charge := -1.0
	for _, dir := range dirs {
		field := func(name string) string {
			return strings.TrimSpace(s.read(strings.TrimPrefix(dir, s.root) + "/" + name))
		}
		// A mouse has a battery, too.
		if field("type") != "Battery" || field("scope") == "Device" || field("status") != "Discharging" {
			continue
		}
		if c := parsePercent(field("capacity")); c >= 0 && (charge < 0 || c < charge) {
			charge = c
		}
	}
	return charge
}

// idle is how long no terminal of this machine was typed at: their devices'
// access times, as "w" reads them. Keyboards of graphical sessions do not show
// there, except in terminal windows.
func (s *Sampler) idle(now time.Time) time.Duration {
	least := time.Duration(-1)
	for _, pattern := range []string{"/dev/pts/[0-9]*", "/dev/tty[1-9]"} {
		names, _ := filepath.Glob(s.root + pattern)
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				continue
			}
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok || strings.HasPrefix(name, s.root+"/dev/tty") && st.Uid == 0 {
				continue // nobody is logged in there
			}
			d := max(0, now.Sub(time.Unix(st.Atim.Unix())))
			if least < 0 || d < least {
				least = d
			}
		}
	}
	return least
}

// Nice gives the process that much less of the processors than others get, 0
// to 19: all of its threads, and those they start.
func Nice(level int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return unix.Setpriority(unix.PRIO_PROCESS, 0, level)
	}
	for _, t := range threads {
		id, ok := number(t.Name())
		if !ok {
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, int(id), level); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}
