package neuro

import (
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
)

// records is the module's store as the state machine takes it.
type records struct{ storetypes.KVStore }

func (r records) Get(key []byte) []byte { return r.KVStore.Get(key) }
func (r records) Set(key, value []byte) { r.KVStore.Set(key, value) }
func (r records) Delete(key []byte)     { r.KVStore.Delete(key) }

func (r records) Iterate(prefix []byte, f func(key, value []byte) bool) {
	it := storetypes.KVStorePrefixIterator(r.KVStore, prefix)
	defer it.Close()
	for ; it.Valid(); it.Next() {
		if !f(it.Key(), it.Value()) {
			return
		}
	}
}
