package ledger

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	EventEpoch   EventKind = iota + 1 // a new epoch began; Epoch is its number
	EventSettled                      // a gate closed an epoch; Amount is the gross
	EventPaid                         // a provider was paid
	EventSlashed                      // a bond lost an amount
	EventCase                         // a case changed its phase; ID names it
	EventJuror                        // Peer was drawn into the jury of case ID
	EventParams                       // parameters or a model changed
	EventMinted                       // emission of an epoch
	EventBurned
)

// Event is something that happened on the ledger.
type Event struct {
	Kind   EventKind
	Height uint64
	Epoch  uint64
	Peer   Key
	ID     Hash
	Amount Amount
	Note   string
}
