package audit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// signedLate is an answer whose peer signs it after a while, unless it learns before
// that it is audited.
type signedLate struct {
	mu      sync.Mutex
	word    *routing.Word
	noticed bool
}

func newSignedLate(after time.Duration, err error) *signedLate {
	s := &signedLate{word: new(routing.Word)}
	time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.noticed {
			err = routing.ErrNoWord // it withholds what it would have signed
		}
		s.word.Come(routing.Said{}, err)
	})
	return s
}

func (s *signedLate) notices() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticed = true
}

func (s *signedLate) vouch(ctx context.Context, c routing.Checked) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := c.Signed[0].Word.Wait(ctx)
	if errors.Is(err, routing.ErrNoWord) {
		return nil
	}
	return err
}

// TestAuditsWaitForTheWord: a peer that withholds its word once it is challenged, or
// once it is condemned, has signed by then; an answer that is found right in silence
// waits for no word; and who signed something else is found out later.
func TestAuditsWaitForTheWord(t *testing.T) {
	const after = 20 * time.Millisecond
	badly := errors.New("signed something else")
	loud := func(a scripted) scripted { a.loud = true; return a }
	for name, c := range map[string]struct {
		panel   []Auditor
		signs   error
		waits   bool // the layer does, for the word
		refused bool
		lies    bool // it is condemned
		fails   int  // verdicts against it in the end
	}{
		"challenged":                      {[]Auditor{loud(says("a", 0))}, nil, true, false, false, 0},
		"challenged, signed badly":        {[]Auditor{loud(says("a", 0))}, badly, true, true, false, 1},
		"right":                           {[]Auditor{says("a", 0), loud(says("b", 1))}, nil, false, false, false, 0},
		"right, signed badly":             {[]Auditor{says("a", 0)}, badly, false, false, false, 1},
		"wrong":                           {[]Auditor{says("a", 1), says("b", 1)}, nil, true, true, true, 1},
		"wrong, signed badly":             {[]Auditor{says("a", 1), says("b", 1)}, badly, true, true, true, 1},
		"wrong, then right, signed badly": {[]Auditor{says("a", 1), says("b", 0), says("c", 0)}, badly, true, true, false, 1},
		"disputed before others":          {[]Auditor{says("a", 1), loud(says("b", 0)), says("c", 0)}, nil, true, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSignedLate(after, c.signs)
				panel := make([]Auditor, len(c.panel))
				for k, a := range c.panel {
					a := a.(scripted)
					say := a.say
					a.say = func() (Finding, error) {
						if a.loud {
							s.notices()
						}
						return say()
					}
					panel[k] = a
				}
				condemned, fails := false, 0
				i, err := New(Config{auditors: panel, Vouch: s.vouch,
					Condemn: func(routing.Peer, string) { s.notices(); condemned = true },
					Verdict: func(v Verdict) {
						if v.Outcome == Guilty || v.Outcome == Unproven {
							fails++
						}
					}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- i.Run(ctx) }()
				answer := small("peer")
				answer.Signed = []routing.Signed{{Calls: 1, Word: s.word}}
				began := time.Now()
				err = i.Check(ctx, answer)
				if took := time.Since(began); (took > 0) != c.waits || took > after {
					t.Errorf("the layer waited for %v", took)
				}
				if (err != nil) != c.refused || err != nil && !errors.Is(err, expert.ErrBadResult) || condemned != c.lies {
					t.Errorf("%v, condemned %v", err, condemned)
				}
				time.Sleep(time.Minute) // of the bubble
				synctest.Wait()
				if _, err := s.word.Wait(ctx); errors.Is(err, routing.ErrNoWord) {
					t.Error("it learned of the audit before it signed")
				}
				cancel()
				if err := <-ended; err != nil || fails != c.fails {
					t.Errorf("%d verdicts against it, want %d; %v", fails, c.fails, err)
				}
			})
		})
	}
}
