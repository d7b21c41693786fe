package node

import (
	"runtime"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/owner"
)

// machineOf is a sampler that tells what a test says.
type machineOf struct{ sample owner.Sample }

func (m *machineOf) Sample(time.Time) owner.Sample { return m.sample }

// TestKeeper: as the machine gets busy the node eases and then pauses; while
// programs wait for memory, pages of weights are given back before that; and it
// comes back.
func TestKeeper(t *testing.T) {
	m := tiny(t)
	n, err := New(Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Owner: Owner{Yield: true, MaxCPU: 0.8},
		Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(m.Manifest().IDs())}}})
	if err != nil {
		t.Fatal(err)
	}
	calm := owner.Sample{Free: 0.8, Battery: -1, Idle: time.Hour}
	machine := &machineOf{calm}
	k := n.keeper
	k.sampler = machine
	now := time.Now()
	// see lets the machine be so for long enough.
	see := func(change func(*owner.Sample), want owner.State) {
		t.Helper()
		machine.sample = calm
		change(&machine.sample)
		for range 60 {
			now = now.Add(ownerEvery)
			k.step(now)
		}
		if got := k.view().State; got != want.String() {
			t.Errorf("%+v: %s, want %s", machine.sample, got, want)
		}
		if paused := n.net.Paused(); paused != (want == owner.Paused) {
			t.Errorf("%s, and paused for others: %v", want, paused)
		}
	}
	see(func(*owner.Sample) {}, owner.Active)
	see(func(s *owner.Sample) { s.Busy = 0.6 }, owner.Eased)
	see(func(s *owner.Sample) { s.Busy = 0.95 }, owner.Paused)
	see(func(*owner.Sample) {}, owner.Active)
	see(func(s *owner.Sample) { s.Battery = 0.9 }, owner.Eased)
	see(func(s *owner.Sample) { s.Battery = 0.2 }, owner.Paused)
	see(func(*owner.Sample) {}, owner.Active)
	if k.view().GivenBack != 0 {
		t.Error("memory was given back without need")
	}
	see(func(s *owner.Sample) { s.Pressure = 0.2 }, owner.Eased)
	if got := k.view(); got.GivenBack == 0 && runtime.GOOS == "linux" {
		t.Errorf("programs wait for memory, and none was given back: %+v", got)
	}
	if got := k.view().MaxCPU; got < 79.9 || got > 80.1 {
		t.Errorf("%v %% of the processors", got)
	}
}
