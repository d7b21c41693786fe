package ledger

import (
	"context"
	"io"
)

// Reader answers what a node must know of the ledger. Answers of a light
// client are proved.
type Reader interface {
	Getter
	Clock(ctx context.Context) (Clock, error)
	Seed(ctx context.Context, epoch uint64) (Hash, error)
	Committee(ctx context.Context, epoch uint64, model Hash) ([]Seat, error)
	Provider(ctx context.Context, k Key) (Provider, error)
	Escrow(ctx context.Context, client Key, model Hash) (Escrow, error)
	Params(ctx context.Context) (Params, error)
	Model(ctx context.Context, id Hash) (Model, error)
}

// Getter reads one value of the state by its key (see the Key functions), as
// of the last finished block. A nil value means that there is none, proved as
// well. View makes a Reader of it.
type Getter interface {
	Get(ctx context.Context, key []byte) ([]byte, error)
}

// Watcher tells what happens on the ledger. The channel closes with ctx; a
// reader that falls behind loses the oldest events.
type Watcher interface {
	Events(ctx context.Context) (<-chan Event, error)
}

// Banker reads balances, which the chain keeps outside of this state.
type Banker interface {
	Balance(ctx context.Context, k Key) (Amount, error)
}

// Submitter brings messages of one account to the ledger. Messages are
// idempotent or harmless when they come twice.
type Submitter interface {
	Submit(ctx context.Context, m Msg) (TxID, error)
}

// Ledger is all of it.
type Ledger interface {
	Reader
	Watcher
	Banker
	Submitter
	io.Closer
}

// Due is what a session owes a gate: totals since it began there, over all
// epochs. Epoch is the one in which the voucher is to count: the current one,
// or the one before if the gate is the client's no more and only finishes what
// runs.
type Due struct {
	Gate    Key
	Model   Hash
	Epoch   uint64
	Session Session
	Tokens  uint64
	Cum     Amount
}

// Purse is a client's side of payment: it signs vouchers within its limits.
type Purse interface {
	Pay(ctx context.Context, due Due) (Voucher, error)
}

// Till is a gate's side. Accept takes a voucher and says how much of it is
// new; Credit adds work of a holder in an epoch and returns its receipt when
// one is due (nil: later); Settle brings an epoch to the ledger.
type Till interface {
	Accept(ctx context.Context, v Voucher) (fresh Amount, err error)
	Credit(epoch uint64, holder Key, model Hash, units, passed uint64) (*Receipt, error)
	Settle(ctx context.Context, epoch uint64) error
}

// Stub is a holder's side: it keeps the highest receipts and disputes what a
// gate left out.
type Stub interface {
	Keep(r Receipt) error
	Dispute(ctx context.Context, epoch uint64) error
}
