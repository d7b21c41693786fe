package transcript

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// archived writes an answer part by part, as a gate does.
func archived(t *testing.T, a *Archive, n Name, tr *Transcript) {
	t.Helper()
	if err := a.Begin(n, tr.Parts[0].Chunk.Epoch); err != nil {
		t.Fatal(err)
	}
	for i := range tr.Parts {
		if err := a.Append(n, &Transcript{Salt: tr.Salt, Request: tr.Request, Prompt: tr.Prompt, Greedy: tr.Greedy, Parts: tr.Parts[:i+1]}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchiveSurvivesKills(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenArchive(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, want := Name{Client: ledger.Key{4}, Session: ledger.Salt{6}.Session()}, written(1, 100)
	archived(t, a, n, want)
	// Killed while a part is written: what is whole can be shown.
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []int{0, 1, 7, 300} {
		if err := os.WriteFile(files[0], whole[:len(whole)-torn], 0o600); err != nil {
			t.Fatal(err)
		}
		if a, err = OpenArchive(dir, 0); err != nil {
			t.Fatal(err)
		}
		got, err := a.Get(n)
		if err != nil {
			t.Fatal(err)
		}
		parts := len(want.Parts)
		if torn > 0 {
			parts--
		}
		if !reflect.DeepEqual(got.Parts, want.Parts[:parts]) || got.Verify(chain) != nil {
			t.Errorf("%d bytes lost: %d parts", torn, len(got.Parts))
		}
		if err := a.Begin(n, 1); !errors.Is(err, ledger.ErrDuplicate) {
			t.Errorf("a name again after a restart: %v", err)
		}
	}
}

func TestArchiveKeepsItsBounds(t *testing.T) {
	a, err := OpenArchive(t.TempDir(), 2000)
	if err != nil {
		t.Fatal(err)
	}
	first, second := Name{Session: ledger.Session{1}}, Name{Session: ledger.Session{2}}
	if _, err := a.Get(first); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("nothing there: %v", err)
	}
	tr := written(1, 70) // of epochs 0 and 1
	archived(t, a, first, tr)
	if err := a.Begin(second, 3); !errors.Is(err, ErrFull) {
		t.Errorf("past the limit: %v", err)
	}
	for _, turn := range []struct {
		epoch uint64
		there bool
	}{{1 + KeepEpochs, true}, {2 + KeepEpochs, true}, {2 + KeepEpochs, false}} {
		if err := a.Turn(turn.epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Get(first); (err == nil) != turn.there {
			t.Errorf("epoch %d: %v", turn.epoch, err)
		}
		if turn.epoch > 1+KeepEpochs {
			if err := a.End(first); err != nil { // while it ran it stayed
				t.Fatal(err)
			}
		}
	}
	if bytes, n := a.Bytes(); bytes != 0 || n != 0 {
		t.Errorf("%d bytes of %d answers are left", bytes, n)
	}
	if err := a.Begin(second, 3); err != nil {
		t.Error(err)
	}
}
