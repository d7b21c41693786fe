package owner

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Schedule is the times of the week when a node may work, in local time. The
// zero value is always.
type Schedule struct {
	spans []span
	text  string
}

// span is from one minute of the week to another, Monday 0:00 being 0. One
// that passes Sunday midnight ends before it begins.
type span struct{ from, to int }

const (
	minutesOfDay  = 24 * 60
	minutesOfWeek = 7 * minutesOfDay
	// maxScheduleText and maxSpans bound what ParseSchedule reads: a different
	// schedule for each day, with pauses.
	maxScheduleText = 1024
	maxSpans        = 64
)

// errSchedule says how schedules are written.
var errSchedule = errors.New("want DAYS FROM-TO, several separated by commas, such as 'mon-fri 18:00-08:00,sat-sun 00:00-24:00'")

// ParseSchedule reads when a node may work:
//
//	DAYS HH:MM-HH:MM[,DAYS HH:MM-HH:MM...]
//
// DAYS is a day (mon, tue, wed, thu, fri, sat, sun), a range of days, which
// may pass the end of the week (fri-mon), or daily. A time that ends before it
// begins lasts into the next day. The empty text is always.
func ParseSchedule(text string) (Schedule, error) {
	if strings.TrimSpace(text) == "" {
		return Schedule{}, nil
	}
	if len(text) > maxScheduleText {
		return Schedule{}, fmt.Errorf("schedule of %d characters, at most %d are read", len(text), maxScheduleText)
	}
	s := Schedule{text: text}
	for part := range strings.SplitSeq(text, ",") {
		spans, err := parseSpans(strings.Fields(part))
		if err != nil {
			return Schedule{}, fmt.Errorf("schedule %.40q: %w", strings.TrimSpace(part), err)
		}
		if s.spans = append(s.spans, spans...); len(s.spans) > maxSpans {
			return Schedule{}, fmt.Errorf("schedule of more than %d times in a week", maxSpans)
		}
	}
	return s, nil
}

func parseSpans(words []string) ([]span, error) {
	if len(words) != 2 {
		return nil, errSchedule
	}
	first, last, err := parseDays(words[0])
	if err != nil {
		return nil, err
	}
	from, to, ok := strings.Cut(words[1], "-")
	if !ok {
		return nil, errSchedule
	}
	a, err := parseMinute(from)
	if err != nil {
		return nil, err
	}
	b, err := parseMinute(to)
	if err != nil {
		return nil, err
	}
	switch {
	case a == b:
		return nil, errors.New("it begins and ends at the same time; a whole day is 00:00-24:00")
	case a == minutesOfDay:
		return nil, errors.New("a day begins at 00:00, not 24:00")
	case b < a:
		b += minutesOfDay
	}
	var out []span
	for day := first; ; day = (day + 1) % 7 {
		out = append(out, span{day*minutesOfDay + a, (day*minutesOfDay + b) % minutesOfWeek})
		if day == last {
			return out, nil
		}
	}
}

func parseDays(word string) (first, last int, err error) {
	if strings.EqualFold(word, "daily") {
		return 0, 6, nil
	}
	from, to, ranged := strings.Cut(word, "-")
	if first, err = parseDay(from); err != nil || !ranged {
		return first, first, err
	}
	last, err = parseDay(to)
	return first, last, err
}

func parseDay(word string) (int, error) {
	for i, name := range [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		if strings.EqualFold(word, name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no day %.12q; %w", word, errSchedule)
}

// parseMinute reads H:MM or HH:MM, up to 24:00.
func parseMinute(word string) (int, error) {
	hours, minutes, ok := strings.Cut(word, ":")
	h, okH := digits(hours)
	m, okM := digits(minutes)
	if !ok || !okH || !okM || len(minutes) != 2 || h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, fmt.Errorf("no time of day %.12q; %w", word, errSchedule)
	}
	return h*60 + m, nil
}

// digits reads one or two decimal digits.
func digits(s string) (n int, ok bool) {
	if len(s) < 1 || len(s) > 2 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// At reports whether the node may work at a time, by the clock on the wall of
// the time's zone.
func (s Schedule) At(t time.Time) bool {
	if len(s.spans) == 0 {
		return true
	}
	day := (int(t.Weekday()) + 6) % 7 // Monday is 0
	at := day*minutesOfDay + t.Hour()*60 + t.Minute()
	for _, x := range s.spans {
		if x.from < x.to && x.from <= at && at < x.to || x.from >= x.to && (at >= x.from || at < x.to) {
			return true
		}
	}
	return false
}

func (s Schedule) String() string { return s.text }
