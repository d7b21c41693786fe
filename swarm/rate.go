package swarm

import (
	"sync"
	"time"
)

// pace is a token bucket's shape: perSecond on average, burst at once.
type pace struct{ perSecond, burst float64 }

// meters limits how often each of many strangers does something. It may be
// used by several goroutines at once.
type meters[K comparable] struct {
	pace
	most int // meters kept

	mu    sync.Mutex
	level map[K]meter
}

type meter struct {
	tokens float64
	at     time.Time
}

func newMeters[K comparable](p pace) *meters[K] {
	return &meters[K]{pace: p, most: maxMeters, level: make(map[K]meter)}
}

// allow takes a token from k's bucket, if there is one. When there are as
// many meters as are kept, strangers wait until others have been quiet.
func (m *meters[K]) allow(k K, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.level[k]
	if !ok {
		if len(m.level) >= m.most && !m.tidyLocked(now) {
			return false
		}
		l = meter{tokens: m.burst, at: now}
	}
	l = m.filled(l, now)
	if l.tokens < 1 {
		m.level[k] = l
		return false
	}
	l.tokens--
	m.level[k] = l
	return true
}

func (m *meters[K]) filled(l meter, now time.Time) meter {
	if d := now.Sub(l.at); d > 0 {
		l.tokens = min(m.burst, l.tokens+m.perSecond*d.Seconds())
		l.at = now
	}
	return l
}

// tidyLocked forgets meters that are full again, which say nothing.
func (m *meters[K]) tidyLocked(now time.Time) bool {
	for k, l := range m.level {
		if m.filled(l, now).tokens >= m.burst {
			delete(m.level, k)
		}
	}
	return len(m.level) < m.most
}
