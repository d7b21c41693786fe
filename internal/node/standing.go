package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// standing is what this node knows of the ledger in the present epoch: who
// gates which model, for whom, under which parameters. What it answers was
// verified by the ledger's reader; committees and seeds never change, so they
// are read once.
type standing struct {
	reader ledger.Reader
	log    *slog.Logger
	epoch  atomic.Uint64 // 0 also before the first look
	clock  atomic.Pointer[ledger.Clock]
	params atomic.Pointer[ledger.Params]
	turned atomic.Int64 // when this node heard of the epoch, in ns of Unix time

	mu         sync.Mutex
	seeds      map[uint64]ledger.Hash
	committees map[seatKey][]ledger.Seat
	watched    map[ledger.Hash]bool // models whose committees are read ahead
}

type seatKey struct {
	epoch uint64
	model ledger.Hash
}

const (
	// readTime bounds one look at the ledger, proofs included.
	readTime = 5 * time.Second
	// skew is how long after a new epoch a client may not have heard of it.
	skew = 30 * time.Second
	// keptEpochs is how many epochs are remembered: this one, the one whose
	// answers still run, and one before for who is late.
	keptEpochs = 3
	// maxWatchedModels bounds the committees that are read ahead.
	maxWatchedModels = 256
)

func newStanding(reader ledger.Reader, log *slog.Logger) *standing {
	return &standing{reader: reader, log: log, seeds: map[uint64]ledger.Hash{}, committees: map[seatKey][]ledger.Seat{}, watched: map[ledger.Hash]bool{}}
}

// look reads where the ledger is, and what belongs to a new epoch. It reports
// whether one began.
func (s *standing) look(ctx context.Context) (turned bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	clock, err := s.reader.Clock(ctx)
	if err != nil {
		return false, err
	}
	if s.params.Load() != nil && clock.Epoch <= s.epoch.Load() {
		if clock.Epoch == s.epoch.Load() {
			s.clock.Store(&clock)
		}
		return false, nil
	}
	params, err := s.reader.Params(ctx)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	var models []ledger.Hash
	for m := range s.watched {
		models = append(models, m)
	}
	for e := range s.seeds {
		if e+keptEpochs <= clock.Epoch {
			delete(s.seeds, e)
		}
	}
	for k := range s.committees {
		if k.epoch+keptEpochs <= clock.Epoch {
			delete(s.committees, k)
		}
	}
	s.mu.Unlock()
	for _, m := range models {
		if _, _, err := s.seats(ctx, clock.Epoch, m); err != nil && !errors.Is(err, ledger.ErrUnknown) {
			return false, err
		}
	}
	s.params.Store(&params)
	s.clock.Store(&clock)
	s.turned.Store(time.Now().UnixNano())
	s.epoch.Store(clock.Epoch)
	return true, nil
}

