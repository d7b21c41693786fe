package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Who was served least is next, the first of equals; who comes anew has no turns
// saved up.
func TestFairest(t *testing.T) {
	l := ledger{}
	for _, user := range []string{"a", "a", "b"} {
		l.enter(user)
	}
	l.charge("a", 10)
	l.charge("b", 4)
	l.enter("c")
	if got := l.of("c").served; got != 4 {
		t.Errorf("c begins with %v rows, want the least of the others, 4", got)
	}
	of := func(users string) (waiting []*sequence) {
		for _, u := range users {
			waiting = append(waiting, &sequence{user: string(u)})
		}
		return waiting
	}
	for users, want := range map[string]int{"a": 0, "ab": 1, "aabc": 2, "cba": 0, "bca": 0} {
		if got := fairest(of(users), l); got != want {
			t.Errorf("of %s number %d, want %d", users, got, want)
		}
	}
	l.leave("a")
	if l.of("a").served != 10 || l.places() != 3 {
		t.Errorf("a has %+v after one of two answers, %d places", l.of("a"), l.places())
	}
	l.leave("a")
	if l.of("a").served != 0 {
		t.Error("the account of a is still open")
	}
}

// Room is made by the latest of whoever has most places, and nobody makes room
// for one who has as many.
func TestDisplaced(t *testing.T) {
	l := ledger{}
	for _, user := range "aaaabb" {
		l.enter(string(user))
	}
	waiting := []*sequence{{user: "a"}, {user: "b"}, {user: "a"}, {user: "b"}}
	for user, want := range map[string]int{"c": 2, "b": 2, "a": -1} {
		if got := displaced(waiting, l, user); got != want {
			t.Errorf("for %s number %d makes room, want %d", user, got, want)
		}
	}
	if got := displaced(waiting[1:2], l, "b"); got != -1 {
		t.Errorf("for b number %d of b makes room", got)
	}
}

// TestUsersTakeTurns: one with many prompts does not keep another with one
// waiting, nor out.
func TestUsersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTrunk(t)
		g := gated(f)
		e, stop := start(t, f, Config{MaxRunning: 1, MaxWaiting: 4, Drafts: -1})
		ask := func(user string) chan error {
			_, end := run(e, t.Context(), prompt.Request{Text: strings.Repeat("x", 20), MaxTokens: 1, User: user})
			synctest.Wait()
			return end
		}
		var many []chan error
		many = append(many, ask("many"))
		<-g.arrived
		for range 4 {
			many = append(many, ask("many"))
		}
		one := ask("one")
		if err := <-many[4]; !errors.Is(err, prompt.ErrBusy) {
			t.Fatalf("the latest of who has all places: %v, want ErrBusy", err)
		}
		g.pass <- nil
		if err := <-many[0]; err != nil {
			t.Fatal(err)
		}
		<-g.arrived
		g.pass <- nil
		synctest.Wait()
		select {
		case err := <-one:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the second answer was not that of who had none")
		}
		for _, end := range many[1:4] {
			<-g.arrived
			g.pass <- nil
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		stop()
	})
}

// TestPrefixesAreTheUsersOwn: what an answer leaves serves the same user's next
// prompt that begins alike, and nobody else's.
func TestPrefixesAreTheUsersOwn(t *testing.T) {
	f := newFakeTrunk(t)
	e, stop := start(t, f, Config{Drafts: -1})
	begun := strings.Repeat("abcdefgh", 4)
	cached := func(user, text string) (n int) {
		for c, err := range e.Complete(t.Context(), prompt.Request{Text: text, MaxTokens: 2, User: user}) {
			if err != nil {
				t.Fatal(err)
			}
			n = max(n, c.Cached)
		}
		return n
	}
	for i, step := range []struct {
		user, text  string
		least, most int
	}{
		{"a", begun + "x", 0, 0},
		{"b", begun + "y", 0, 0},
		{"a", begun + "z", len(begun), len(begun) + 1},
		{"a", "other" + begun, 0, 0},
		{"b", begun + "y", len(begun), len(begun) + 1},
	} {
		if n := cached(step.user, step.text); n < step.least || n > step.most {
			t.Errorf("prompt %d, of %s: %d tokens reused, want %d", i, step.user, n, step.least)
		}
	}
	stop()
}
