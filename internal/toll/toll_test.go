package toll

import (
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

const chain = "toll-test"

func private(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

// book is purse, till and stub over one memory: what was signed, and what of it
// is new. limit, if it is not 0, is all that the purse gives.
type book struct {
	client ed25519.PrivateKey
	limit  ledger.Amount

	mu       sync.Mutex
	signed   int
	highest  map[ledger.Session]ledger.Amount
	audits   map[ledger.Session]ledger.Amount
	receipts []ledger.Receipt
	units    map[ledger.Key]uint64
}

func newBook(client ed25519.PrivateKey) *book {
	return &book{client: client, highest: map[ledger.Session]ledger.Amount{}, audits: map[ledger.Session]ledger.Amount{}, units: map[ledger.Key]uint64{}}
}

func (b *book) Pay(_ context.Context, due ledger.Due) (ledger.Voucher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit > 0 && due.Cum > b.limit {
		return ledger.Voucher{}, ledger.ErrCap
	}
	b.signed++
	v := ledger.Voucher{Client: ledger.KeyOf(b.client), Gate: due.Gate, Model: due.Model, Epoch: due.Epoch, Session: due.Session, Tokens: due.Tokens, Cum: due.Cum}
	return v.Sign(chain, b.client), nil
}

func (b *book) Accept(_ context.Context, v ledger.Voucher) (ledger.Amount, error) {
	if err := ledger.Verify(chain, v); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	had := b.highest[v.Session]
	b.highest[v.Session] = max(had, v.Cum)
	return max(had, v.Cum) - had, nil
}

func (b *book) Credit(epoch uint64, holder ledger.Key, model ledger.Hash, units, passed uint64) (*ledger.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.units[holder] += units
	r := ledger.Receipt{Gate: ledger.KeyOf(b.client), Holder: holder, Model: model, Epoch: epoch, Units: b.units[holder]}.Sign(chain, b.client)
	return &r, nil
}

func (b *book) Settle(context.Context, uint64) error  { return nil }
func (b *book) Dispute(context.Context, uint64) error { return nil }

func (b *book) Keep(r ledger.Receipt) error {
	if err := ledger.Verify(chain, r); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receipts = append(b.receipts, r)
	return nil
}

// pair is a client and a gating node.
type pair struct {
	book    *book
	payer   *Payer
	gate    *Gate
	archive *transcript.Archive
	key     ledger.Key // of the gating node
}

const price = 7

func newPair(t testing.TB, pays bool) *pair {
	t.Helper()
	client, gate := private(1), private(2)
	p := &pair{book: newBook(client), key: ledger.KeyOf(gate)}
	one := func() uint64 { return 1 }
	window := func() uint64 { return 16 }
	cfg := PayerConfig{Chain: chain, Self: ledger.KeyOf(client), Window: window, Epoch: one, Period: func(ledger.Key, ledger.Hash) (uint64, bool) { return 1, true },
		Price: func(ledger.Key, ledger.Hash) ledger.Amount { return price }}
	if pays {
		cfg.Purse, cfg.Audits = p.book, p.book
	}
	p.payer = NewPayer(cfg)
	var err error
	if p.archive, err = transcript.OpenArchive(t.TempDir(), 0); err != nil {
		t.Fatal(err)
	}
	p.gate = NewGate(GateConfig{Chain: chain, Key: gate, Archive: p.archive, Till: p.book, Window: window, Epoch: one,
		Member: func(ledger.Key, ledger.Hash) error { return nil },
		Price:  func(ledger.Hash) ledger.Amount { return price },
		Free:   func() uint64 { return 40 }, FreeAll: func() uint64 { return 100 }})
	return p
}

// answer runs one answer of n tokens to a prompt of so many, with payments that
// arrive at once unless lose says otherwise. It returns how many tokens came.
func (p *pair) answer(ctx context.Context, r prompt.Request, promptTokens, n int, lose func(i int) bool) (got int, bill *Bill, err error) {
	bill = p.payer.Open(p.key, r, []byte(r.Text))
	defer func() { bill.Close(promptTokens, got) }()
	first, err := bill.First(ctx)
	if err != nil {
		return 0, bill, err
	}
	tab, err := p.gate.Open(bill.payer.cfg.Self, r, []byte(r.Text))
	if err != nil {
		return 0, bill, err
	}
	defer tab.Close()
	if err := tab.Pay(first); err != nil {
		return 0, bill, err
	}
	if err := tab.Cover(ctx, prompt.Chunk{}); err != nil {
		return 0, bill, err
	}
	var tokens []int32
	for i := range n {
		c := prompt.Chunk{PromptTokens: promptTokens, HasToken: true, Token: int32(i), Trace: &prompt.Trace{Hidden: []float32{float32(i), 1, 2}, Routes: []uint16{uint16(i)}}}
		if i == 0 {
			c.Trace.Prompt = make([]int32, promptTokens+len(r.Prefix))
		}
		if i == n-1 {
			c.Finish = prompt.FinishLength
		}
		if err := tab.Cover(ctx, c); err != nil {
			return len(tokens), bill, err
		}
		seal, err := tab.Seal(c)
		if err != nil {
			return len(tokens), bill, err
		}
		tokens = append(tokens, c.Token)
		if seal != nil {
			if err := bill.Seal(seal, promptTokens, tokens); err != nil {
				return len(tokens), bill, err
			}
		}
		b, err := bill.Next(ctx, promptTokens, len(tokens))
		if err != nil {
			return len(tokens), bill, err
		}
		if i == n-1 && b == nil {
			if b, err = bill.Last(ctx, promptTokens, len(tokens)); err != nil {
				return len(tokens), bill, err
			}
		}
		if b != nil && (lose == nil || !lose(i)) {
			if err := tab.Pay(b); err != nil {
				return len(tokens), bill, err
			}
		}
	}
	return len(tokens), bill, nil
}

func (p *pair) taken() (sum ledger.Amount) {
	for _, n := range p.book.highest {
		sum += n
	}
	return sum
}

// TestPaidToTheUnit: over many answers of random length the gating node has
// vouchers for what they cost, and one window at most ahead.
func TestPaidToTheUnit(t *testing.T) {
	p := newPair(t, true)
	random := rand.New(rand.NewPCG(3, 4))
	var cost uint64
	for range 60 {
		promptTokens, n := 1+random.IntN(200), 1+random.IntN(300)
		r := prompt.Request{Model: expert.ModelID{9}, Text: string(make([]byte, 4*promptTokens)), MaxTokens: n}
		if random.IntN(3) == 0 {
			r.Prefix = make([]int32, random.IntN(50))
		}
		got, bill, err := p.answer(t.Context(), r, promptTokens, n, nil)
		if err != nil || got != n {
			t.Fatalf("%d of %d tokens: %v", got, n, err)
		}
		cost += uint64(promptTokens + n + len(r.Prefix))
		if paid := uint64(p.taken()); paid < cost*price || paid > (cost+16)*price || paid%price != 0 {
			t.Fatalf("%d paid for %d tokens at %d", paid, cost, price)
		}
		// What was signed can be shown.
		shown, err := p.archive.Get(transcript.Name{Client: ledger.KeyOf(p.book.client), Session: bill.salt.Session()})
		if err != nil || shown.Verify(chain) != nil || len(shown.Answer()) != n {
			t.Fatalf("a transcript of %d tokens for %d: %v", len(shown.Answer()), n, err)
		}
		for i, c := range bill.seals.Signed() {
			if shown.Parts[i].Chunk != c {
				t.Fatalf("part %d is kept as another than the client has", i)
			}
		}
		if len(bill.seals.Signed()) != (n+ledger.ChunkTokens-1)/ledger.ChunkTokens {
			t.Errorf("%d parts signed of %d tokens", len(bill.seals.Signed()), n)
		}
	}
	if got, _ := p.payer.Spent(); got != p.taken() {
		t.Errorf("the client counts %d, the gating node has %d", got, p.taken())
	}
	if got, _ := p.gate.Earned(); got != p.taken() {
		t.Errorf("the gating node counts %d, and has %d", got, p.taken())
	}
	if most := int(cost/16) + 2*60; p.book.signed > most {
		t.Errorf("%d vouchers for %d tokens", p.book.signed, cost)
	}
}

// TestUnpaid: a client whose payments stop coming gets a window more and no
// token after it, and after some such answers nothing.
// TestTokensOfAVoucher: a voucher that says less tokens than it buys is refused.
func TestTokensOfAVoucher(t *testing.T) {
	p := newPair(t, true)
	r := prompt.Request{Model: expert.ModelID{3}}
	tab, err := p.gate.Open(ledger.KeyOf(p.book.client), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	due := ledger.Due{Gate: p.key, Model: ledger.Hash(r.Model), Epoch: 1, Session: newSession(), Tokens: 31, Cum: 32 * price}
	for _, short := range []bool{true, false} {
		v, err := p.book.Pay(t.Context(), due)
		if err != nil {
			t.Fatal(err)
		}
		if err := tab.Pay(firstPayment(ledger.Salt(newSession()), &v)); short != errors.Is(err, prompt.ErrUnpaid) {
			t.Errorf("%d tokens for the price of 32: %v", due.Tokens, err)
		}
		due.Tokens = 32
	}
}

func TestUnpaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, true)
		r := prompt.Request{Model: expert.ModelID{9}, Text: "x", MaxTokens: 200}
		got, _, err := p.answer(t.Context(), r, 1, 200, func(int) bool { return true })
		// One prompt token; 16 paid ahead, 16 on credit.
		if !errors.Is(err, prompt.ErrUnpaid) || got != 16+16-1 {
			t.Fatalf("%d tokens, %v", got, err)
		}
		var total int
		for range 20 {
			p.payer.Distrust(p.key, ledger.Hash(r.Model))
			got, _, err = p.answer(t.Context(), r, 1, 200, func(int) bool { return true })
			total += got
		}
		if got != 0 || !errors.Is(err, prompt.ErrUnpaid) || total > 5*31 {
			t.Errorf("%d tokens and %d in all, %v", got, total, err)
		}
	})
}

