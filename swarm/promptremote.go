package swarm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// remote completes prompts at one gating node. It is a [prompt.Completer]
// whose answers end with prompt.ErrLost when that node is lost.
type remote struct {
	host  host.Host
	to    routing.Peer
	times promptTimes
	// pay gives the payer of an answer; nil: nothing is paid.
	pay func(to routing.Peer, r prompt.Request, request []byte) (Payer, error)
}

func newRemote(h host.Host, to routing.Peer, times promptTimes, pay func(routing.Peer, prompt.Request, []byte) (Payer, error)) *remote {
	return &remote{host: h, to: to, times: times.withDefaults(), pay: pay}
}

// Complete implements [prompt.Completer]. Its goroutines end with the range
// over the answer.
func (r *remote) Complete(ctx context.Context, req prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		frame, err := wire.AppendPrompt(nil, req)
		if err != nil {
			yield(prompt.Chunk{}, err)
			return
		}
		pays, frame, err := r.payment(ctx, req, frame)
		if err != nil {
			yield(prompt.Chunk{}, r.blame(ctx, err))
			return
		}
		defer pays.close()
		s, err := r.open(ctx)
		if err != nil {
			yield(prompt.Chunk{}, r.blame(ctx, err))
			return
		}
		work, cancel := context.WithCancel(ctx)
		var writer sync.WaitGroup
		writer.Go(func() { r.write(work, s, frame, pays) })
		stop := context.AfterFunc(ctx, func() { _ = s.Reset() })

		more, err := r.read(s, req, pays, yield)

		stop()
		cancel()
		if pays.whole() {
			_ = s.SetWriteDeadline(time.Now().Add(r.times.Farewell))
			writer.Wait()
			pays.settle(ctx, s, r.times.Farewell)
		} else {
			_ = s.Reset() // an answer that has ended does not mind
			writer.Wait()
		}
		if more && err != nil {
			yield(prompt.Chunk{}, r.blame(ctx, pays.why(err)))
		}
	}
}

// payment makes the payer of an answer, if there is one, and puts what comes
// first behind the prompt.
func (r *remote) payment(ctx context.Context, req prompt.Request, frame []byte) (*paying, []byte, error) {
	if r.pay == nil {
		return nil, frame, nil
	}
	p, err := r.pay(r.to, req, frame[wire.HeaderLen:])
	if err != nil || p == nil {
		return nil, frame, err
	}
	first, err := p.First(ctx)
	if err != nil {
		p.Close(0, 0)
		return nil, frame, err
	}
	return newPaying(p), wire.AppendSigned(frame, wire.KindPayment, first), nil
}

func (r *remote) open(ctx context.Context) (network.Stream, error) {
	id, err := peerID(r.to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.times.Dial)
	defer cancel()
	return openStream(ctx, r.host, id, promptProtocol)
}

// write sends the prompt, then payments and keep-alives. It runs beside the
// reading, since a node that is busy says so without reading the prompt.
func (r *remote) write(ctx context.Context, s network.Stream, frame []byte, pays *paying) {
	_ = s.SetWriteDeadline(time.Now().Add(frameTime(len(frame))))
	if _, err := s.Write(frame); err != nil {
		return // the reading notices, or has its answer already
	}
	tick := time.NewTicker(r.times.Beat)
	defer tick.Stop()
	b := wire.AppendKeepAlive(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-pays.changed():
			if err := pays.due(ctx, s, r.times.Silence); err != nil {
				pays.fault.Store(&err)
				_ = s.Reset() // the reading ends
				return
			}
			continue
		case <-tick.C:
		}
		_ = s.SetWriteDeadline(time.Now().Add(r.times.Silence))
		if _, err := s.Write(b); err != nil {
			return
		}
	}
}

// read yields the chunks of the answer until it ends. It reports whether the
// caller wants more, and why there is none.
func (r *remote) read(s network.Stream, req prompt.Request, pays *paying, yield func(prompt.Chunk, error) bool) (more bool, err error) {
	in := wire.NewReader(s)
	left := req.MaxTokens - len(req.Prefix)
	for {
		_ = s.SetReadDeadline(time.Now().Add(r.times.Silence))
		h, err := in.Next()
		if err != nil {
			return true, fmt.Errorf("%w: %w", prompt.ErrLost, err)
		}
		if h.Kind == wire.KindKeepAlive {
			continue
		}
		body, err := in.Body(nil)
		if err != nil {
			return true, fmt.Errorf("%w: %w", prompt.ErrLost, err)
		}
		if h.Kind == wire.KindPromptEnd {
			return true, endOf(body)
		}
		if h.Kind == wire.KindSeal {
			pays.seal(body)
			continue
		}
		chunk, err := chunkOf(h, body)
		if err != nil {
			return true, err
		}
		if err := pays.got(chunk); err != nil {
			return true, err
		}
		if chunk.HasToken {
			left--
		}
		if left < 0 {
			return true, fmt.Errorf("%w: it sent more than the %d tokens asked for", prompt.ErrLost, req.MaxTokens)
		}
		if !yield(chunk, nil) {
			return false, nil
		}
		if chunk.Finish != prompt.FinishNone {
			return true, nil
		}
	}
}

// endOf is the error of an answer whose prompt end came before its finish.
func endOf(body []byte) error {
	end, err := wire.ParsePromptEnd(body)
	if err == nil {
		err = end.Err()
	}
	if err == nil || errors.Is(err, wire.ErrFormat) {
		err = fmt.Errorf("%w: the answer broke off", prompt.ErrLost)
	}
	return err
}

// chunkOf reads a chunk frame. A node that sends anything else is as good as
// lost.
func chunkOf(h wire.Header, body []byte) (prompt.Chunk, error) {
	if h.Kind != wire.KindChunk {
		return prompt.Chunk{}, fmt.Errorf("%w: it sent a %v", prompt.ErrLost, h.Kind)
	}
	c, err := wire.ParseChunk(body)
	if err != nil {
		return prompt.Chunk{}, fmt.Errorf("%w: %w", prompt.ErrLost, err)
	}
	return c, nil
}

// blame says whose fault err is: that of whoever ended ctx, or of the node.
func (r *remote) blame(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wire.PromptCode(err) == wire.CodeInternal {
		err = fmt.Errorf("%w: %w", prompt.ErrLost, err)
	}
	return fmt.Errorf("gating node %s: %w", r.to, err)
}
