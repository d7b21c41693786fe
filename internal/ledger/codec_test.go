package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const chain = "test-1"

// person is an ed25519 key made from a number.
func person(i uint64) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("person"), i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// fill gives every field of a value something, by a seed.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
		if r, ok := v.Addr().Interface().(*ledger.Result); ok { // its path has one length
			r.Last = uint8(rng.IntN(ledger.MaxBundle))
			r.Place = uint8(rng.IntN(int(r.Last) + 1))
			r.Path = nil
			for range ledger.PathLen(int(r.Place), int(r.Last)+1) {
				r.Path = append(r.Path, ledger.Hash{byte(rng.Uint32())})
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Slice:
		n := 1 + rng.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		v.SetString("a name"[:1+rng.IntN(6)])
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 1)
	case reflect.Uint8: // the enumerations all allow 1 and 2
		v.SetUint(1 + rng.Uint64N(2))
	case reflect.Uint16:
		v.SetUint(rng.Uint64N(ledger.BpsOne))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(rng.Uint64() >> (64 - v.Type().Bits()))
	}
}

// messages are one of each kind.
func messages(rng *rand.Rand) []ledger.Msg {
	all := []ledger.Msg{
		new(ledger.Send), new(ledger.RegisterProvider), new(ledger.Heartbeat), new(ledger.Bond), new(ledger.Unbond),
		new(ledger.Deposit), new(ledger.RequestWithdraw), new(ledger.SettleEpoch), new(ledger.Claim), new(ledger.DisputeReceipt),
		new(ledger.Equivocation), new(ledger.OpenCase), new(ledger.CommitVerdict), new(ledger.RevealVerdict), new(ledger.AppealCase),
		new(ledger.CommitTally), new(ledger.UpdateParams), new(ledger.SetModel),
	}
	for _, m := range all {
		fill(rng, reflect.ValueOf(m).Elem())
		switch m := m.(type) {
		case *ledger.Equivocation:
			m.Results, m.Chunks = append(m.Results, m.Results[0])[:2], nil
		case *ledger.OpenCase:
			m.Results, m.Chunks = nil, m.Chunks[:1]
		}
	}
	return all
}

func TestMessagesComeBack(t *testing.T) {
	const seed = 7
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	for round := range 50 {
		for i, m := range messages(rng) {
			if int(m.Kind()) != i+1 {
				t.Fatalf("%T is of kind %d, want %d", m, m.Kind(), i+1)
			}
			b, err := ledger.EncodeMsg(m)
			if err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			got, err := ledger.DecodeMsg(b)
			if err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Fatalf("%T came back as\n%+v, was\n%+v", m, got, m)
			}
			if round > 0 {
				continue
			}
			for n := range b {
				if _, err := ledger.DecodeMsg(b[:n]); !errors.Is(err, ledger.ErrMalformed) {
					t.Fatalf("%T cut to %d of %d bytes: %v", m, n, len(b), err)
				}
			}
			if _, err := ledger.DecodeMsg(append(b, 0)); !errors.Is(err, ledger.ErrMalformed) {
				t.Fatalf("%T with a byte too many: %v", m, err)
			}
		}
	}
}

func records() []ledger.Record {
	return []ledger.Record{
		new(ledger.Voucher), new(ledger.Receipt), new(ledger.Result), new(ledger.Bundle), new(ledger.Chunk), new(ledger.Escrow), new(ledger.Params),
		new(ledger.Clock), new(ledger.Model), new(ledger.Provider), new(ledger.Committee), new(ledger.Work), new(ledger.Claimed),
		new(ledger.Settled), new(ledger.Case), new(ledger.Revenue), new(ledger.Tally), new(ledger.TallyRoot), new(ledger.Word), new(ledger.Count), new(ledger.Proof), new(ledger.Ask), new(ledger.Complaint),
	}
}

func TestRecordsComeBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 20 {
		for _, r := range records() {
			fill(rng, reflect.ValueOf(r).Elem())
			got := reflect.New(reflect.TypeOf(r).Elem()).Interface().(ledger.Record)
			if err := ledger.Decode(ledger.Encode(r), got); err != nil {
				t.Fatalf("%T: %v", r, err)
			}
			if !reflect.DeepEqual(got, r) {
				t.Fatalf("%T came back as\n%+v, was\n%+v", r, got, r)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, m := range messages(rand.New(rand.NewPCG(1, 1))) {
		b, err := ledger.EncodeMsg(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ledger.DecodeMsg(b)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := ledger.EncodeMsg(m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x (%v)", b, again, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	rng := rand.New(rand.NewPCG(2, 2))
	for i, r := range records() {
		fill(rng, reflect.ValueOf(r).Elem())
		f.Add(uint8(i), ledger.Encode(r))
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		all := records()
		r := all[int(i)%len(all)]
		if err := ledger.Decode(b, r); err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := ledger.Encode(r); !bytes.Equal(again, b) {
			t.Fatalf("%T %x encodes as %x", r, b, again)
		}
	})
}

func TestSizes(t *testing.T) {
	if n := len(ledger.Encode(new(ledger.Voucher))); n != ledger.VoucherSize {
		t.Errorf("a voucher has %d bytes, said %d", n, ledger.VoucherSize)
	}
	if n := len(ledger.Encode(new(ledger.Receipt))); n != ledger.ReceiptSize {
		t.Errorf("a receipt has %d bytes, said %d", n, ledger.ReceiptSize)
	}
	if n := len(ledger.Encode(new(ledger.Chunk))); n != ledger.ChunkSize {
		t.Errorf("a chunk has %d bytes, said %d", n, ledger.ChunkSize)
	}
	if n := len(ledger.Encode(&ledger.Ask{Kind: ledger.AskShow})); n > ledger.MaxAsk {
		t.Errorf("a request about an answer has %d bytes, %d allowed", n, ledger.MaxAsk)
	}
	if n := len(ledger.Encode(&ledger.Bundle{Said: make([]ledger.Said, ledger.MaxBundle)})); n != ledger.MaxBundleSize {
		t.Errorf("the longest bundle has %d bytes, said %d", n, ledger.MaxBundleSize)
	}
	full := &ledger.SettleEpoch{Tickets: make([]ledger.Ticket, ledger.MaxTickets), Close: true, Leaves: make([]ledger.Leaf, ledger.MaxLeaves)}
	if _, err := ledger.EncodeMsg(full); err != nil {
		t.Errorf("the largest settlement: %v", err)
	}
	full.Tickets = append(full.Tickets, ledger.Ticket{})
	if _, err := ledger.EncodeMsg(full); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a settlement past its limit: %v", err)
	}
}
