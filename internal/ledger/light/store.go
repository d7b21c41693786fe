package light

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cometbft/cometbft/light/store"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// maxBlock bounds a light block: a header, and a signature and a key for each
// validator.
const maxBlock = 1 << 20

// trusted keeps blocks that were verified. The newest is kept on disk, so that
// a client that comes back knows more than its ticket.
type trusted struct {
	path string // empty: nothing is kept on disk

	mu      sync.Mutex
	blocks  map[int64]*types.LightBlock
	heights []int64 // ascending
}

var _ store.Store = (*trusted)(nil)

// newTrusted reads the newest block from a file, if there is one of this chain.
func newTrusted(path, chain string) (*trusted, error) {
	s := &trusted{path: path, blocks: map[int64]*types.LightBlock{}}
	if path == "" {
		return s, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	block, err := decodeBlock(b)
	if err != nil || block.ValidateBasic(chain) != nil {
		return s, nil // damaged, or of another chain: the ticket will do
	}
	return s, s.SaveLightBlock(block)
}

func decodeBlock(b []byte) (*types.LightBlock, error) {
	if len(b) > maxBlock {
		return nil, fmt.Errorf("%w: a block of %d bytes", ErrWire, len(b))
	}
	var p cmtproto.LightBlock
	if err := p.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrWire, err)
	}
	block, err := types.LightBlockFromProto(&p)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrWire, err)
	}
	if block.SignedHeader == nil || block.Header == nil || block.Commit == nil || block.ValidatorSet == nil {
		return nil, fmt.Errorf("%w: a block without header, commit or validators", ErrWire)
	}
	return block, nil
}

// keep writes the newest block to disk, so that the file never holds half of
// one.
func (s *trusted) keep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" || len(s.heights) == 0 {
		return nil
	}
	p, err := s.blocks[s.heights[len(s.heights)-1]].ToProto()
	if err != nil {
		return err
	}
	b, err := p.Marshal()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), ".block-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path)
}

// SaveLightBlock adds a block.
func (s *trusted) SaveLightBlock(b *types.LightBlock) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := slices.BinarySearch(s.heights, b.Height)
	if !found {
		s.heights = slices.Insert(s.heights, at, b.Height)
	}
	s.blocks[b.Height] = b
	return nil
}

// DeleteLightBlock removes a block.
func (s *trusted) DeleteLightBlock(height int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, found := slices.BinarySearch(s.heights, height); found {
		s.heights = slices.Delete(s.heights, at, at+1)
		delete(s.blocks, height)
	}
	return nil
}

// LightBlock is the block of a height.
func (s *trusted) LightBlock(height int64) (*types.LightBlock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.blocks[height]; b != nil {
		return b, nil
	}
	return nil, store.ErrLightBlockNotFound
}

// LastLightBlockHeight is the newest height; -1: none.
func (s *trusted) LastLightBlockHeight() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heights) == 0 {
		return -1, nil
	}
	return s.heights[len(s.heights)-1], nil
}

// FirstLightBlockHeight is the oldest height; -1: none.
func (s *trusted) FirstLightBlockHeight() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heights) == 0 {
		return -1, nil
	}
	return s.heights[0], nil
}

// LightBlockBefore is the newest block below a height.
func (s *trusted) LightBlockBefore(height int64) (*types.LightBlock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _ := slices.BinarySearch(s.heights, height)
	if at == 0 {
		return nil, store.ErrLightBlockNotFound
	}
	return s.blocks[s.heights[at-1]], nil
}

// Prune leaves the newest blocks.
func (s *trusted) Prune(size uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.heights) > int(size) {
		delete(s.blocks, s.heights[0])
		s.heights = s.heights[1:]
	}
	return nil
}

// Size is how many blocks there are.
func (s *trusted) Size() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint16(min(len(s.heights), 1<<16-1))
}

// u64 is a number as requests have it.
func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
