package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/store/v2/snapshots"
	snapshottypes "github.com/cosmos/cosmos-sdk/store/v2/snapshots/types"
)

// snapshotsKept is how many snapshots stay: who fetches one has until the second
// after it is made. Blocks stay as far back as the older one.
const snapshotsKept = 2

// openSnapshots opens the folder of snapshots. The SDK serves and reads them; when they
// are written says [noticing], not the SDK, which does so in a goroutine that nobody
// can wait for, and which panics if the state is closed meanwhile.
func (a *App) openSnapshots(dir string) (func(*baseapp.BaseApp), error) {
	dir = filepath.Join(dir, "snapshots")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		a.written, err = dbm.NewGoLevelDB("snapshots", dir, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the snapshots in %s: %w", dir, err)
	}
	store, err := snapshots.NewStore(a.written, dir)
	if err != nil {
		return nil, fmt.Errorf("opening the snapshots in %s: %w", dir, err)
	}
	return baseapp.SetSnapshot(store, snapshottypes.NewSnapshotOptions(0, snapshotsKept)), nil
}

// noticing is the application, whose state is written down after blocks of whose number
// it is time.
type noticing struct {
	abci.Application
	app *App
}

// Commit implements [abci.Application].
func (n noticing) Commit(ctx context.Context, r *abci.RequestCommit) (*abci.ResponseCommit, error) {
	answer, err := n.Application.Commit(ctx, r)
	if err == nil {
		n.app.writeDown(uint64(n.app.LastBlockHeight()))
	}
	return answer, err
}

// writeDown begins to write the state after a block down, if it is time.
func (a *App) writeDown(height uint64) {
	if a.written == nil || a.snapshots == 0 || height%a.snapshots != 0 {
		return
	}
	a.writing.Go(func() {
		_, err := a.SnapshotManager().Create(height)
		if err == nil {
			_, err = a.SnapshotManager().Prune(snapshotsKept)
		}
		if err != nil {
			a.log.Error("the state is not written down for others", "height", height, "err", err)
		}
	})
}
