package chaintest

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
	"github.com/moeswarm/moeswarm/ledger/devnet"
)

// counted counts the bytes of streams.
type counted struct {
	light.Opener
	n atomic.Int64
}

func (c *counted) Open(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	s, err := c.Opener.Open(ctx, addr)
	return countedStream{s, &c.n}, err
}

type countedStream struct {
	io.ReadWriteCloser
	n *atomic.Int64
}

func (s countedStream) Read(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(b)
	s.n.Add(int64(n))
	return n, err
}

func (s countedStream) Write(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(b)
	s.n.Add(int64(n))
	return n, err
}

// BenchmarkLightClient is what a client reads in an epoch: clock, seed,
// committee, escrow and parameters, of four nodes of which one is asked and
// three are compared with.
func BenchmarkLightClient(b *testing.B) {
	n := New(b, devnet.Config{})
	n.WaitHeight(0, 5)
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	open := &counted{Opener: n.Dialer()}
	c, err := light.New(light.Config{Ticket: n.Ticket(), Open: open})
	if err != nil {
		b.Fatal(err)
	}
	epoch := func() {
		k, err := c.Clock(ctx)
		if err != nil {
			b.Fatal(err)
		}
		_, seed := c.Seed(ctx, k.Epoch)
		_, committee := c.Committee(ctx, k.Epoch, ledger.Hash{})
		_, escrow := c.Escrow(ctx, ledger.Key{}, ledger.Hash{})
		_, params := c.Params(ctx)
		for _, err := range []error{seed, committee, escrow, params} {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	epoch()
	first := open.n.Swap(0)
	rounds := 0
	for b.Loop() {
		epoch()
		rounds++
	}
	b.ReportMetric(float64(first), "B/first")
	b.ReportMetric(float64(open.n.Load())/float64(rounds), "B/epoch")
}
