package entry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// within runs f in virtual time and checks how long it took.
func within(t *testing.T, least, most time.Duration, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		start := time.Now()
		f(t)
		if took := time.Since(start); took < least || took > most {
			t.Errorf("took %v, want %v to %v", took, least, most)
		}
	})
}

func TestNobodyServes(t *testing.T) {
	within(t, 30*time.Second, 30*time.Second, func(t *testing.T) {
		e := newFabric().entry(t, nil)
		_, err := gather(e.Complete(t.Context(), ask(3)))
		if !errors.Is(err, prompt.ErrNoGate) || !strings.Contains(err.Error(), "moeswarm node --gate") {
			t.Errorf("err %v, want ErrNoGate with what to do", err)
		}
		if s := e.Stats(); s != (Stats{Errors: 1}) {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestAllDieAndOneReturns(t *testing.T) {
	within(t, 7*time.Second, 7*time.Second+2*pollEvery, func(t *testing.T) {
		f := newFabric("a", "b")
		f.gates["a"].play(act{after: 3, err: prompt.ErrLost})
		f.gates["b"].play(act{after: 2, err: prompt.ErrLost})
		e := f.entry(t, nil)
		var got []prompt.Chunk
		for c, err := range e.Complete(t.Context(), ask(9)) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, c); len(got) == 5 {
				f.know() // both are gone by now
				time.AfterFunc(7*time.Second, func() { f.know("a") })
			}
		}
		whole(t, ask(9), 0, got)
		if s := e.Stats(); s.Failovers != 2 {
			t.Errorf("stats %+v, want two failovers", s)
		}
	})
}

// The dead gate stays listed and comes back to life.
func TestOnlyGateRestarts(t *testing.T) {
	within(t, time.Second, 30*time.Second, func(t *testing.T) {
		f := newFabric("a")
		acts := []act{{after: 3, err: prompt.ErrLost}}
		for range 6 {
			acts = append(acts, act{err: prompt.ErrLost})
		}
		f.gates["a"].play(acts...)
		got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(9)))
		if err != nil {
			t.Fatal(err)
		}
		whole(t, ask(9), 0, got)
	})
}

func TestAllGone(t *testing.T) {
	within(t, 30*time.Second, 30*time.Second, func(t *testing.T) {
		f := newFabric("a")
		f.gates["a"].play(act{after: 3, err: prompt.ErrLost})
		e := f.entry(t, nil)
		n := 0
		for _, err := range e.Complete(t.Context(), ask(9)) {
			if err != nil {
				if !errors.Is(err, prompt.ErrNoGate) || n != 3 || !strings.Contains(err.Error(), "last failure") {
					t.Errorf("after %d tokens: %v", n, err)
				}
				break
			}
			if n++; n == 3 {
				f.know()
			}
		}
	})
}

func TestFindFindsOne(t *testing.T) {
	within(t, 4*time.Second, 4*time.Second, func(t *testing.T) {
		f := newFabric("a")
		f.know()
		finds := 0
		e := f.entry(t, func(c *Config) {
			c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
				finds++
				time.Sleep(4 * time.Second) // the virtual time of a DHT query
				return []string{"a"}, nil
			}
		})
		got, err := gather(e.Complete(t.Context(), ask(3)))
		if err != nil {
			t.Fatal(err)
		}
		whole(t, ask(3), 0, got)
		if finds != 1 {
			t.Errorf("%d look-ups, want 1 that is left alone", finds)
		}
	})
}

// News that comes while a slow look-up runs is used at once.
func TestGossipOvertakesFind(t *testing.T) {
	within(t, time.Second, time.Second+pollEvery, func(t *testing.T) {
		f := newFabric("a")
		f.know()
		e := f.entry(t, func(c *Config) {
			c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		time.AfterFunc(time.Second, func() { f.know("a") })
		got, err := gather(e.Complete(t.Context(), ask(3)))
		if err != nil {
			t.Fatal(err)
		}
		whole(t, ask(3), 0, got)
	})
}

func TestFindIsBounded(t *testing.T) {
	within(t, 30*time.Second, 30*time.Second, func(t *testing.T) {
		finds := 0
		e := newFabric().entry(t, func(c *Config) {
			c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
				finds++
				return nil, errors.New("no route")
			}
		})
		if _, err := gather(e.Complete(t.Context(), ask(3))); !errors.Is(err, prompt.ErrNoGate) {
			t.Error(err)
		}
		if finds < 5 || finds > 30 {
			t.Errorf("%d look-ups in 30 s", finds)
		}
	})
}

// Somebody floods the DHT with gates that do not exist.
func TestMadeUpGates(t *testing.T) {
	within(t, 0, 30*time.Second, func(t *testing.T) {
		n := 0
		e := newFabric().entry(t, func(c *Config) {
			c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
				n++
				return []string{fmt.Sprint(n)}, nil
			}
			c.Remote = func(string) prompt.Completer { return &gate{acts: []act{{err: prompt.ErrLost}}} }
		})
		if _, err := gather(e.Complete(t.Context(), ask(3))); !errors.Is(err, prompt.ErrNoGate) {
			t.Error(err)
		}
		if n > 301 {
			t.Errorf("%d look-ups", n)
		}
	})
}

