package routing

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// starting is a fake network whose calls are started; atOnce, they are over
// before Start returns.
type starting struct {
	*fakeNet
	atOnce bool

	count   sync.Mutex
	started int
	stops   []error
}

func (s *starting) Start(ctx context.Context, to Peer, a Ask, done func(func() (Answer, error))) func(error) {
	s.count.Lock()
	defer s.count.Unlock()
	s.started++
	if s.atOnce {
		answer, err := s.Call(ctx, to, a)
		done(func() (Answer, error) { return answer, err })
		return func(error) {}
	}
	stop := StartWaiting(ctx, s.fakeNet, to, a, done)
	return func(why error) {
		s.count.Lock()
		defer s.count.Unlock()
		s.stops = append(s.stops, why)
		stop(why)
	}
}

// TestStarter: calls are started where they can be, also such as are over before
// Start returns, and what fails moves.
func TestStarter(t *testing.T) {
	for _, atOnce := range []bool{true, false} {
		both(t, func(t *testing.T, sum bool) {
			n := newFakeNet()
			n.join("a", ms, failing(errors.New("broken")), testIDs[:3]...)
			n.join("b", 20*ms, nil, testIDs[:4]...)
			s := &starting{fakeNet: n, atOnce: atOnce}
			r := newTestRouter(t, n, func(c *Config) { c.Starter = s })
			measure(r, "a", ms)
			measure(r, "b", 20*ms)
			for range 3 {
				askLayer(t, r, sum, testIDs[:4]...)
			}
			if s.started < 4 {
				t.Errorf("%d calls started", s.started)
			}
			idle(t, r)
		})
	}
}

// TestStarterIsStopped: a call that has had all its time is stopped, not only left.
func TestStarterIsStopped(t *testing.T) {
	both(t, func(t *testing.T, sum bool) {
		n := newFakeNet()
		n.join("hangs", ms, hanging, testIDs[:1]...)
		n.join("b", 20*ms, nil, testIDs[:1]...)
		s := &starting{fakeNet: n}
		r := newTestRouter(t, n, func(c *Config) { c.Starter, c.Policy.Hedge = s, HedgeOff })
		measure(r, "hangs", ms)
		measure(r, "b", 20*ms)
		if took := askLayer(t, r, sum, testIDs[:1]...); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if len(s.stops) != 1 || !errors.Is(s.stops[0], context.DeadlineExceeded) {
			t.Errorf("stopped for %v", s.stops)
		}
		idle(t, r)
	})
}