// TestFreeQuota: who pays nothing has a quota, and all of them one together.
func TestFreeQuota(t *testing.T) {
	p := newPair(t, false)
	r := prompt.Request{Model: expert.ModelID{9}, Text: "x", MaxTokens: 200}
	if got, _, err := p.answer(t.Context(), r, 10, 20, nil); err != nil || got != 20 {
		t.Fatalf("%d, %v", got, err)
	}
	if got, _, err := p.answer(t.Context(), r, 5, 20, nil); !errors.Is(err, prompt.ErrUnpaid) || got != 5 {
		t.Errorf("%d past the quota, %v", got, err)
	}
	all := 0
	for i := range byte(5) {
		p.payer.cfg.Self = ledger.Key{100 + i}
		got, _, err := p.answer(t.Context(), r, 5, 20, nil)
		if all += got; err != nil && !errors.Is(err, prompt.ErrBusy) {
			t.Error(err)
		}
	}
	if all == 0 || all > 60 {
		t.Errorf("%d tokens for free", all)
	}
}

// TestLimit: the purse's limit ends the answer with its reason.
func TestLimit(t *testing.T) {
	p := newPair(t, true)
	p.book.limit = 50 * price
	got, _, err := p.answer(t.Context(), prompt.Request{Model: expert.ModelID{9}, MaxTokens: 200}, 2, 200, nil)
	if !errors.Is(err, prompt.ErrUnpaid) || !errors.Is(err, ledger.ErrCap) || got < 16 || got > 50 {
		t.Errorf("%d tokens, %v", got, err)
	}
}

