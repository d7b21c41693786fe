package httpapi

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// stream answers with server-sent events: one for each piece of text, then
// "data: [DONE]". An error before the first event has its own status; a later
// one becomes an event, after which the stream ends without [DONE].
func (s *Server) stream(w http.ResponseWriter, r *http.Request, a *answering) {
	ctx, cancel := context.WithCancel(r.Context())
	steps := pump(ctx, s.cfg.Completer.Complete(ctx, a.Request))
	defer func() {
		cancel()
		for range steps { // until the work has ended
		}
	}()
	out := events{w: w, writer: s.writer(w)}
	silence := time.NewTicker(s.cfg.Limits.KeepAlive)
	defer silence.Stop()
	for {
		var err error
		select {
		case <-silence.C:
			err = out.send([]byte(": waiting\n\n"))
		case <-ctx.Done():
			s.endStream(&out, cause(ctx))
			return
		case st, ok := <-steps:
			silence.Reset(s.cfg.Limits.KeepAlive)
			if !ok {
				st.err = errBrokenOff
			}
			if st.err != nil {
				s.endStream(&out, st.err)
				return
			}
			err = s.event(&out, a, st.chunk)
		}
		if err != nil {
			s.cfg.Log.Debug("an HTTP client left its stream", "err", err)
			return
		}
		if a.finish != prompt.FinishNone {
			return
		}
	}
}

// event sends what one chunk adds to the answer.
func (s *Server) event(out *events, a *answering, c prompt.Chunk) error {
	piece, ended := a.add(c)
	if piece == "" && !ended && !a.returnTokens {
		return nil // half a character, or the beginning of a stop string
	}
	part := a.head
	part.Choices = []choice{{Text: piece}}
	part.Extra = a.extra()
	if ended {
		part.Choices[0].FinishReason = &a.finish
	}
	if err := out.data(part); err != nil || !ended {
		return err
	}
	if a.includeUsage {
		last := a.head
		last.Choices, last.Usage = []choice{}, &a.usage
		if err := out.data(last); err != nil {
			return err
		}
	}
	return out.send([]byte("data: [DONE]\n\n"))
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
	if err := out.data(fault.body()); err != nil {
		s.cfg.Log.Debug("an HTTP client left before an error reached it", "err", err)
	}
}

// step is what a Completer yields.
type step struct {
	chunk prompt.Chunk
	err   error
}

// pump ranges over a sequence on a goroutine of its own, so that the client
// can be kept company while nothing comes. The channel is closed when the work
// has ended, which it does soon after ctx.
func pump(ctx context.Context, seq iter.Seq2[prompt.Chunk, error]) <-chan step {
	steps := make(chan step)
	go func() {
		defer close(steps)
		for c, err := range seq {
			c.Bytes = bytes.Clone(c.Bytes) // its owner may use them again for the next
			select {
			case steps <- step{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return steps
}

// events writes server-sent events.
type events struct {
	w      http.ResponseWriter
	writer *writer
	begun  bool // the header is out
}

// data sends one event.
func (e *events) data(v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	b := make([]byte, 0, len("data: ")+len(text)+1)
	b = append(b, "data: "...)
	b = append(b, text...) // ends in a line feed
	return e.send(append(b, '\n'))
}

func (e *events) send(b []byte) error {
	if !e.begun {
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // nginx would hold events back
		h.Set("X-Content-Type-Options", "nosniff")
		e.w.WriteHeader(http.StatusOK)
		e.begun = true
	}
	return e.writer.write(b)
}
