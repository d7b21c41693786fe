package ledger_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func vouchers(n int) []ledger.Voucher {
	all := make([]ledger.Voucher, n)
	for i := range all {
		client := person(uint64(i))
		all[i] = ledger.Voucher{Client: ledger.KeyOf(client), Gate: ledger.Key{1}, Model: ledger.Hash{2}, Epoch: 9, Tokens: 16, Cum: ledger.Amount(i)}
		all[i].Session[0] = byte(i)
		all[i] = all[i].Sign(chain, client)
	}
	return all
}

// TestSignatureCoversEverything: a statement with any field changed, on another
// chain, or of another kind does not verify.
func TestSignatureCoversEverything(t *testing.T) {
	good := vouchers(1)[0]
	if err := ledger.Verify(chain, good); err != nil {
		t.Fatal(err)
	}
	if ledger.Verify("test-2", good) == nil {
		t.Error("good on another chain")
	}
	raw := ledger.Encode(&good)
	for i := 1; i < len(raw); i++ {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		var v ledger.Voucher
		if err := ledger.Decode(bad, &v); err == nil && ledger.Verify(chain, v) == nil {
			t.Fatalf("byte %d may be changed", i)
		}
	}
	gate := person(5)
	r := ledger.Receipt{Gate: ledger.KeyOf(gate), Holder: ledger.Key{3}, Epoch: 1, Units: 2, Passed: 3}.Sign(chain, gate)
	if ledger.Verify(chain, r) != nil {
		t.Error("a receipt does not verify")
	}
	r.Units++
	if ledger.Verify(chain, r) == nil {
		t.Error("a receipt verifies with more units")
	}
}

func TestBatchAgreesWithSingle(t *testing.T) {
	all := vouchers(64)
	all[7].Cum++
	all[40].Sig[3] ^= 4
	all[63].Client[0] ^= 1
	got := ledger.VerifyAll(chain, all)
	for i, v := range all {
		if want := ledger.Verify(chain, v) == nil; got[i] != want || want == (i == 7 || i == 40 || i == 63) {
			t.Errorf("voucher %d: batch says %v, alone %v", i, got[i], want)
		}
	}
	if len(ledger.VerifyAll(chain, all[:0])) != 0 {
		t.Error("verdicts on nothing")
	}
}

func TestContradictions(t *testing.T) {
	holder := person(1)
	a := ledger.Result{Holder: ledger.KeyOf(holder), Layer: 3, Rows: 4, Seq: 5, Input: ledger.Hash{1}, Output: ledger.Hash{2}}.Sign(chain, holder)
	b := a
	if a.Contradicts(b) {
		t.Error("a result contradicts itself")
	}
	b.Output[0]++
	if !a.Contradicts(b) {
		t.Error("two results of one call do not contradict")
	}
	b.Seq++
	if a.Contradicts(b) {
		t.Error("results of two calls contradict")
	}
	c := ledger.Chunk{Gate: ledger.Key{1}, Index: 1}
	d := c
	d.Routing[1]++
	if !c.Contradicts(d) || c.Contradicts(c) {
		t.Error("chunks at one place")
	}
}

func BenchmarkVoucherSign(b *testing.B) {
	client := person(1)
	v := vouchers(1)[0]
	b.ReportMetric(ledger.VoucherSize, "bytes")
	for b.Loop() {
		v.Sign(chain, client)
	}
}

func BenchmarkVoucherVerify(b *testing.B) {
	v := vouchers(1)[0]
	for b.Loop() {
		if ledger.Verify(chain, v) != nil {
			b.Fatal("does not verify")
		}
	}
}

func BenchmarkVoucherVerifyBatch1000(b *testing.B) {
	all := vouchers(1000)
	for b.Loop() {
		ledger.VerifyAll(chain, all)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/voucher")
}
