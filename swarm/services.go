package swarm

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
)

// services are what peers come to this node for, and how it comes to them.
type services struct {
	caller  *caller
	server  *server       // nil: the node holds no experts
	prompts *promptServer // nil: the node does not gate
	blobs   *blobServer   // nil: the node sends no parts of models
	proofs  *questions    // nil: the node keeps no evidence
	credit  *questions    // nil: the node counts nobody's work

	transcripts *questions // nil: the node is asked about no answers
}

func newServices(h host.Host, s settings, paused func() bool, answers promptTimes) *services {
	v := &services{caller: newCaller(h, s.log, callerConfig{Coder: s.coder, Half: s.half, Listener: s.listener})}
	if s.serve != nil {
		v.server = newServer(h, serverConfig{
			Apply: s.serve,
			Holds: s.offers.holds,
			Sign:  func(b []byte) []byte { return ed25519.Sign(s.key, b) },
			Log:   s.log, Workers: s.threads, Paused: paused, Debts: s.debts, Signer: s.signer,
		})
	}
	if s.completer != nil {
		v.prompts = newPromptServer(h, promptServerConfig{Completer: s.completer, Log: s.log, Paused: paused, Times: answers, Toll: s.toll})
	}
	if s.shelf != nil {
		v.blobs = newBlobServer(h, s.log, s.shelf, s.maxUpload)
	}
	if s.evidence != nil {
		v.proofs = newProofs(h, s.log, s.evidence)
	}
	if s.transcripts != nil {
		v.transcripts = newTranscripts(h, s.log, s.transcripts)
	}
	if s.credit != nil {
		v.credit = newCredit(h, s.log, s.credit)
	}
	return v
}

// waiting is the number of expert frames that wait here.
func (v *services) waiting() int {
	if v.server == nil {
		return 0
	}
	return v.server.Load().Waiting
}

// serving is services at work. Three contexts, because they end in order: a
// gating node answers with the help of its caller, and holders serve others
// while the last answers of this node are given.
type serving struct {
	stopPrompts, stopServer, stopBlobs, stopCaller func()
	prompts, server, blobs, caller                 sync.WaitGroup
	transcripts                                    sync.WaitGroup // until life ends
}

// start puts the services to work; none outlives life by more than its grace.
func (v *services) start(life context.Context) *serving {
	w := &serving{}
	begin := func(stop *func(), all *sync.WaitGroup, run func(context.Context) error) {
		ctx, cancel := context.WithCancel(life)
		*stop = cancel
		all.Go(func() { _ = run(ctx) }) // they report through their log
	}
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	prompts, server, blobs := idle, idle, idle
	if v.prompts != nil {
		prompts = v.prompts.run
	}
	if v.server != nil {
		server = v.server.run
	}
	if v.blobs != nil {
		blobs = v.blobs.run
	}
	begin(&w.stopBlobs, &w.blobs, func(ctx context.Context) error {
		if v.proofs != nil {
			defer v.proofs.start(ctx)()
		}
		if v.credit != nil {
			defer v.credit.start(ctx)()
		}
		return blobs(ctx)
	})
	if v.transcripts != nil {
		stop := v.transcripts.start(life)
		w.transcripts.Go(func() { <-life.Done(); stop() })
	}
	begin(&w.stopCaller, &w.caller, v.caller.run)
	begin(&w.stopServer, &w.server, server)
	begin(&w.stopPrompts, &w.prompts, prompts)
	return w
}

// drain lets running answers and calls end, and returns when they have or
// when most is over. What is left then ends when the host closes; see wait.
// linger, when it is not nil, is closed when this node's own users need no
// holders and no gating nodes any more.
func (w *serving) drain(most time.Duration, linger <-chan struct{}) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.stopPrompts()
		w.prompts.Wait()
		if linger != nil {
			select {
			case <-linger:
			case <-time.After(most):
			}
		}
		w.stopServer()
		w.stopBlobs()
		w.server.Wait()
		w.blobs.Wait()
		w.stopCaller()
		w.caller.Wait()
	}()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-over:
	case <-t.C:
	}
}

// wait waits until nothing of the services runs.
func (w *serving) wait() {
	w.prompts.Wait()
	w.server.Wait()
	w.blobs.Wait()
	w.caller.Wait()
	w.transcripts.Wait()
}
