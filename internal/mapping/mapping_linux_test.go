package mapping

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const large = 2 << 20

// written is a file of some large pages of bytes that are not zero.
func written(t *testing.T, n int) (path string, want []byte) {
	t.Helper()
	path, want = filepath.Join(t.TempDir(), "weights"), make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	for i := 0; i < n; i += 8 {
		copy(want[i:], fmt.Appendf(nil, "%08x", uint32(rng.Uint64())))
	}
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, want
}

func mapped(t *testing.T, path string, size, all int64) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := Map(f, size, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Unmap(b) })
	return b
}

// uncached is a mapping of eight large pages of a file that is on disk and not in the
// system's cache, and what it holds.
func uncached(t *testing.T, all int64) (b, want []byte) {
	t.Helper()
	path, want := written(t, 8*large)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		t.Fatal(err)
	}
	b = mapped(t, path, int64(len(want)), all)
	if n := bytesInMemory(b); n != 0 {
		t.Skipf("this file system keeps %d bytes of what is on disk", n)
	}
	return b, want
}

// here reads from /proc what this process has of a mapping in memory, and how much
// of it in large pages, in KB.
func here(t *testing.T, b []byte) (all, inLarge int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("this system does not tell what is in memory: ", err)
	}
	defer f.Close()
	at, inside := fmt.Sprintf("%x-", uintptr(unsafe.Pointer(unsafe.SliceData(b)))), false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch name, value, _ := strings.Cut(line, ":"); {
		case strings.Contains(name, "-") && strings.Contains(name, " "):
			inside = strings.HasPrefix(line, at)
		case inside && name == "Rss":
			fmt.Sscan(value, &all)
		case inside && name == "FilePmdMapped":
			fmt.Sscan(value, &inLarge)
		}
	}
	return all, inLarge
}

func TestMapHoldsTheFile(t *testing.T) {
	path, want := written(t, 5*large+4096+100)
	for _, all := range []int64{int64(len(want)), 1 << 60} {
		if b := mapped(t, path, int64(len(want)), all); !bytes.Equal(b, want) {
			t.Errorf("together with %d bytes: the mapping is not the file", all)
		}
	}
}

// Leave takes pages from the process, not from the cache, and loses nothing.
func TestLeave(t *testing.T) {
	path, want := written(t, 8*large)
	b := mapped(t, path, int64(len(want)), int64(len(want)))
	if !bytes.Equal(b, want) {
		t.Fatal("the mapping is not the file")
	}
	if before, _ := here(t, b); before < len(want)>>10 {
		t.Fatalf("%d KB in memory of %d that were read", before, len(want)>>10)
	}
	Leave(b)
	if after, _ := here(t, b); after != 0 {
		t.Errorf("%d KB are left", after)
	}
	if bytesInMemory(b) == 0 {
		t.Error("the system dropped the file as well")
	}
	if !bytes.Equal(b, want) {
		t.Error("the mapping is not the file any more")
	}
}

// What is not in the cache is read in large pages, where the system has them for
// files; but not where there is not memory enough for all that is mapped.
func TestLargePages(t *testing.T) {
	read := func(all int64) (inLarge int) {
		b, want := uncached(t, all)
		if !bytes.Equal(b, want) {
			t.Fatal("the file is not what was written")
		}
		_, inLarge = here(t, b)
		return inLarge
	}
	if read(8*large) == 0 { // of some, where memory is in pieces
		t.Skip("no large pages for files of this system here")
	}
	if n := read(1 << 60); n != 0 {
		t.Errorf("%d KB in large pages of what does not fit into memory", n)
	}
}
