package light

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

	latest atomic.Int64 // time of the newest header that a node showed, in Unix seconds, verified or not

	mu     sync.Mutex
	first  int // of ticket.Addrs is asked first
	client *light.Client
	asked  time.Time // when others were asked for newer blocks
}

func (h *headers) peer(i int) peer {
	return peer{chain: h.ticket.Chain, addr: h.ticket.Addrs[i%len(h.ticket.Addrs)], open: h.open, saw: h.saw}
}

func (h *headers) saw(b *types.LightBlock) {
	for t := b.Time.Unix(); ; {
		before := h.latest.Load()
		if before >= t || h.latest.CompareAndSwap(before, t) {
			return
		}
	}
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
		return nil, h.clock(fmt.Errorf("verifying block %d of the ledger: %w", height, err))
	case light.HeaderExpired(b.SignedHeader, trustPeriod, h.now()):
		// Of a block that was trusted before, CometBFT does not ask how old it is.
		return nil, ErrExpired
	}
	return b, nil
}

// ErrClock: a block is of a time that has not come.
var ErrClock = errors.New("a block of the ledger is of the future, and refused: set this machine's clock, unless the ledger's node is to blame")

// clock is err, or that it may come from a clock that is behind.
func (h *headers) clock(err error) error {
	block, now := time.Unix(h.latest.Load(), 0), h.now()
	if block.Before(now.Add(clockDrift)) {
		return err
	}
	return fmt.Errorf("%w (the block %s, the clock %s): %w", ErrClock, block.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime), err)
}

// quiet is how long a ledger may make no block before a client asks others
// whether they have one. A ledger that halts is quiet, too.
const quiet = time.Minute

// newer looks whether another node has blocks long after one that is to be the
// newest, and verifies the newest of them.
func (h *headers) newer(ctx context.Context, than *types.LightBlock, said peer) error {
	h.mu.Lock()
	now := h.now()
	soon := now.Sub(h.asked) < quiet
	h.asked = now
	h.mu.Unlock()
	if soon {
		return nil
	}
	height, heard := h.claimed(ctx, said)
	if !heard { // a busy moment shall not hide blocks for a minute
		h.mu.Lock()
		h.asked = now.Add(unheard - quiet)
		h.mu.Unlock()
	}
	if height <= uint64(than.Height)+maxStale {
		return nil
	}
	if b, err := h.at(ctx, height); err == nil {
		return fmt.Errorf("%w: %s says that block %d is the newest, and there is block %d", ErrProof, said, than.Height, b.Height)
	}
	return nil
}

// claimed is the newest block that another node than one says it has; heard is
// false if none said anything.
func (h *headers) claimed(ctx context.Context, but peer) (height uint64, heard bool) {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	heights := make(chan uint64, len(h.ticket.Addrs))
	for i := range h.ticket.Addrs {
		go func() {
			var n uint64
			if other := h.peer(i); other.addr != but.addr {
				if info, err := other.info(ctx); err == nil && info.Height < 1<<62 {
					n = info.Height
				}
			}
			heights <- n
		}()
	}
	for range h.ticket.Addrs {
		height = max(height, <-heights)
	}
	return height, height > 0
}

const (
	// claimTime is how long nodes have to say what is newest.
	claimTime = 3 * time.Second
	// unheard is after how long they are asked again if none did.
	unheard = 10 * time.Second
)

// connect makes the light client, which asks for the block of the ticket unless
// a later one is trusted already.
func (h *headers) connect(ctx context.Context) error {
	if h.client != nil {
		return nil
	}
	var others []provider.Provider
	for _, i := range witnesses(h.ticket.Addrs, h.first) {
		others = append(others, h.peer(i))
	}
	options := []light.Option{light.PruningSize(keptBlocks), light.MaxClockDrift(clockDrift), light.MaxBlockLag(witnessLag)}
	var err error
	if n, _ := h.store.LastLightBlockHeight(); n > int64(h.ticket.Height) {
		h.client, err = light.NewClientFromTrustedStore(h.ticket.Chain, trustPeriod, h.peer(h.first), others, h.store, options...)
	} else {
		trust := light.TrustOptions{Period: trustPeriod, Height: int64(h.ticket.Height), Hash: h.ticket.Hash[:]}
		h.client, err = light.NewClient(ctx, h.ticket.Chain, trust, h.peer(h.first), others, h.store, options...)
	}
	if err != nil {
		h.client = nil
		return h.clock(fmt.Errorf("beginning with the ledger's block %d: %w", h.ticket.Height, err))
	}
	return nil
}
