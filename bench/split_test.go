package bench

import (
	"context"
	"testing"
)

func TestPartOf(t *testing.T) {
	for want, stack := range map[string][]string{
		partKernel:     {"runtime.cgocall", module + "internal/ggml._Cfunc_ms_multiply", module + "gating/trunk.(*Lane).run.func1"},
		partCollector:  {"runtime.scanobject", "runtime.gcDrain", "runtime.gcBgMarkWorker"},
		partWire:       {"runtime.memmove", module + "swarm/wire.appendNumbers[...]", module + "swarm.(*caller).encode"},
		partServing:    {"sync.(*Mutex).Lock", module + "swarm.(*outbox).put"},
		partLibp2p:     {"internal/runtime/syscall.Syscall6", "syscall.write", "internal/poll.(*FD).Write", "net.(*conn).Write", "github.com/libp2p/go-libp2p/p2p/security/noise.(*secureSession).Write", module + "swarm.(*outbox).put"},
		partScheduling: {"runtime.futex", "runtime.notesleep", "runtime.findRunnable", "runtime.schedule", "runtime.mcall"},
		partHTTP:       {"internal/runtime/syscall.Syscall6", "syscall.write", "internal/poll.(*FD).Write", "net.(*conn).Write", "net/http.checkConnErrorWriter.Write"},
		partRouting:    {module + "routing.(*planner).plan", module + "routing.(*Router).Apply", module + "gating.(*Layer).Mix"},
		partOther:      {"time.now"},
	} {
		if got := partOf(stack); got != want {
			t.Errorf("%s, for %v", got, stack)
		}
	}
}

// TestProfile: the parts of a step and what is idle add up to the step, in one
// process and with two nodes.
func TestProfile(t *testing.T) {
	r, err := Run(context.Background(), "profile", Options{Nodes: 2, Threads: 1, Prompt: 8, NewTokens: 40, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Metrics
	for _, prefix := range []string{"local_", "loopback_"} {
		sum := m[prefix+"idle_us"] + m[prefix+"cgo_us"]
		for _, name := range partNames() {
			sum += m[prefix+name+"_us"]
		}
		if step := m[prefix+"step_us"]; step <= 0 || sum < 0.99*step-1 || sum > 1.01*step+1 {
			t.Errorf("%sparts sum to %v µs of %v", prefix, sum, step)
		}
	}
	if m["floor_us"] <= 0 || m["active_weights_mb"] <= 0 || m["loopback_cgo_calls"] <= 0 {
		t.Errorf("no floor or no calls: %v", m)
	}
}
