package node

import "github.com/pbnjay/memory"

// fallbackMemory is assumed where the system does not say how much it has.
const fallbackMemory = 4 << 30

// kvMemory is what each model's engine may use for keys and values: its share
// of what the node may.
func (c Config) kvMemory() int64 {
	all := c.KVMemory
	if all == 0 {
		total := int64(memory.TotalMemory())
		if total <= 0 {
			total = fallbackMemory
		}
		all = total / 4
	}
	gated := int64(0)
	for _, m := range c.Models {
		if m.mayGate() {
			gated++
		}
	}
	return all / max(gated, 1)
}
