package mapping

import (
	"bytes"
	"os"
	"testing"
)

// bytesInMemory is how much of b the system has in memory.
func bytesInMemory(b []byte) (n int) {
	for _, run := range inMemory(b) {
		n += len(run)
	}
	return n
}

// What is given back goes, what it holds stays: also of small parts of large pages,
// as the experts of a fine-grained model are.
func TestPageOut(t *testing.T) {
	for name, part := range map[string]struct{ from, n int }{
		"much":                         {100, 7 * large},
		"less than a large page":       {5*large/2 + 100, 900 << 10},
		"over the border of two pages": {3*large - 300<<10, 900 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			b, want := uncached(t, 8*large)
			if !bytes.Equal(b, want) {
				t.Fatal("the file is not what was written")
			}
			given := b[part.from : part.from+part.n]
			if n := bytesInMemory(b); n < len(b) {
				t.Skipf("only %d of %d bytes stay in memory as it is", n, len(b))
			}
			for range 3 { // what was read just now may stay at first
				if !PageOut(given) {
					t.Skip("this kernel does not take pages back")
				}
			}
			if n := bytesInMemory(wholePages(given)); n > part.n/4 {
				t.Errorf("%d of %d bytes are still in memory", n, part.n)
			}
			if n := bytesInMemory(b); n < len(b)-part.n-2*large {
				t.Errorf("%d of %d bytes are in memory, and %d were given back", n, len(b), part.n)
			}
			if !bytes.Equal(b, want) {
				t.Error("the mapping is not the file any more")
			}
			if PageOut(b[:100]) {
				t.Error("less than a page was given back")
			}
		})
	}
}

func TestWholePages(t *testing.T) {
	page := os.Getpagesize()
	path, want := written(t, 4*page)
	b := mapped(t, path, int64(len(want)), int64(len(want)))
	for _, c := range []struct{ from, to, first, last int }{
		{0, 4 * page, 0, 4}, {1, 4 * page, 1, 4}, {page, 2*page + 1, 1, 2}, {page - 1, 2*page - 1, 0, 0}, {3, 4, 0, 0}, {7, 7, 0, 0},
	} {
		got := wholePages(b[c.from:c.to])
		if pages := b[c.first*page : c.last*page]; len(got) != len(pages) || len(got) > 0 && &got[0] != &pages[0] {
			t.Errorf("of bytes %d to %d: %d bytes, want pages %d to %d", c.from, c.to, len(got), c.first, c.last)
		}
	}
}
