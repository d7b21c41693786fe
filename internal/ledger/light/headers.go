package light

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/light/provider"
	"github.com/cometbft/cometbft/types"
)

const (
	// trustPeriod is how long a block's validators are believed: less than
	// stake stays slashable.
	trustPeriod = 108 * time.Hour // 4.5 days
	// clockDrift is how far clocks may be apart.
	clockDrift = 10 * time.Second
	// witnessLag is how much later than the first the others may have a block.
	witnessLag = 2 * time.Second
	// keptBlocks is how many verified blocks are kept at hand.
	keptBlocks = 64
)

// ErrFork: nodes show two chains that validators signed.
var ErrFork = errors.New("the ledger has two chains: its validators cannot be trusted; ask the people of your swarm for a ticket of the right one")

// headers verifies blocks. It asks one node, compares with the others, and
// turns to another when one does not answer.
type headers struct {
	ticket Ticket
	open   Opener
	now    func() time.Time
	store  *trusted

	mu     sync.Mutex
	first  int // of ticket.Addrs is asked first
	client *light.Client
}

func (h *headers) peer(i int) peer {
	return peer{chain: h.ticket.Chain, addr: h.ticket.Addrs[i%len(h.ticket.Addrs)], open: h.open}
}

// at verifies the block of a height.
func (h *headers) at(ctx context.Context, height uint64) (*types.LightBlock, error) {
	if b, err := h.store.LightBlock(int64(height)); err == nil {
		return b, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	for range h.ticket.Addrs {
		var b *types.LightBlock
		if b, err = h.try(ctx, int64(height)); err == nil {
			return b, nil
		}
		if errors.Is(err, ErrFork) || errors.Is(err, ErrExpired) || ctx.Err() != nil {
			return nil, err
		}
		h.client, h.first = nil, h.first+1 // another node goes first
	}
	return nil, err
}

// ErrExpired: what the client trusts is too old.
var ErrExpired = errors.New("the ticket and all that was verified since are older than 4.5 days, and validators of that time may be gone; get a new ticket of the ledger")

func (h *headers) try(ctx context.Context, height int64) (*types.LightBlock, error) {
	if err := h.connect(ctx); err != nil {
		return nil, err
	}
	b, err := h.client.VerifyLightBlockAtHeight(ctx, height, h.now())
	var old light.ErrOldHeaderExpired
	switch {
	case errors.As(err, &old):
		return nil, ErrExpired
	case errors.Is(err, light.ErrLightClientAttack):
		return nil, ErrFork
	case err != nil:
		return nil, fmt.Errorf("verifying block %d of the ledger: %w", height, err)
	case light.HeaderExpired(b.SignedHeader, trustPeriod, h.now()):
		// Of a block that was trusted before, CometBFT does not ask how old it is.
		return nil, ErrExpired
	}
	return b, nil
}

// connect makes the light client, which asks for the block of the ticket unless
// a later one is trusted already.
func (h *headers) connect(ctx context.Context) error {
	if h.client != nil {
		return nil
	}
	// With one node only there is nobody to compare with but that node.
	witnesses := []provider.Provider{h.peer(h.first + 1)}
	for i := 2; i < len(h.ticket.Addrs); i++ {
		witnesses = append(witnesses, h.peer(h.first+i))
	}
	options := []light.Option{light.PruningSize(keptBlocks), light.MaxClockDrift(clockDrift), light.MaxBlockLag(witnessLag)}
	var err error
	if n, _ := h.store.LastLightBlockHeight(); n > int64(h.ticket.Height) {
		h.client, err = light.NewClientFromTrustedStore(h.ticket.Chain, trustPeriod, h.peer(h.first), witnesses, h.store, options...)
	} else {
		trust := light.TrustOptions{Period: trustPeriod, Height: int64(h.ticket.Height), Hash: h.ticket.Hash[:]}
		h.client, err = light.NewClient(ctx, h.ticket.Chain, trust, h.peer(h.first), witnesses, h.store, options...)
	}
	if err != nil {
		h.client = nil
		return fmt.Errorf("beginning with the ledger's block %d: %w", h.ticket.Height, err)
	}
	return nil
}
