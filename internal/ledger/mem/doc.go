// Package mem is a ledger in one process: the state machine of package state
// over maps, for tests and for private use. Its user makes the blocks.
//
// A Ledger is shared; As gives one account's view of it. Messages take effect
// at once, inside the block that runs. Nothing is kept on disk, and no goroutine
// is started but those that end with the contexts of Events.
package mem
