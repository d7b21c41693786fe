//go:build !linux

package chat

// limitMemory: see watchMemory.
func limitMemory() {}
