package neuro

import (
	"strconv"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// refused gives an error of the state machine a code by which clients tell it
// apart.
func refused(err error) error { return errorsmod.ABCIError(Name, light.Code(err), err.Error()) }

// EventType is the type of this module's events.
const EventType = Name

// emit tells of events. The one attribute has all of it.
func emit(ctx sdk.Context, events []ledger.Event) {
	for _, e := range events {
		ctx.EventManager().EmitEvent(sdk.NewEvent(EventType,
			sdk.NewAttribute("kind", strconv.Itoa(int(e.Kind))),
			sdk.NewAttribute("event", light.EventText(e))))
	}
}
