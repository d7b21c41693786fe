package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// minKey is the least length of a key: 16 characters of hex are 64 bits, out of
// reach for somebody who has to ask the node for each guess.
const minKey = 16

// maxKeys bounds a key file.
const maxKeys = 10_000

// ParseKeys reads a key file: one key a line; empty lines, and those that begin
// with #, do not count.
func ParseKeys(text string) ([]string, error) {
	var keys []string
	n := 0
	for line := range strings.Lines(text) {
		n++
		key := strings.TrimSpace(line)
		if key == "" || strings.HasPrefix(key, "#") {
			continue
		}
		if len(key) < minKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("line %d: want a key of at least %d letters, digits and signs, without blanks", n, minKey)
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no key in it; write one a line, such as the output of \"openssl rand -hex 24\"")
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("%d keys; at most %d are accepted", len(keys), maxKeys)
	}
	return keys, nil
}

// access says who may ask how often.
type access struct {
	keys    map[[32]byte]bool // hashes; empty: anybody
	origins []string          // of web pages that may ask, or "*"
	perMin  int               // requests a minute and key, or address; 0: any number

	mu struct {
		sync.Mutex
		limits map[string]*rate.Limiter
	}
}

// maxLimits bounds the keys or addresses whose rate is remembered.
const maxLimits = 4096

func newAccess(keys, origins []string, perMin int) (*access, error) {
	a := &access{keys: map[[32]byte]bool{}, perMin: perMin}
	for _, k := range keys {
		a.keys[sha256.Sum256([]byte(k))] = true
	}
	for _, o := range origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "") {
			return nil, fmt.Errorf("origin %.80q: want something like https://chat.example.org, or *", o)
		}
		a.origins = append(a.origins, strings.ToLower(o))
	}
	if perMin < 0 {
		return nil, fmt.Errorf("%d requests a minute: want a positive number, or 0 for any", perMin)
	}
	a.mu.limits = map[string]*rate.Limiter{}
	return a, nil
}

// allows tells whether pages of an origin may ask.
func (a *access) allows(origin string) bool {
	return origin != "" && (slices.Contains(a.origins, "*") || slices.Contains(a.origins, strings.ToLower(origin)))
}

// key is what a request shows, by any of the headers that clients use.
func key(r *http.Request) string {
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value)
	}
	for _, name := range []string{"X-Api-Key", "Api-Key"} {
		if v := r.Header.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// check refuses a request without a key, where one is wanted. Keys are looked
// up by their hash, so that the time it takes tells nothing about them.
func (a *access) check(r *http.Request) *apiError {
	if len(a.keys) == 0 || a.keys[sha256.Sum256([]byte(key(r)))] {
		return nil
	}
	e := &apiError{status: http.StatusUnauthorized, code: "invalid_api_key",
		message: "this node wants an API key that it knows: send the header \"Authorization: Bearer KEY\" with a key of its --api-key-file"}
	if key(r) == "" {
		e.code = "missing_api_key"
	}
	return e
}

// who tells users apart: by the hash of their key, or by their address.
func (a *access) who(r *http.Request) string {
	if len(a.keys) == 0 {
		return "address " + addressOf(r)
	}
	sum := sha256.Sum256([]byte(key(r)))
	return "key " + hex.EncodeToString(sum[:8])
}

// admit refuses a request beyond the rate of its key, or of its address.
func (a *access) admit(r *http.Request, now time.Time) *apiError {
	if a.perMin == 0 {
		return nil
	}
	who := a.who(r)
	a.mu.Lock()
	l := a.mu.limits[who]
	if l == nil {
		if len(a.mu.limits) >= maxLimits {
			a.forgetLocked(now)
		}
		l = rate.NewLimiter(rate.Limit(float64(a.perMin)/60), max(1, a.perMin/6))
		a.mu.limits[who] = l
	}
	a.mu.Unlock()
	reservation := l.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &apiError{status: http.StatusTooManyRequests, code: "rate_limit_exceeded", retry: time.Duration(math.Ceil(wait.Seconds())) * time.Second,
		message: fmt.Sprintf("more than %d requests a minute; wait %v", a.perMin, wait.Round(time.Millisecond))}
}

// forgetLocked forgets those that have asked nothing for so long that their
// limit is as good as new; if there are none, everybody.
func (a *access) forgetLocked(now time.Time) {
	for who, l := range a.mu.limits {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(a.mu.limits, who)
		}
	}
	if len(a.mu.limits) >= maxLimits {
		clear(a.mu.limits)
	}
}

// addressOf is the client's address; of IPv6 the network, of which everybody
// has a whole one.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr.Is6() && !addr.Is4In6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.Unmap().String()
}

// cors tells a browser that a page of another origin may ask, and answers its
// question beforehand; done is true when that was all.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	if len(s.access.origins) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if !s.access.allows(origin) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Moeswarm-Route, Server-Timing, Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	// The official clients send a dozen headers about themselves.
	h.Set("Access-Control-Allow-Headers", allowedHeaders(r))
	h.Set("Access-Control-Max-Age", "600")
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allowedHeaders are those that a browser asks for; they mean nothing to us.
func allowedHeaders(r *http.Request) string {
	if v := r.Header.Get("Access-Control-Request-Headers"); v != "" && len(v) < 2048 {
		return v
	}
	return "Authorization, Content-Type"
}