func TestBusyGates(t *testing.T) {
	t.Run("another has room", func(t *testing.T) {
		within(t, 0, 0, func(t *testing.T) {
			f := newFabric("a", "b")
			f.gates["a"].play(act{err: prompt.ErrBusy})
			got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3)))
			if err != nil {
				t.Fatal(err)
			}
			whole(t, ask(3), 0, got)
		})
	})
	busy := make([]act, 1000)
	for i := range busy {
		busy[i].err = prompt.ErrBusy
	}
	t.Run("and say how long", func(t *testing.T) {
		within(t, 5*time.Second, 5*time.Second, func(t *testing.T) {
			f := newFabric("a")
			said := make([]act, 1000)
			for i := range said {
				said[i].err = fmt.Errorf("gating node a: %w", &prompt.BusyError{Wait: 42 * time.Second, Detail: "full"})
			}
			f.gates["a"].play(said...)
			_, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3)))
			if b, ok := errors.AsType[*prompt.BusyError](err); !ok || b.Wait != 42*time.Second {
				t.Errorf("%v, want a wait of 42 s", err)
			}
		})
	})
	t.Run("all stay busy", func(t *testing.T) {
		within(t, 5*time.Second, 5*time.Second, func(t *testing.T) {
			f := newFabric("a", "b")
			f.gates["a"].play(busy...)
			f.gates["b"].play(busy...)
			if _, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3))); !errors.Is(err, prompt.ErrBusy) {
				t.Error(err)
			}
			if n := len(f.gates["a"].requests()); n > 20 {
				t.Errorf("a busy gate was asked %d times in 5 s", n)
			}
		})
	})
	t.Run("one has room again", func(t *testing.T) {
		within(t, 100*time.Millisecond, 5*time.Second, func(t *testing.T) {
			f := newFabric("a")
			f.gates["a"].play(busy[:4]...)
			got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3)))
			if err != nil {
				t.Fatal(err)
			}
			whole(t, ask(3), 0, got)
		})
	})
}

func TestMissingExperts(t *testing.T) {
	gone := make([]act, 1000)
	for i := range gone {
		gone[i].err = prompt.ErrMissingExperts
	}
	t.Run("for good", func(t *testing.T) {
		within(t, 8*time.Second, 8*time.Second, func(t *testing.T) {
			f := newFabric("a", "b", "c")
			for _, g := range f.gates {
				g.play(gone...)
			}
			if _, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3))); !errors.Is(err, prompt.ErrMissingExperts) {
				t.Error(err)
			}
			if len(f.gates["b"].requests()) == 0 || len(f.gates["c"].requests()) != 0 {
				t.Error("want a second opinion, and no third")
			}
			if n := len(f.gates["a"].requests()); n > 12 {
				t.Errorf("a gate was asked %d times in 8 s", n)
			}
		})
	})
	t.Run("until a holder comes", func(t *testing.T) {
		within(t, 100*time.Millisecond, 8*time.Second, func(t *testing.T) {
			f := newFabric("a")
			f.gates["a"].play(gone[:3]...)
			got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3)))
			if err != nil {
				t.Fatal(err)
			}
			whole(t, ask(3), 0, got)
		})
	})
}

func TestBrokenGate(t *testing.T) {
	within(t, 5*time.Second, 5*time.Second, func(t *testing.T) {
		bug := errors.New("logits are NaN")
		broken := make([]act, 1000)
		for i := range broken {
			broken[i].err = bug
		}
		f := newFabric("a")
		f.gates["a"].play(broken...)
		if _, err := gather(f.entry(t, nil).Complete(t.Context(), ask(3))); !errors.Is(err, bug) {
			t.Errorf("err %v, want the bug by name", err)
		}
	})
}

