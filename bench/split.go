package bench

import (
	"bytes"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	pprofile "github.com/google/pprof/profile"
)

// split is where the time of some decode steps went.
type split struct {
	tokens int
	wall   time.Duration
	worked time.Duration            // processor time
	parts  map[string]time.Duration // processor time by part, from samples; their sum is about worked
	cgo    int64                    // calls into C
}

// parts of a decode step. The order is that of deciding, see partOf.
const (
	partKernel     = "kernel"     // in C: products, norms, attention
	partCollector  = "collector"  // Go's garbage collector
	partHTTP       = "http"       // the endpoint that hands out tokens
	partLibp2p     = "libp2p"     // streams, encryption, system calls of sockets
	partWire       = "wire"       // frames
	partServing    = "serving"    // asking and answering peers, but for the above
	partRouting    = "routing"    // choice of peers, audits
	partScheduling = "scheduling" // the Go scheduler: goroutines and threads put to sleep and woken
	partGating     = "gating"     // engine, trunk, experts: the Go around the kernels
	partOther      = "other"
)

func partNames() []string {
	return []string{partKernel, partCollector, partHTTP, partLibp2p, partWire, partServing, partRouting, partScheduling, partGating, partOther}
}

// module is the import path that this program's functions begin with.
const module = "github.com/moeswarm/moeswarm/"

// owners say whose a sample is by the beginning of a function's name. The
// first function of the stack, from the one that ran outwards, that is on the
// list decides.
var owners = []struct{ prefix, part string }{
	{"runtime.schedule", partScheduling}, {"runtime.findRunnable", partScheduling}, {"runtime.mcall", partScheduling},
	{"runtime.park_m", partScheduling}, {"runtime.goready", partScheduling}, {"runtime.ready", partScheduling},
	{"runtime.wakep", partScheduling}, {"runtime.sysmon", partScheduling}, {"runtime.mstart", partScheduling},
	{"runtime.gopark", partScheduling}, {"runtime.exitsyscall", partScheduling}, {"runtime.goschedImpl", partScheduling},
	{module + "swarm/wire.", partWire},
	{module + "swarm.", partServing},
	{module + "routing", partRouting},
	{module + "gating", partGating}, {module + "expert.", partGating}, {module + "internal/ggml.", partGating},
	{"github.com/libp2p/", partLibp2p}, {"github.com/flynn/noise.", partLibp2p}, {"golang.org/x/crypto/", partLibp2p},
	{"github.com/quic-go/", partLibp2p}, {"net.", partLibp2p}, {"internal/poll.", partLibp2p}, {"crypto/", partLibp2p},
}

// partOf decides by the functions of a stack, the one that ran first.
func partOf(stack []string) string {
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(stack, func(f string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f, p) })
		})
	}
	switch {
	case has("runtime.cgocall", "runtime.asmcgocall", "runtime._ExternalCode"):
		return partKernel
	case has("runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge"):
		return partCollector
	case has("net/http.", module+"internal/httpapi.", module+"internal/client."):
		return partHTTP
	}
	for _, f := range stack {
		for _, o := range owners {
			if strings.HasPrefix(f, o.prefix) {
				return o.part
			}
		}
	}
	return partOther
}

// profiled takes a profile of work, from when it calls start to its end. work
// returns how many tokens were decoded meanwhile.
func profiled(work func(start func() error) (int, error)) (split, error) {
	var (
		s     split
		out   bytes.Buffer
		began time.Time
	)
	defer pprof.StopCPUProfile() // nothing happens if it has been stopped
	tokens, err := work(func() error {
		s.cgo, s.worked = cgoCalls(), selfTime()
		began = time.Now()
		return pprof.StartCPUProfile(&out)
	})
	s.tokens, s.wall = tokens, time.Since(began)
	s.worked, s.cgo = selfTime()-s.worked, cgoCalls()-s.cgo
	pprof.StopCPUProfile()
	if err != nil {
		return s, err
	}
	p, err := pprofile.Parse(&out)
	if err != nil {
		return s, err
	}
	s.parts = map[string]time.Duration{}
	for _, sample := range p.Sample {
		s.parts[partOf(functions(sample))] += time.Duration(sample.Value[len(sample.Value)-1])
	}
	return s, nil
}

// functions lists a sample's stack, the function that ran first.
func functions(s *pprofile.Sample) (names []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				names = append(names, line.Function.Name)
			}
		}
	}
	return names
}

// report writes microseconds of one step: the step itself on the wall, and
// what each processor of so many does with it, so that the parts and idle add
// up to the step.
func (s split) report(m Metrics, prefix string, processors int) {
	per := func(d time.Duration) float64 {
		return float64(d.Nanoseconds()) / 1000 / float64(max(s.tokens, 1)) / float64(processors)
	}
	var sampled time.Duration
	for _, d := range s.parts {
		sampled += d
	}
	scale := 1.0 // samples tell the shares, the system the sum
	if sampled > 0 {
		scale = float64(s.worked) / float64(sampled)
	} else { // too short for the profiler
		s.parts = map[string]time.Duration{partOther: s.worked}
	}
	for _, name := range partNames() {
		m[prefix+name+"_us"] = per(s.parts[name]) * scale
	}
	calls := float64(s.cgo) / float64(max(s.tokens, 1))
	cgo := calls * float64(emptyCall().Nanoseconds()) / 1000 / float64(processors)
	m[prefix+partKernel+"_us"] -= cgo
	m[prefix+"cgo_us"] = cgo
	m[prefix+"cgo_calls"] = calls
	m[prefix+"step_us"] = float64(s.wall.Nanoseconds()) / 1000 / float64(max(s.tokens, 1))
	m[prefix+"idle_us"] = m[prefix+"step_us"] - per(s.worked)
}
