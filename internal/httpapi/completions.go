package httpapi

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// completions answers POST /v1/completions.
func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	s.complete(w, r, textSkin{}, func(body []byte) (ask, error) { return decodeText(body, s.cfg.Limits.MaxTokens) })
}

// chats answers POST /v1/chat/completions.
func (s *Server) chats(w http.ResponseWriter, r *http.Request) {
	s.complete(w, r, chatSkin{}, func(body []byte) (ask, error) { return decodeChat(body, s.cfg.Limits.MaxTokens, time.Now()) })
}

// skin is how answers look on a route.
type skin interface {
	// head makes what all parts of an answer share.
	head(model string) head
	// whole is a complete answer as one JSON value.
	whole(a *answering) any
	// parts are the events that a step of a streamed answer makes.
	parts(a *answering, c *choice, d delta) []any
	// last are the events after the last answer.
	last(a *answering) []any
	// format is how events are written.
	format() eventFormat
}

// head is what all parts of an answer share.
type head struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
}

func newHead(prefix, object, model string) head {
	return head{ID: prefix + crand.Text(), Object: object, Created: time.Now().Unix(), Model: model}
}

// complete answers a request that is decoded by decode, in the look of a skin.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, look skin, decode func(body []byte) (ask, error)) {
	if !s.take(1) {
		s.fail(w, s.busy())
		return
	}
	taken := 1
	defer func() { s.giveBack(taken) }()
	body, done, fault := s.readBody(w, r)
	defer done()
	if fault != nil {
		s.fail(w, fault)
		return
	}
	a, err := decode(body)
	if err == nil {
		a.Model, err = s.resolve(a.model)
	}
	if err == nil && a.n > 1 {
		if !s.take(a.n - 1) {
			err = s.busy()
		} else {
			taken = a.n
		}
	}
	if err != nil {
		s.fail(w, explain(err))
		return
	}
	a.User = s.access.who(r)
	if !a.seeded && a.Sampling.Temperature > 0 {
		a.Sampling.Seed = rand.Uint64()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ans := newAnswering(a, look.head(s.nameOf(a.Model)))
	steps := pump(ctx, s.cfg.Completer, a.requests())
	defer steps.wait()
	defer cancel()
	if a.stream {
		s.stream(ctx, w, look, ans, steps)
	} else {
		s.whole(ctx, w, look, ans, steps)
	}
}

// take takes places for n answers, if there are as many.
func (s *Server) take(n int) bool {
	for i := range n {
		select {
		case s.running <- struct{}{}:
		default:
			s.giveBack(i)
			return false
		}
	}
	return true
}

func (s *Server) giveBack(n int) {
	for range n {
		<-s.running
	}
}

func (s *Server) busy() *apiError {
	return explain(fmt.Errorf("%w: this node has %d completions under way, as many as it allows", prompt.ErrBusy, cap(s.running)))
}

// whole answers with one JSON value.
func (s *Server) whole(ctx context.Context, w http.ResponseWriter, look skin, a *answering, steps *pumped) {
	for !a.ended() {
		st, ok := steps.next(ctx)
		if !ok {
			st.err = errBrokenOff
		}
		if ctx.Err() != nil {
			if fault := cause(ctx); fault != nil { // else the client left
				s.fail(w, explain(fault))
			}
			return
		}
		if st.err != nil {
			s.fail(w, explain(st.err))
			return
		}
		c := a.choices[st.choice]
		if c.finish != prompt.FinishNone {
			continue
		}
		d := a.add(c, st.chunk)
		c.keep(d)
		if c.finish != prompt.FinishNone {
			steps.stop(st.choice)
		}
	}
	a.trace.tell(w.Header())
	s.reply(w, http.StatusOK, look.whole(a))
}

// errBrokenOff says that a Completer broke its promise.
var errBrokenOff = errors.New("the answer broke off without a reason")