// TestSeals: a part that is not what came is found, whatever is wrong with it.
func TestSeals(t *testing.T) {
	gate := private(2)
	make := func() (s, c Seals) {
		s = Seals{Chain: chain, Gate: ledger.KeyOf(gate), Client: ledger.Key{1}, Model: ledger.Hash{9}, Salt: ledger.Salt{5}, Request: []byte("what was asked")}
		return s, s
	}
	tokens := []int32{1, 2, 3}
	s, c := make()
	if err := c.Take(s.Sign(9, tokens, true, 4, gate), 9, tokens, 4); err != nil {
		t.Fatal(err)
	}
	more := append(tokens, 4)
	if err := c.Take(s.Sign(9, more, true, 5, gate), 9, more, 4); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(k *ledger.Chunk){
		"tokens":  func(k *ledger.Chunk) { k.Tokens[0]++ },
		"chain":   func(k *ledger.Chunk) { k.Prev[0]++ },
		"place":   func(k *ledger.Chunk) { k.Index++ },
		"epoch":   func(k *ledger.Chunk) { k.Epoch += 2 },
		"client":  func(k *ledger.Chunk) { k.Client[0]++ },
		"session": func(k *ledger.Chunk) { k.Session[0]++ },
		"request": func(k *ledger.Chunk) { k.Prev = ledger.Salt{5}.Asked([]byte("what was not asked"), 9) },
		"length":  func(k *ledger.Chunk) { k.Prev = ledger.Salt{5}.Asked([]byte("what was asked"), 10) },
		"salt":    func(k *ledger.Chunk) { k.Prev = ledger.Salt{6}.Asked([]byte("what was asked"), 9) },
	} {
		s, c := make()
		var k ledger.Chunk
		if err := ledger.Decode(s.Sign(9, tokens, true, 4, gate), &k); err != nil {
			t.Fatal(err)
		}
		spoil(&k)
		k = k.Sign(chain, gate)
		if c.Take(ledger.Encode(&k), 9, tokens, 4) == nil {
			t.Errorf("wrong %s was taken", name)
		}
	}
	s, c = make()
	b := s.Sign(9, tokens, true, 4, gate)
	b[len(b)-1] ^= 1
	if err := c.Take(b, 9, tokens, 4); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("a wrong signature: %v", err)
	}
}

