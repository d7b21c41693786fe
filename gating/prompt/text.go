package prompt

import "unicode/utf8"

// Text turns the raw bytes of an answer's tokens into text for people. It
// holds back what cannot be shown yet: the beginning of a UTF-8 sequence whose
// end comes with the next token, and a beginning of a stop string that may or
// may not go on as one. The pieces it returns are valid UTF-8 each, and joined
// they are the answer up to, and without, the stop string that is complete
// first. How the bytes were split over calls makes no difference.
//
// A byte that belongs to no UTF-8 sequence becomes U+FFFD, as when Go ranges
// over a string. A Text serves one answer and one goroutine.
type Text struct {
	stops   []stop
	partial []byte // an incomplete UTF-8 sequence, at most 3 bytes
	held    []byte // whole runes that may be the beginning of a stop string
	ended   bool   // a stop string was found, or Flush was called
}

// stop looks for one stop string in a stream of bytes in constant time per
// byte (Knuth, Morris, Pratt), so that neither long nor repetitive stop
// strings slow an answer down.
type stop struct {
	text string
	// back[n] is the length of the longest proper beginning of text that
	// text[:n+1] ends with: where to go on after n+1 bytes fitted and the
	// next does not.
	back []int
	seen int // the stream ends with text[:seen], the longest such
}

// NewText returns the text of an answer that ends at any of the stop strings.
// Empty ones are ignored.
func NewText(stops []string) *Text {
	t := new(Text)
	for _, s := range stops {
		if s != "" {
			t.stops = append(t.stops, newStop(string([]rune(s)))) // valid UTF-8, as the text is
		}
	}
	return t
}

// Add takes the bytes of the next token and returns what can be shown now.
// After it has returned true, the answer has ended at a stop string and
// everything added later is ignored.
func (t *Text) Add(b []byte) (piece string, stopped bool) {
	if t.ended {
		return "", true
	}
	t.partial = append(t.partial, b...)
	rest := t.partial
	for len(rest) > 0 && utf8.FullRune(rest) {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if t.rune(r) {
			return t.take(0), true
		}
	}
	t.partial = append(t.partial[:0], rest...)
	return t.take(t.open()), false
}

// Flush returns what was held back, for when the answer has ended without a
// stop string. Nothing can be added after it.
func (t *Text) Flush() string {
	if t.ended {
		return ""
	}
	for range t.partial {
		if t.rune(utf8.RuneError) {
			break
		}
	}
	t.ended = true
	return t.take(0)
}

// rune appends one rune to what is held and reports whether a stop string is
// complete with it. If so, it is cut off, and the answer has ended.
func (t *Text) rune(r rune) bool {
	before := len(t.held)
	t.held = utf8.AppendRune(t.held, r)
	longest := 0
	for _, c := range t.held[before:] {
		for i := range t.stops {
			if t.stops[i].step(c) {
				longest = max(longest, len(t.stops[i].text))
			}
		}
	}
	if longest == 0 {
		return false
	}
	t.held = t.held[:len(t.held)-longest]
	t.ended = true
	return true
}

// open is the number of held bytes that may still become a stop string.
func (t *Text) open() int {
	n := 0
	for _, s := range t.stops {
		n = max(n, s.seen)
	}
	return n
}

// take removes and returns what is held, except the last keep bytes.
func (t *Text) take(keep int) string {
	n := len(t.held) - keep
	piece := string(t.held[:n])
	t.held = append(t.held[:0], t.held[n:]...)
	return piece
}

func newStop(text string) stop {
	s := stop{text: text, back: make([]int, len(text))}
	for i := 1; i < len(text); i++ {
		n := s.back[i-1]
		for n > 0 && text[n] != text[i] {
			n = s.back[n-1]
		}
		if text[n] == text[i] {
			n++
		}
		s.back[i] = n
	}
	return s
}

// step takes the next byte of the stream and reports whether the stop string
// is complete with it. It is not called again after that.
func (s *stop) step(c byte) bool {
	for s.seen > 0 && s.text[s.seen] != c {
		s.seen = s.back[s.seen-1]
	}
	if s.text[s.seen] == c {
		s.seen++
	}
	return s.seen == len(s.text)
}
