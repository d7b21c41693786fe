package bench

import (
	"context"
	"crypto/ed25519"
	"os"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// timeTranscripts adds what it costs to keep what answers are checked by later: an
// engine here with all experts gives each answer without and with it, in turns, and
// the transcript goes to the disk part by part as a gating node writes it; and what
// running it again takes.
func timeTranscripts(ctx context.Context, m *expert.Model, o Options, dir string, metrics Metrics) (err error) {
	pool := ggml.NewPool(o.Threads)
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return err
	}
	d, err := startDrafting(m, set, pool, -1, nil)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, d.close) }()
	dir, err = os.MkdirTemp(dir, "transcripts-")
	if err != nil {
		return err
	}
	archive, err := transcript.OpenArchive(dir, 0)
	if err != nil {
		return err
	}
	rounds := 2 * ledgerRounds(0, o.Quick)
	var perToken [2][]time.Duration
	var spent, again time.Duration
	tokens, rows, rerun := 0, 0, 0
	for r := range rounds {
		text, _, err := promptFor(m, o.Prompt, o.Seed+uint64(r))
		if err != nil {
			return err
		}
		for turn := range perToken {
			which := (r + turn) % 2
			a, err := recorded(ctx, d, prompt.Request{Model: m.ID(), Text: text, MaxTokens: o.NewTokens, Trace: which == 1}, archive, r)
			if err != nil {
				return err
			}
			if r > 0 {
				perToken[which] = append(perToken[which], a.took/time.Duration(max(a.tokens-1, 1)))
			}
			if which == 0 {
				continue
			}
			spent, tokens, rows = spent+a.writing, tokens+a.tokens, rows+a.tokens+a.prompt
			if r%8 == 0 {
				v, err := transcript.NewVerifier(transcript.Config{Model: m, Applier: set, Pool: pool})
				if err != nil {
					return err
				}
				began := time.Now()
				if _, err := v.Run(ctx, a.transcript); err != nil {
					return err
				}
				again, rerun = again+time.Since(began), rerun+a.tokens+a.prompt
			}
		}
	}
	var ratios []float64
	for i := range perToken[0] {
		ratios = append(ratios, float64(perToken[1][i])/float64(perToken[0][i]))
	}
	slices.Sort(ratios)
	bytes, _ := archive.Bytes()
	metrics["engine_us_per_token"] = quantile(perToken[0], 0.5) * 1000
	metrics["engine_recorded_us_per_token"] = quantile(perToken[1], 0.5) * 1000
	metrics["recorded_added_percent_median_of_pair"] = 100 * (ratios[len(ratios)/2] - 1)
	metrics["transcript_write_us_per_token"] = float64(spent.Nanoseconds()) / 1e3 / float64(tokens)
	metrics["transcript_bytes_per_row"] = float64(bytes) / float64(rows)
	metrics["rerun_us_per_row"] = float64(again.Nanoseconds()) / 1e3 / float64(max(rerun, 1))
	return nil
}

// closing adds to err what closing something says.
func closing(err error, end func() error) error {
	if e := end(); err == nil {
		return e
	}
	return err
}

// recording is one answer, with its transcript if that was asked for.
type recording struct {
	tokens, prompt int
	took           time.Duration // from the first token to the last
	writing        time.Duration // of that, the transcript
	transcript     *transcript.Transcript
}

func recorded(ctx context.Context, d *drafting, r prompt.Request, archive *transcript.Archive, number int) (a recording, err error) {
	salt := ledger.Salt{byte(number), byte(number >> 8)}
	name := transcript.Name{Session: salt.Session()}
	id := transcript.Identity{Chain: "bench", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Model: ledger.Hash(r.Model), Salt: salt, Request: []byte(r.Text)}
	var w *transcript.Writer
	var first time.Time
	if r.Trace {
		if err := archive.Begin(name, 0); err != nil {
			return a, err
		}
	}
	keep := func(part *ledger.Chunk) error {
		if part == nil {
			return nil
		}
		_ = ledger.Encode(part)
		return archive.Append(name, w.Transcript())
	}
	for c, err := range d.engine.Complete(ctx, r) {
		if err != nil {
			return a, err
		}
		if !c.HasToken {
			break
		}
		a.tokens, a.prompt = a.tokens+1, c.PromptTokens
		if began := time.Now(); c.Trace != nil {
			if w == nil {
				w = transcript.NewWriter(id, c.Trace.Prompt, c.Trace.Greedy)
			}
			if err := keep(w.Add(0, c.Token, c.Trace.Hidden, c.Trace.Routes)); err != nil {
				return a, err
			}
			a.writing += time.Since(began)
		}
		if first.IsZero() {
			first = time.Now()
		}
		a.took = time.Since(first)
	}
	if w != nil {
		if err := keep(w.End(0)); err != nil {
			return a, err
		}
		a.transcript = w.Transcript()
		return a, archive.End(name)
	}
	return a, nil
}
