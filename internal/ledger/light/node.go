package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cometbft/cometbft/light/provider"
	"github.com/cometbft/cometbft/types"
)

// Opener opens a stream for [Protocol] to a node of the chain, by its multiaddr
// with /p2p/ID. Closing the stream ends what still runs on it.
type Opener interface {
	Open(ctx context.Context, addr string) (io.ReadWriteCloser, error)
}

// askTime is how long a node may take to answer what it has at hand, or will
// have with the next block.
const askTime = 20 * time.Second

// ErrNone: a node does not have what it was asked for.
var ErrNone = errors.New("the ledger node does not have it")

// peer is a node of the chain that is asked. It provides the light client of
// CometBFT with blocks.
type peer struct {
	chain, addr string
	open        Opener
	saw         func(*types.LightBlock) // gets each block that it sends; nil: nobody
}

var _ provider.Provider = peer{}

// ask sends a request and waits for its answer until ctx ends.
func (p peer) ask(ctx context.Context, kind byte, body []byte) ([]byte, error) {
	s, err := p.begin(ctx, kind, body)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	answer, err := next(s)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return answer, err
}

// Ask sends one request to a node of a ledger and returns its answer, which
// proves nothing by itself.
func Ask(ctx context.Context, open Opener, addr string, kind byte, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return peer{addr: addr, open: open}.ask(ctx, kind, body)
}

// begin opens a stream and sends a request.
func (p peer) begin(ctx context.Context, kind byte, body []byte) (io.ReadWriteCloser, error) {
	s, err := p.open.Open(ctx, p.addr)
	if err != nil {
		return nil, fmt.Errorf("asking the ledger node at %s: %w", p.addr, err)
	}
	if err := WriteFrame(s, kind, body); err != nil {
		s.Close()
		return nil, fmt.Errorf("asking the ledger node at %s: %w", p.addr, err)
	}
	return s, nil
}

// next reads an answer.
func next(r io.Reader) ([]byte, error) {
	kind, body, err := ReadFrame(r, MaxAnswer)
	if err != nil {
		return nil, fmt.Errorf("waiting for a ledger node: %w", err)
	}
	switch kind {
	case AnswerOK:
		return body, nil
	case AnswerNone:
		return nil, ErrNone
	case AnswerRefused:
		return nil, fmt.Errorf("the ledger node refused: %q", body[:min(len(body), maxText)])
	}
	return nil, ErrWire
}

// ChainID is the chain's name.
func (p peer) ChainID() string { return p.chain }

// LightBlock asks for a block; 0 is the newest. Its errors are those that the
// light client of CometBFT tells apart.
func (p peer) LightBlock(ctx context.Context, height int64) (*types.LightBlock, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := p.ask(ctx, AskBlock, u64(uint64(height)))
	switch {
	case errors.Is(err, ErrNone):
		return nil, provider.ErrLightBlockNotFound
	case errors.Is(err, ErrWire):
		return nil, provider.ErrBadLightBlock{Reason: err}
	case err != nil:
		return nil, provider.ErrNoResponse
	}
	block, err := decodeBlock(answer)
	if err == nil {
		err = block.ValidateBasic(p.chain)
	}
	if err == nil && height > 0 && block.Height != height {
		err = fmt.Errorf("block %d for block %d", block.Height, height)
	}
	if err != nil {
		return nil, provider.ErrBadLightBlock{Reason: err}
	}
	if p.saw != nil {
		p.saw(block)
	}
	return block, nil
}

// info asks a node what it is.
func (p peer) info(ctx context.Context) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := p.ask(ctx, AskInfo, nil)
	if err != nil {
		return Info{}, err
	}
	i, err := DecodeInfo(answer)
	if err == nil && i.Chain != p.chain {
		err = fmt.Errorf("%s is a node of ledger %s; want %s", p, i.Chain, p.chain)
	}
	return i, err
}

// ReportEvidence tells the node of validators that signed two chains. It
// verifies that, and has it put in a block.
func (p peer) ReportEvidence(ctx context.Context, e types.Evidence) error {
	pb, err := types.EvidenceToProto(e)
	if err != nil {
		return err
	}
	b, err := pb.Marshal()
	if err != nil {
		return err
	}
	if len(b) > MaxRequest {
		return fmt.Errorf("%w: evidence of %d bytes", ErrWire, len(b))
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err = p.ask(ctx, AskReport, b)
	return err
}

// String is the node's address.
func (p peer) String() string { return p.addr }
