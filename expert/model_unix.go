//go:build unix

package expert

import (
	"fmt"
	"os"

	"github.com/moeswarm/moeswarm/internal/mapping"
)

// mapFile maps one of a model's files, which have so many bytes together, read-only.
func mapFile(path string, all int64) (data []byte, release func() error, err error) {
	// Asked before opening, because opening a pipe waits for its writer.
	if info, err := os.Stat(path); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", whole(path))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // the mapping outlives the descriptor
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	size := info.Size()
	if size == 0 {
		return nil, func() error { return nil }, nil // an empty file cannot be mapped
	}
	if size != int64(int(size)) {
		return nil, nil, fmt.Errorf("%s has %d bytes, too many to map on this machine", whole(path), size)
	}
	data, err = mapping.Map(f, size, all)
	if err != nil {
		return nil, nil, fmt.Errorf("map %s: %w", whole(path), err)
	}
	return data, func() error { return mapping.Unmap(data) }, nil
}