func TestSilentPeer(t *testing.T) {
	for _, tc := range []struct {
		after int
		want  time.Duration
	}{{0, 5 * time.Minute}, {4, time.Minute}} {
		within(t, tc.want, tc.want, func(t *testing.T) {
			f := newFabric("a", "b")
			f.gates["a"].play(act{after: tc.after, hang: true})
			got, err := gather(f.entry(t, nil).Complete(t.Context(), ask(9)))
			if err != nil {
				t.Fatal(err)
			}
			whole(t, ask(9), 0, got)
			if f.gates["a"].stopped != 1 {
				t.Error("the silent peer was not cancelled")
			}
		})
	}
}

// Silence uses up no patience: when it ends, there is still time to look for
// another gate.
func TestLookUpAfterSilence(t *testing.T) {
	within(t, 5*time.Minute, 5*time.Minute+5*time.Second, func(t *testing.T) {
		f := newFabric("a", "b")
		f.know("a")
		acts := []act{{hang: true}}
		for range 50 {
			acts = append(acts, act{err: prompt.ErrLost})
		}
		f.gates["a"].play(acts...)
		e := f.entry(t, func(c *Config) {
			c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
				time.Sleep(4 * time.Second) // virtual
				return []string{"b"}, nil
			}
		})
		got, err := gather(e.Complete(t.Context(), ask(9)))
		if err != nil {
			t.Fatal(err)
		}
		whole(t, ask(9), 0, got)
	})
}

func TestSilentPeersAreCounted(t *testing.T) {
	within(t, 20*time.Minute, 21*time.Minute, func(t *testing.T) {
		f := newFabric("a")
		hang := act{hang: true}
		f.gates["a"].play(hang, hang, hang, hang, hang, hang)
		e := f.entry(t, func(c *Config) { c.Policy.MaxFailovers = 3 })
		if _, err := gather(e.Complete(t.Context(), ask(9))); !errors.Is(err, prompt.ErrLost) {
			t.Error(err)
		}
	})
}

// The time that a slow consumer takes is not held against the gate.
func TestSlowConsumer(t *testing.T) {
	within(t, 3*time.Hour, 3*time.Hour, func(t *testing.T) {
		f := newFabric("a")
		e := f.entry(t, nil)
		var got []prompt.Chunk
		for c, err := range e.Complete(t.Context(), ask(3)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c)
			time.Sleep(time.Hour) // virtual
		}
		whole(t, ask(3), 0, got)
		if e.Stats().Failovers != 0 {
			t.Error("the gate was blamed")
		}
	})
}

func TestFailedNodeIsTriedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFabric("a", "b", "c")
		e := f.entry(t, nil)
		first := func() string {
			before := map[string]int{}
			for n, g := range f.gates {
				before[n] = len(g.requests())
			}
			if _, err := gather(e.Complete(t.Context(), ask(3))); err != nil {
				t.Fatal(err)
			}
			for _, n := range []string{"a", "b", "c"} {
				if len(f.gates[n].requests()) > before[n] {
					return n
				}
			}
			return ""
		}
		f.gates["a"].play(act{after: 1, err: prompt.ErrLost})
		first()
		if n := first(); n != "b" {
			t.Errorf("after a failed, %s was asked first", n)
		}
		f.gates["b"].play(act{err: prompt.ErrLost})
		first()
		if n := first(); n != "c" {
			t.Errorf("after a and b failed, %s was asked first", n)
		}
		f.know("b", "a")
		if n := first(); n != "a" {
			t.Errorf("with c unknown, %s was asked first, which failed after a", n)
		}
		f.know("a", "b", "c") // a served, so it is good again
		if n := first(); n != "a" {
			t.Errorf("after a served again, %s was asked first", n)
		}
		f.know("b", "c")
		time.Sleep(time.Minute + 1) // virtual: failures are forgotten
		if n := first(); n != "b" {
			t.Errorf("a minute later, %s was asked first", n)
		}
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	within(t, 2*time.Second, 2*time.Second+time.Millisecond, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		found := false
		e := newFabric().entry(t, func(c *Config) {
			c.Find = func(ctx context.Context, m expert.ModelID) ([]string, error) {
				<-ctx.Done()
				time.Sleep(time.Millisecond) // virtual: a look-up that is slow to end
				found = true
				return nil, ctx.Err()
			}
		})
		if _, err := gather(e.Complete(ctx, ask(3))); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if !found {
			t.Error("the look-up outlived the answer")
		}
	})
}
