package app

import (
	"fmt"
	"time"

	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
)

// MaxUnordered is how long an unordered transaction may be valid: as long as
// the chain remembers that it has seen it.
const MaxUnordered = 10 * time.Minute

// setAnte sets what is checked of every transaction before it runs: size and
// gas, that somebody pays the fee, and the signatures.
func (a *App) setAnte(grants feegrantkeeper.Keeper) error {
	handler, err := ante.NewAnteHandler(ante.HandlerOptions{
		AccountKeeper:    a.Account,
		BankKeeper:       a.Bank,
		FeegrantKeeper:   grants,
		SignModeHandler:  a.Tx.SignModeHandler(),
		SigGasConsumer:   signatureGas,
		SigVerifyOptions: []ante.SigVerificationDecoratorOption{ante.WithMaxUnorderedTxTimeoutDuration(MaxUnordered)},
	})
	if err != nil {
		return fmt.Errorf("setting the checks of transactions: %w", err)
	}
	a.SetAnteHandler(handler)
	return nil
}

// signatureGas charges for a signature and refuses any that is not of one
// Ed25519 key: an account is the key of a node.
func signatureGas(meter storetypes.GasMeter, sig signing.SignatureV2, params authtypes.Params) error {
	if _, ok := sig.PubKey.(*ed25519.PubKey); !ok {
		return sdkerrors.ErrInvalidPubKey.Wrapf("accounts are ed25519 keys, not %T", sig.PubKey)
	}
	meter.ConsumeGas(params.SigVerifyCostED25519, "ed25519 signature")
	return nil
}
