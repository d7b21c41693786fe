package teller

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func clock() time.Time { return time.Unix(1_000_000, 0) }

var someone = ledger.Key{1, 2, 3}

func paid(id string, millionths uint64) Proof {
	return Proof{ID: id, Account: someone, Currency: "EUR", Paid: millionths}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func desk(t *testing.T) (dir string, f *Files) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, PricesFile, `[{"currency":"EUR","millionths_per_neuro":120000,"until_unix":1000010},{"currency":"USD","millionths_per_neuro":130000,"until_unix":999999}]`)
	write(t, dir, DepositsFile, fmt.Sprintf(`[{"id":"a-1","account":"%v","currency":"EUR","paid_millionths":25000000}]`, someone))
	f, err := NewFiles(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return dir, f
}

func TestFiles(t *testing.T) {
	ctx := t.Context()
	dir, f := desk(t)
	other := paid("a-1", 25_000_000)
	other.Account = ledger.Key{9}
	for _, c := range []struct {
		name string
		p    Proof
		want error
	}{
		{"not listed", paid("a-2", 25_000_000), ErrRefused},
		{"another amount", paid("a-1", 26_000_000), ErrRefused},
		{"another account", other, ErrRefused},
		{"no name", paid("", 1), ledger.ErrMalformed},
		{"a line of its own", paid("a-1\na-2", 1), ledger.ErrMalformed},
		{"nothing", paid("a-1", 0), ledger.ErrMalformed},
	} {
		if got, err := f.Accept(ctx, c.p); !errors.Is(err, c.want) || got.Amount != 0 {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	got, err := f.Accept(ctx, paid("a-1", 25_000_000))
	if err != nil || got.Amount != 208_333_333_333 { // 25 / 0.12, rounded down
		t.Fatalf("%v, %v", got.Amount, err)
	}
	if _, err := f.Accept(ctx, paid("a-1", 25_000_000)); !errors.Is(err, ErrUsed) {
		t.Errorf("again: %v", err)
	}
	again, err := NewFiles(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Accept(ctx, paid("a-1", 25_000_000)); !errors.Is(err, ErrUsed) {
		t.Errorf("again after a restart: %v", err)
	}
	for currency, want := range map[string]error{"USD": ErrPrice, "GBP": ErrPrice, "eur": ledger.ErrMalformed} {
		if _, err := f.Quote(ctx, currency); !errors.Is(err, want) {
			t.Errorf("%s: %v", currency, err)
		}
	}
	write(t, dir, PricesFile, `[{"currency":"EUR","typo":1}]`)
	if _, err := f.Quote(ctx, "EUR"); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestWorth(t *testing.T) {
	for _, c := range []struct {
		price, paid uint64
		want        ledger.Amount
	}{{Million, Million, ledger.Neuro}, {3, 1, 333_333_333}, {1, 1 << 63, ledger.MaxSupply}, {1 << 63, 1, 0}} {
		if got := (Quote{PerNeuro: c.price}).Worth(c.paid); got != c.want {
			t.Errorf("%d at %d: %v, want %v", c.paid, c.price, got, c.want)
		}
	}
}

var secret = []byte("0123456789abcdef")

func mac(parts ...string) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(m.Sum(nil))
}

// hook is the other side of a webhook; reply makes its answer.
func hook(t *testing.T, reply func(w http.ResponseWriter, nonce string, q ask)) *Webhook {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		nonce := r.Header.Get(NonceHeader)
		if err != nil || r.Header.Get(SignatureHeader) != mac("ask", nonce, string(body)) {
			t.Errorf("a question that is not signed: %v", r.Header)
		}
		var q ask
		if err := json.Unmarshal(body, &q); err != nil || q.Asked != clock().Unix() {
			t.Errorf("%s: %v", body, err)
		}
		reply(w, nonce, q)
	}))
	t.Cleanup(srv.Close)
	w, err := NewWebhook(WebhookConfig{URL: srv.URL, Secret: secret, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func say(w http.ResponseWriter, nonce string, status int, body string) {
	w.Header().Set(SignatureHeader, mac("answer", nonce, fmt.Sprint(status), body))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

const eur = `"quote":{"currency":"EUR","millionths_per_neuro":120000,"until_unix":1000010}`

func TestWebhook(t *testing.T) {
	w := hook(t, func(w http.ResponseWriter, nonce string, q ask) {
		switch {
		case q.Op == "quote":
			say(w, nonce, 200, "{"+eur+"}")
		case q.Account != someone.String() || string(q.Proof.Evidence) != "bank":
			t.Errorf("%+v", q)
		case q.Proof.ID == "used":
			say(w, nonce, 409, `{"error":"used","message":"that was yesterday"}`)
		default:
			say(w, nonce, 200, "{"+eur+`,"amount_nneuro":208333333333}`)
		}
	})
	q, err := w.Quote(t.Context(), "EUR")
	if err != nil || q.PerNeuro != 120_000 {
		t.Fatalf("%+v, %v", q, err)
	}
	p := paid("b-1", 25_000_000)
	p.Evidence = []byte("bank")
	if got, err := w.Accept(t.Context(), p); err != nil || got.Amount != 208_333_333_333 {
		t.Errorf("%+v, %v", got, err)
	}
	p.Paid--
	if _, err := w.Accept(t.Context(), p); !errors.Is(err, ErrRefused) {
		t.Errorf("more than was paid: %v", err)
	}
	p.ID = "used"
	if _, err := w.Accept(t.Context(), p); !errors.Is(err, ErrUsed) || !strings.Contains(err.Error(), "yesterday") {
		t.Errorf("used: %v", err)
	}
}

func TestHostileWebhook(t *testing.T) {
	var old string
	for name, reply := range map[string]func(http.ResponseWriter, string){
		"unsigned":        func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, "{"+eur+"}") },
		"another status":  func(w http.ResponseWriter, n string) { w.WriteHeader(500); say(w, n, 200, "{"+eur+"}") },
		"an old answer":   func(w http.ResponseWriter, n string) { say(w, old, 200, "{"+eur+"}"); old = n },
		"too long":        func(w http.ResponseWriter, n string) { say(w, n, 200, strings.Repeat(" ", maxAnswer)+"{"+eur+"}") },
		"no JSON":         func(w http.ResponseWriter, n string) { say(w, n, 200, "hello") },
		"two values":      func(w http.ResponseWriter, n string) { say(w, n, 200, "{"+eur+"}{}") },
		"unknown fields":  func(w http.ResponseWriter, n string) { say(w, n, 200, `{"quota":1}`) },
		"no quote":        func(w http.ResponseWriter, n string) { say(w, n, 200, `{}`) },
		"another money":   func(w http.ResponseWriter, n string) { say(w, n, 200, strings.Replace("{"+eur+"}", "EUR", "USD", 1)) },
		"an error":        func(w http.ResponseWriter, n string) { say(w, n, 500, `{"error":"boom"}`) },
		"a redirect":      func(w http.ResponseWriter, n string) { w.Header().Set("Location", "/x"); say(w, n, 302, "{"+eur+"}") },
		"a stale price":   func(w http.ResponseWriter, n string) { say(w, n, 200, strings.Replace("{"+eur+"}", "1000010", "5", 1)) },
		"a price of zero": func(w http.ResponseWriter, n string) { say(w, n, 200, strings.Replace("{"+eur+"}", "120000", "0", 1)) },
	} {
		w := hook(t, func(w http.ResponseWriter, nonce string, _ ask) { reply(w, nonce) })
		if q, err := w.Quote(t.Context(), "EUR"); err == nil {
			t.Errorf("%s: %+v", name, q)
		}
	}
	silent := hook(t, func(_ http.ResponseWriter, _ string, _ ask) {})
	silent.cfg.Timeout = time.Nanosecond
	if _, err := silent.Quote(t.Context(), "EUR"); err == nil {
		t.Error("no answer in time")
	}
}

func TestWebhookConfig(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://example.org/hook": true, "http://127.0.0.1:9/hook": true, "http://localhost/hook": true,
		"http://example.org/hook": false, "ftp://localhost": false, "https://": false, "https://me:pw@example.org/": false,
	} {
		if _, err := NewWebhook(WebhookConfig{URL: url, Secret: secret, Now: clock}); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := NewWebhook(WebhookConfig{URL: "https://example.org", Secret: secret[1:], Now: clock}); err == nil {
		t.Error("a short secret")
	}
}

// FuzzAnswer: whatever a webhook says, an amount is never without a price.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("{"+eur+`,"amount_nneuro":5}`), 200)
	f.Add([]byte(`{"error":"used"}`), 409)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		a, err := parseAnswer(body, status)
		if err == nil && (status != 200 || a.Error != "") {
			t.Fatalf("%s: %+v", body, a)
		}
	})
}

// FuzzFiles: an operator's broken files are errors.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(`[{"currency":"EUR","millionths_per_neuro":120000,"until_unix":1000010}]`), []byte(`[{"id":"a-1"}]`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, prices, deposits []byte) {
		write(t, dir, PricesFile, string(prices))
		write(t, dir, DepositsFile, string(deposits))
		desk, err := NewFiles(dir, clock)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := desk.Accept(t.Context(), paid("a-1", Million)); err == nil && c.Quote.PerNeuro == 0 {
			t.Fatalf("%+v", c)
		}
	})
}