// seats is a model's committee and the epoch's seed.
func (s *standing) seats(ctx context.Context, epoch uint64, model ledger.Hash) ([]ledger.Seat, ledger.Hash, error) {
	s.mu.Lock()
	if len(s.watched) < maxWatchedModels {
		s.watched[model] = true
	}
	seed, haveSeed := s.seeds[epoch]
	seats, haveSeats := s.committees[seatKey{epoch, model}]
	s.mu.Unlock()
	if haveSeed && haveSeats {
		return seats, seed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	seed, err := s.reader.Seed(ctx, epoch)
	if err != nil {
		return nil, seed, err
	}
	if seats, err = s.reader.Committee(ctx, epoch, model); err != nil {
		return nil, seed, err
	}
	s.mu.Lock()
	s.seeds[epoch] = seed
	if len(s.committees) < keptEpochs*maxWatchedModels {
		s.committees[seatKey{epoch, model}] = seats
	}
	s.mu.Unlock()
	return seats, seed, nil
}

// known is seats without a look at the ledger; ok is false where it needs one.
func (s *standing) known(epoch uint64, model ledger.Hash) (seats []ledger.Seat, seed ledger.Hash, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seed, haveSeed := s.seeds[epoch]
	seats, haveSeats := s.committees[seatKey{epoch, model}]
	return seats, seed, haveSeed && haveSeats
}

// gatesOf lists who gates a model for a client in the present epoch, best
// first, as far as it was read already.
func (s *standing) gatesOf(client ledger.Key, model expert.ModelID) []ledger.Key {
	seats, seed, _ := s.known(s.epoch.Load(), ledger.Hash(model))
	return ledger.Assigned(seed, client, seats)
}

// readGatesOf does so after a look, if one is needed.
func (s *standing) readGatesOf(ctx context.Context, client ledger.Key, model expert.ModelID) ([]ledger.Key, error) {
	if s.params.Load() == nil {
		if _, err := s.look(ctx); err != nil {
			return nil, fmt.Errorf("the ledger cannot be read: %w", err)
		}
	}
	seats, seed, err := s.seats(ctx, s.epoch.Load(), ledger.Hash(model))
	if err != nil {
		return nil, fmt.Errorf("the ledger cannot be read: %w", err)
	}
	return ledger.Assigned(seed, client, seats), nil
}

// gatesFor says why a gating node does not gate a model for a client: it has no
// seat, or is not among the client's. Just after an epoch began the seats of the
// one before count as well. The error wraps prompt.ErrNotMember.
func (s *standing) gatesFor(ctx context.Context, gate, client ledger.Key, model ledger.Hash) error {
	if s.params.Load() == nil {
		return fmt.Errorf("%w: the ledger has not been read yet", prompt.ErrNotMember)
	}
	epoch := s.epoch.Load()
	seated := false
	for back := range uint64(2) {
		if back > epoch || back == 1 && time.Since(time.Unix(0, s.turned.Load())) > skew {
			break
		}
		seats, seed, err := s.seats(ctx, epoch-back, model)
		if err != nil {
			return fmt.Errorf("%w: the ledger cannot be read: %w", prompt.ErrNotMember, err)
		}
		if slices.Contains(ledger.Assigned(seed, client, seats), gate) {
			return nil
		}
		seated = seated || slices.ContainsFunc(seats, func(t ledger.Seat) bool { return t.Peer == gate })
	}
	if seated {
		return fmt.Errorf("%w: its seat in epoch %d serves other clients", prompt.ErrNotMember, epoch)
	}
	return fmt.Errorf("%w: it has no seat in epoch %d", prompt.ErrNotMember, epoch)
}

// period is the epoch in which a client's voucher for a gating node counts: the
// present one, or, if the client was given others for that, the one before. ok is
// false if it was given others for both: such a gating node could not cash it.
func (s *standing) period(gate, client ledger.Key, model ledger.Hash) (epoch uint64, ok bool) {
	epoch = s.epoch.Load()
	seats, seed, known := s.known(epoch, model)
	if !known || epoch == 0 || slices.Contains(ledger.Assigned(seed, client, seats), gate) {
		return epoch, true
	}
	seats, seed, known = s.known(epoch-1, model)
	return epoch - 1, !known || slices.Contains(ledger.Assigned(seed, client, seats), gate)
}

// seated is the epoch for which a gating node's work for a model counts: the
// present one, or, without a seat in that, the one before.
func (s *standing) seated(gate ledger.Key, model ledger.Hash) uint64 {
	epoch := s.epoch.Load()
	seats, _, ok := s.known(epoch, model)
	if !ok || epoch == 0 || slices.ContainsFunc(seats, func(t ledger.Seat) bool { return t.Peer == gate }) {
		return epoch
	}
	return epoch - 1
}

// seat is this node's seat for a model in the present epoch, as far as it was
// read.
func (s *standing) seat(self ledger.Key, model expert.ModelID) (ledger.Seat, bool) {
	seats, _, _ := s.known(s.epoch.Load(), ledger.Hash(model))
	i := slices.IndexFunc(seats, func(t ledger.Seat) bool { return t.Peer == self })
	if i < 0 {
		return ledger.Seat{}, false
	}
	return seats[i], true
}

// within is a price, or the most that a gating node may take for a token by its
// seat, if that is less: more would be money that makes no room for the units of
// holders. A higher price than it told the ledger begins with the next epoch.
func (s *standing) within(gate ledger.Key, model ledger.Hash, price ledger.Amount) ledger.Amount {
	epoch := s.epoch.Load()
	for back := uint64(0); back <= min(epoch, graceEpochs); back++ {
		seats, _, _ := s.known(epoch-back, model)
		if i := slices.IndexFunc(seats, func(t ledger.Seat) bool { return t.Peer == gate }); i >= 0 {
			return min(price, seats[i].Price)
		}
	}
	return price
}

// param is one of the parameters, or a default before they are read.
func (s *standing) param(of func(*ledger.Params) uint64, otherwise uint64) uint64 {
	if p := s.params.Load(); p != nil {
		return of(p)
	}
	return otherwise
}
