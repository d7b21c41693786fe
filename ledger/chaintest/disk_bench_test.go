package chaintest

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/ledger/devnet"
	"github.com/moeswarm/moeswarm/ledger/home"
)

// BenchmarkDisk is what empty blocks take on a validator's disk, where it keeps
// all, and where it keeps the last 100 states and, evidence being made to count
// for 100 blocks, as many blocks. It is alone, so that there are enough blocks
// for the databases to rewrite what they dropped.
func BenchmarkDisk(b *testing.B) {
	const from, blocks = 2000, 6000
	for name, keep := range map[string]uint64{"all": 0, "kept": 100} {
		b.Run(name, func(b *testing.B) {
			c := devnet.Config{Dir: b.TempDir(), Validators: 1, Transport: home.TCP, Keep: keep, Params: ledger.DefaultParams()}
			l, err := devnet.Create(c)
			if err != nil {
				b.Fatal(err)
			}
			for _, h := range l.Homes {
				h.Genesis.ConsensusParams.Evidence.MaxAgeNumBlocks = 100
				h.Genesis.ConsensusParams.Evidence.MaxAgeDuration = time.Second
				if err := h.SaveGenesis(h.Genesis); err != nil {
					b.Fatal(err)
				}
			}
			n := New(b, c)
			for b.Loop() {
				grow := map[string]float64{}
				for _, at := range []int64{from, from + blocks} {
					for h := n.Nodes[0].Height() + 500; h < at; h += 500 {
						n.WaitHeight(0, h)
					}
					n.WaitHeight(0, at)
					for _, part := range []string{"", "application.db", "blockstore.db", "state.db", "cs.wal"} {
						grow[part] = size(b, filepath.Join(l.Homes[0].Data(), part)) - grow[part]
					}
				}
				for part, bytes := range grow {
					if part == "" {
						part = "all"
					}
					b.ReportMetric(bytes/blocks, part+"-B/block")
				}
			}
		})
	}
}

// size is how many bytes the files of a folder have.
func size(t testing.TB, dir string) (bytes float64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a database rewrote it
		}
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err == nil {
			bytes += float64(info.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
