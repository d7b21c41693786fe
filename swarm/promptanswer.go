package swarm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// answer is the gating node's end of a prompt stream.
type answer struct {
	stream network.Stream
	times  promptTimes
	toll   Toll // nil: nothing is paid
	tab    Tab  // nil: there is none
	tokens int  // given so far

	listening sync.WaitGroup // until the asker has closed its side

	mu struct {
		sync.Mutex
		b     []byte    // memory of the last frame, reused
		wrote bool      // something went out since the last beat
		ended bool      // the prompt end went out, or the stream is broken
		until time.Time // when listening ends, the end having gone out; zero: it has not
	}
}

func newAnswer(s network.Stream, times promptTimes, toll Toll) *answer {
	return &answer{stream: s, times: times, toll: toll}
}

// run reads the prompt, has it completed and sends what comes. It returns
// with the reason unless all went well; farewell must follow.
func (a *answer) run(work context.Context, c prompt.Completer) error {
	ctx, cancel := context.WithCancelCause(work)
	var helpers sync.WaitGroup
	helpers.Go(func() {
		a.beat(ctx)
		// A completer may need a while to stop; the asker need not wait for it.
		a.end(context.Cause(ctx))
	})
	r := wire.NewReader(a.stream)
	req, raw, err := a.readPrompt(r)
	var tab Tab = free{}
	if err == nil && a.toll != nil {
		tab, err = a.toll.Open(routingPeer(a.stream.Conn().RemotePeer()), req, raw)
	}
	if err == nil {
		a.tab = tab
		a.listening.Go(func() { cancel(a.listen(r, tab)) })
		err = a.complete(ctx, c, req, tab)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	a.end(err)
	cancel(err) // ends beat
	helpers.Wait()
	return err
}

// farewell waits until the asker has closed its side, which it does when it has
// read the end, for a moment at most, and lets go of the stream. Otherwise the
// end of the connection could overtake that of an answer which is written but
// not read, when a node stops.
func (a *answer) farewell() {
	a.listening.Wait()
	if a.tab != nil {
		a.tab.Close() // with what was paid at the end
	}
	_ = a.stream.Close()
}

// readPrompt reads the prompt, and gives its bytes as well.
func (a *answer) readPrompt(r *wire.Reader) (req prompt.Request, raw []byte, err error) {
	_ = a.stream.SetReadDeadline(time.Now().Add(a.times.Silence))
	h, err := r.Next()
	if err != nil {
		return req, nil, fmt.Errorf("%w: %w", errAskerGone, err)
	}
	if h.Kind != wire.KindPrompt {
		return req, nil, fmt.Errorf("%w: %v before a prompt", prompt.ErrBadRequest, h.Kind)
	}
	// A long prompt on a poor line may take longer than silence may last.
	_ = a.stream.SetReadDeadline(time.Now().Add(frameTime(h.Len)))
	if raw, err = r.Body(nil); err != nil {
		return req, nil, fmt.Errorf("%w: %w", errAskerGone, err)
	}
	req, err = wire.ParsePrompt(raw)
	req.User = string(routingPeer(a.stream.Conn().RemotePeer())) // whom it is fair between
	return req, raw, err
}

// complete sends the chunks of c's answer.
func (a *answer) complete(ctx context.Context, c prompt.Completer, req prompt.Request, tab Tab) error {
	if err := tab.Cover(ctx, prompt.Chunk{}); err != nil {
		return err
	}
	req.Trace = a.toll != nil // what is sold is signed
	for chunk, err := range c.Complete(ctx, req) {
		if err != nil {
			return err
		}
		if err := tab.Cover(ctx, chunk); err != nil {
			return err
		}
		if err := a.send(chunk, tab); err != nil {
			return err
		}
		if chunk.HasToken {
			a.tokens++
		}
		if chunk.Finish != prompt.FinishNone {
			return nil
		}
	}
	return errors.New("the answer broke off without a reason")
}

// listen reads the asker's keep-alives and payments, and returns when they fail
// to come or the asker closes the stream.
func (a *answer) listen(r *wire.Reader, tab Tab) error {
	for {
		a.mu.Lock()
		deadline := a.mu.until
		if deadline.IsZero() {
			deadline = time.Now().Add(a.times.Silence)
		}
		_ = a.stream.SetReadDeadline(deadline)
		a.mu.Unlock()
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", errAskerGone, err)
		}
		if h.Kind == wire.KindPayment {
			body, err := r.Body(nil)
			if err != nil {
				return fmt.Errorf("%w: %w", errAskerGone, err)
			}
			if err := tab.Pay(body); err != nil {
				return err
			}
			continue
		}
		if h.Kind != wire.KindKeepAlive {
			return fmt.Errorf("%w: it sent a %v", errAskerGone, h.Kind)
		}
	}
}

// beat sends a keep-alive whenever nothing else went out for a while.
func (a *answer) beat(ctx context.Context) {
	tick := time.NewTicker(a.times.Beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.mu.Lock()
		if !a.mu.wrote {
			_ = a.writeLocked(wire.AppendKeepAlive(a.mu.b[:0])) // listen notices
		}
		a.mu.wrote = false
		a.mu.Unlock()
	}
}

func (a *answer) send(c prompt.Chunk, tab Tab) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := wire.AppendChunk(a.mu.b[:0], c)
	if err != nil {
		return err
	}
	seal, err := tab.Seal(c)
	if err != nil {
		return err
	}
	if seal != nil {
		// Before a last chunk, after which nobody reads on.
		b = append(wire.AppendSigned(nil, wire.KindSeal, seal), b...)
	}
	a.mu.wrote = true
	return a.writeLocked(b)
}

// end sends the prompt end and closes the stream for writing, once.
func (a *answer) end(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.ended {
		return
	}
	if errors.Is(why, errAskerGone) {
		a.mu.ended = true
		_ = a.stream.Reset()
		return
	}
	end := wire.PromptEnd{}
	if why != nil {
		end = wire.PromptEnd{Code: wire.PromptCode(why), Detail: why.Error()}
		if busy, ok := errors.AsType[*prompt.BusyError](why); ok {
			end.Wait, end.Detail = busy.Wait, busy.Detail
		}
	}
	if a.writeLocked(wire.AppendPromptEnd(a.mu.b[:0], end)) == nil {
		a.mu.ended = true
		a.mu.until = time.Now().Add(a.times.Farewell)
		_ = a.stream.SetReadDeadline(a.mu.until)
		_ = a.stream.CloseWrite()
	}
}

// writeLocked writes one frame. A stream that does not take it is broken.
func (a *answer) writeLocked(b []byte) error {
	a.mu.b = b
	if a.mu.ended {
		return errAskerGone
	}
	_ = a.stream.SetWriteDeadline(time.Now().Add(a.times.Silence))
	if _, err := a.stream.Write(b); err != nil {
		a.mu.ended = true
		_ = a.stream.Reset()
		return fmt.Errorf("%w: %w", errAskerGone, err)
	}
	return nil
}
