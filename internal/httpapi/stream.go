package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// stream answers with events: one or more for each step. An error before the
// first event has its own status; a later one becomes an event, after which
// the stream ends without the mark of a good end.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, look skin, a *answering, steps *pumped) {
	out := events{w: w, writer: s.writer(w), format: look.format(), trace: &a.trace}
	silence := time.NewTicker(s.cfg.Limits.KeepAlive)
	defer silence.Stop()
	for {
		var err error
		select {
		case <-silence.C:
			err = out.comment()
		case <-ctx.Done():
			s.endStream(&out, cause(ctx))
			return
		case st, ok := <-steps.c:
			silence.Reset(s.cfg.Limits.KeepAlive)
			if !ok {
				st.err = errBrokenOff
			}
			if st.err != nil {
				s.endStream(&out, st.err)
				return
			}
			c := a.choices[st.choice]
			if c.finish != prompt.FinishNone {
				continue
			}
			d := a.add(c, st.chunk)
			if c.finish != prompt.FinishNone {
				steps.stop(st.choice)
			}
			err = out.all(look.parts(a, c, d))
			if err == nil && a.ended() {
				err = s.closeStream(&out, look, a)
				if err == nil {
					return
				}
			}
		}
		if err != nil {
			s.cfg.Log.Debug("an HTTP client left its stream", "err", err)
			return
		}
	}
}

// closeStream sends what comes after the last answer.
func (s *Server) closeStream(out *events, look skin, a *answering) error {
	if err := out.all(look.last(a)); err != nil {
		return err
	}
	err := out.end()
	a.trace.tell(out.w.Header())
	return err
}

// endStream tells the client of an error; nil: there is nobody to tell.
func (s *Server) endStream(out *events, err error) {
	if err == nil {
		return
	}
	fault := explain(err)
	if !out.begun {
		s.fail(out.w, fault)
		return
	}
	if err := out.data(errorBody(out.w, fault)); err != nil {
		s.cfg.Log.Debug("an HTTP client left before an error reached it", "err", err)
	}
}

// step is what a Completer yields for one of the answers.
type step struct {
	choice int
	chunk  prompt.Chunk
	err    error
}

// pumped are answers under way.
type pumped struct {
	c       chan step // closed when all have ended
	cancels []context.CancelFunc
}

// pump completes requests, each on a goroutine of its own, so that the client
// can be kept company while nothing comes. All end soon after ctx.
func pump(ctx context.Context, completer prompt.Completer, requests []prompt.Request) *pumped {
	p := &pumped{c: make(chan step)}
	left := make(chan struct{}, len(requests))
	for i, r := range requests {
		ctx, cancel := context.WithCancel(ctx)
		p.cancels = append(p.cancels, cancel)
		go func() {
			defer func() { left <- struct{}{} }()
			defer cancel()
			p.one(ctx, completer, i, r)
		}()
	}
	go func() {
		for range requests {
			<-left
		}
		close(p.c)
	}()
	return p
}

func (p *pumped) one(ctx context.Context, completer prompt.Completer, i int, r prompt.Request) {
	ended := false
	for c, err := range completer.Complete(ctx, r) {
		c.Bytes = bytes.Clone(c.Bytes) // its owner may use them again for the next
		for i := range c.Top {
			c.Top[i].Bytes = bytes.Clone(c.Top[i].Bytes)
		}
		select {
		case p.c <- step{i, c, err}:
		case <-ctx.Done():
			return
		}
		if ended = err != nil || c.Finish != prompt.FinishNone; ended {
			return
		}
	}
	select {
	case p.c <- step{choice: i, err: errBrokenOff}:
	case <-ctx.Done():
	}
}

// next waits for a step; ok is false when there is none any more.
func (p *pumped) next(ctx context.Context) (s step, ok bool) {
	select {
	case s, ok = <-p.c:
		return s, ok
	case <-ctx.Done():
		return step{}, true
	}
}

// stop ends the work on one answer.
func (p *pumped) stop(i int) { p.cancels[i]() }

// wait returns when all work has ended. The context of pump has ended before.
func (p *pumped) wait() {
	for range p.c {
	}
}