// TestNamesOnce: a client that gives one name to two answers gets one; both
// signed would be proof against an honest gate.
func TestNamesOnce(t *testing.T) {
	p := newPair(t, false)
	r := prompt.Request{Model: expert.ModelID{9}, Text: "x", MaxTokens: 2}
	first := firstPayment(ledger.Salt{7}, nil)
	for i := range 2 {
		tab, err := p.gate.Open(ledger.Key{1}, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = tab.Pay(first)
		if (i == 0) != (err == nil) || i == 1 && !errors.Is(err, prompt.ErrBadRequest) {
			t.Errorf("the %d. time: %v", i+1, err)
		}
		tab.Close()
	}
}

// TestTokensAlone: an answer that nothing could check is not taken for one that
// can be, unless the client let experts be left out.
func TestTokensAlone(t *testing.T) {
	gate := private(2)
	s := Seals{Chain: chain, Gate: ledger.KeyOf(gate), Client: ledger.Key{1}, Model: ledger.Hash{9}, Salt: ledger.Salt{5}, Request: []byte("what was asked")}
	c := s
	c.Exact = true
	tokens := []int32{1, 2, 3}
	if err := c.Take(s.Sign(9, tokens, true, 4, gate), 9, tokens, 4); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("taken: %v", err)
	}
}

// TestDebts: a gating node that sends receipts is served for ever, one that
// sends none, too small ones, or has no bond, is not.
func TestDebts(t *testing.T) {
	gate, holder := private(2), ledger.Key{7}
	for name, tt := range map[string]struct {
		backed bool
		share  uint64 // of the work in receipts, in quarters
		served bool
	}{"honest": {true, 4, true}, "silent": {true, 0, false}, "short": {true, 2, false}, "unbonded": {false, 4, false}} {
		now := time.Unix(1, 0)
		stub := newBook(gate)
		d := NewDebts(DebtsConfig{Self: holder, Stub: stub, Backed: func(ledger.Key) bool { return tt.backed }, Now: func() time.Time { return now }})
		from := ledger.KeyOf(gate)
		var rows, done uint64
		refused := false
		for range 2000 {
			if err := d.Admit(from); err != nil {
				if !errors.Is(err, expert.ErrOverloaded) {
					t.Error(err)
				}
				refused = true
				break
			}
			rows += 64
			d.Served(from, 64)
			now = now.Add(ReceiptEvery / 2)
			if units := rows * tt.share / 4; units > done {
				done = units
				r := ledger.Receipt{Gate: from, Holder: holder, Epoch: 1, Units: units}.Sign(chain, gate)
				if err := d.Receipt(from, ledger.Encode(&r)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if refused == tt.served {
			t.Errorf("%s: refused %v after %d rows, %d owed", name, refused, rows, d.Owed(from))
		}
		r := ledger.Receipt{Gate: from, Holder: ledger.Key{8}, Epoch: 1, Units: 5}.Sign(chain, gate)
		if d.Receipt(from, ledger.Encode(&r)) == nil {
			t.Errorf("%s: a receipt for another holder was taken", name)
		}
	}
}

// TestCredits: receipts cover all work, none of it twice.
func TestCredits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := private(2)
		till := newBook(gate)
		var mu sync.Mutex
		last := map[ledger.Key]uint64{}
		c := NewCredits(CreditsConfig{Till: till, Period: func(ledger.Hash) uint64 { return 1 }, Send: func(holder ledger.Key, b []byte) bool {
			var r ledger.Receipt
			if err := ledger.Decode(b, &r); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			last[holder] = r.Units
			return true
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		want := map[ledger.Key]uint64{}
		random := rand.New(rand.NewPCG(1, 9))
		for range 300 {
			holder, units := ledger.Key{byte(random.IntN(3))}, random.IntN(20)
			c.Add(holder, ledger.Hash{9}, units)
			want[holder] += uint64(units)
			time.Sleep(ReceiptEvery / 7) // of the bubble's clock
		}
		cancel()
		<-done
		for k, n := range want {
			if last[k] != n {
				t.Errorf("receipts for %d units, work of %d", last[k], n)
			}
		}
	})
}

func FuzzFirstPayment(f *testing.F) {
	v := ledger.Voucher{Tokens: 3, Cum: 4}.Sign(chain, private(1))
	f.Add(firstPayment(ledger.Salt{1}, &v))
	f.Add(firstPayment(ledger.Salt{1}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, v, err := parseFirst(b)
		if err == nil && string(firstPayment(id, v)) != string(b) {
			t.Errorf("%x is read as %v, %v", b, id, v)
		}
	})
}
