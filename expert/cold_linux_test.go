package expert

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moeswarm/moeswarm/internal/mapping"
)

// resident counts the pages of b, which begins a page, that are in memory.
func resident(t *testing.T, b []byte) (n int) {
	t.Helper()
	pages := make([]byte, (len(b)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if e != 0 {
		t.Skip("this system does not tell what is in memory: ", e)
	}
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}

// TestPageOut: pages go, what they hold stays.
func TestPageOut(t *testing.T) {
	const pages = 4096
	page := os.Getpagesize()
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, pages*page), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pages {
		if _, err := f.WriteAt([]byte{byte(i%255 + 1)}, int64(i*page)); err != nil {
			t.Fatal(err)
		}
	}
	if err := mapping.Settle(f); err != nil { // so it is read in large pages, where there are such
		t.Fatal(err)
	}
	_ = f.Close()
	data, release, err := mapFile(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	read := func() {
		for i := range pages {
			if data[i*page] != byte(i%255+1) {
				t.Fatalf("page %d begins with %d", i, data[i*page])
			}
		}
	}
	read()
	if n := resident(t, data); n != pages {
		t.Skipf("only %d of %d pages stay in memory as it is", n, pages)
	}
	if !pageOut(data[100 : (pages-4)*page]) {
		t.Skip("this kernel does not take pages back")
	}
	// The system keeps what it manages together with pages that were not given.
	if n := resident(t, data); n > pages/2 {
		t.Errorf("%d of %d pages are still in memory", n, pages)
	}
	read()
	if pageOut(data[:100]) {
		t.Error("less than a page was given back")
	}
}
