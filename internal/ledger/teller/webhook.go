package teller

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Headers of a request and its answer. The signature of a request is
// HMAC-SHA256(secret, "ask\n" nonce "\n" body), that of an answer
// HMAC-SHA256(secret, "answer\n" nonce "\n" status "\n" body), both in hex.
const (
	NonceHeader     = "Moeswarm-Nonce"
	SignatureHeader = "Moeswarm-Signature"
)

// minSecret keeps a secret from being guessed.
const minSecret = 16

// WebhookConfig says whom to ask.
type WebhookConfig struct {
	URL    string // https, or http on this machine
	Secret []byte // shared with the other side, 16 bytes at least
	// Timeout bounds one question; 0: 15 s.
	Timeout time.Duration
	Now     func() time.Time
	// Client is used in place of the default one, for its transport.
	Client *http.Client
}

// Webhook asks an HTTP endpoint. It posts
//
//	{"op": "quote", "currency": "EUR", "asked_unix": …}
//	{"op": "accept", "account": "hex", "proof": {"id": …, "currency": …, "paid_millionths": …, "evidence": "base64"}, "asked_unix": …}
//
// and reads {"quote": {…}}, to "accept" with {"amount_nneuro": …}, or {"error":
// "refused"|"used"|"price", "message": …}. The other side should answer one
// deposit once and refuse questions that are minutes old.
type Webhook struct {
	cfg    WebhookConfig
	client *http.Client
}

// NewWebhook checks the configuration; it asks nobody.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("teller: %.80q is no URL of a webhook", cfg.URL)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, fmt.Errorf("teller: %s: want https; http goes on this machine only", u.Redacted())
	}
	if len(cfg.Secret) < minSecret {
		return nil, fmt.Errorf("teller: a secret of %d bytes: want %d at least", len(cfg.Secret), minSecret)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	client := &http.Client{}
	if cfg.Client != nil {
		*client = *cfg.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Webhook{cfg: cfg, client: client}, nil
}

// ask is the body of a request.
type ask struct {
	Op       string `json:"op"`
	Currency string `json:"currency,omitempty"`
	Account  string `json:"account,omitempty"`
	Proof    *Proof `json:"proof,omitempty"`
	Asked    int64  `json:"asked_unix"`
}

// answer is the body of a reply.
type answer struct {
	Quote   *Quote `json:"quote,omitempty"`
	Amount  uint64 `json:"amount_nneuro,omitempty"`
	Error   string `json:"error,omitempty"`
	Message string `json:"message,omitempty"`
}

// Quote implements [Teller].
func (w *Webhook) Quote(ctx context.Context, currency string) (Quote, error) {
	if err := checkCurrency(currency); err != nil {
		return Quote{}, err
	}
	a, err := w.post(ctx, ask{Op: "quote", Currency: currency})
	if err != nil {
		return Quote{}, err
	}
	if a.Quote == nil {
		return Quote{}, fmt.Errorf("%w: the webhook's answer has none", ErrPrice)
	}
	return *a.Quote, a.Quote.check(currency, w.cfg.Now())
}

// Accept implements [Teller]. What the webhook credits may not be more than the
// amount paid buys at the price it names.
func (w *Webhook) Accept(ctx context.Context, p Proof) (Credit, error) {
	if err := p.Check(); err != nil {
		return Credit{}, err
	}
	a, err := w.post(ctx, ask{Op: "accept", Account: p.Account.String(), Proof: &p})
	if err != nil {
		return Credit{}, err
	}
	if a.Quote == nil {
		return Credit{}, fmt.Errorf("%w: the webhook names no price", ErrPrice)
	}
	if err := a.Quote.check(p.Currency, w.cfg.Now()); err != nil {
		return Credit{}, err
	}
	if most := a.Quote.Worth(p.Paid); a.Amount == 0 || ledger.Amount(a.Amount) > most {
		return Credit{}, fmt.Errorf("%w: the webhook credits %d nneuro, %d are what was paid", ErrRefused, a.Amount, most)
	}
	return Credit{Amount: ledger.Amount(a.Amount), Quote: *a.Quote}, nil
}

func (w *Webhook) sign(parts ...string) string {
	mac := hmac.New(sha256.New, w.cfg.Secret)
	for i, p := range parts {
		if i > 0 {
			mac.Write([]byte{'\n'})
		}
		mac.Write([]byte(p))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func (w *Webhook) post(ctx context.Context, q ask) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	q.Asked = w.cfg.Now().Unix()
	body, err := json.Marshal(q)
	if err != nil {
		return answer{}, fmt.Errorf("teller: %w", err)
	}
	nonce := rand.Text()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("teller: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(NonceHeader, nonce)
	r.Header.Set(SignatureHeader, w.sign("ask", nonce, string(body)))
	resp, err := w.client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("teller: ask the webhook: %w", err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("teller: read the webhook's answer: %w", err)
	case len(got) > maxAnswer:
		return answer{}, fmt.Errorf("teller: the webhook's answer has more than %d bytes", maxAnswer)
	}
	want := w.sign("answer", nonce, fmt.Sprint(resp.StatusCode), string(got))
	if !hmac.Equal([]byte(want), []byte(resp.Header.Get(SignatureHeader))) {
		return answer{}, fmt.Errorf("teller: the webhook's answer (status %d) is %w", resp.StatusCode, errUnsigned)
	}
	return parseAnswer(got, resp.StatusCode)
}

var errUnsigned = errors.New("not signed with the secret")

// parseAnswer reads an answer whose signature holds.
func parseAnswer(body []byte, status int) (answer, error) {
	var a answer
	if err := decode(body, &a); err != nil {
		return answer{}, fmt.Errorf("teller: the webhook's answer: %w", err)
	}
	kind := map[string]error{"refused": ErrRefused, "used": ErrUsed, "price": ErrPrice}[a.Error]
	switch {
	case kind != nil:
		return answer{}, fmt.Errorf("%w: %.200q", kind, a.Message)
	case a.Error != "" || status != http.StatusOK:
		return answer{}, fmt.Errorf("teller: the webhook answers with status %d, error %.40q: %.200q", status, a.Error, a.Message)
	}
	return a, nil
}

var _ Teller = (*Webhook)(nil)
