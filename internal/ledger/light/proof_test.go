package light

import (
	"crypto/sha256"
	"slices"
	"testing"

	ics23 "github.com/cosmos/ics23/go"
)

// TestMissing: in a store of two records, the second without a value, keys before,
// between and after them are missing, and nothing else is shown to be.
func TestMissing(t *testing.T) {
	leaf := func(key, value string) *ics23.ExistenceProof {
		op := *ics23.IavlSpec.LeafSpec
		op.Prefix = []byte{0, 2, 2} // height 0, one record, version 1
		return &ics23.ExistenceProof{Key: []byte(key), Value: []byte(value), Leaf: &op}
	}
	b, d := leaf("b", "x"), leaf("d", "")
	sum := func(p *ics23.ExistenceProof) []byte {
		h, err := rootOver(&ics23.ExistenceProof{Key: p.Key, Value: p.Value, Leaf: p.Leaf})
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{sha256.Size}, h...)
	}
	above := []byte{2, 4, 2} // height 1, two records, version 1
	b.Path = []*ics23.InnerOp{{Hash: ics23.HashOp_SHA256, Prefix: append(slices.Clone(above), sha256.Size), Suffix: sum(d)}}
	d.Path = []*ics23.InnerOp{{Hash: ics23.HashOp_SHA256, Prefix: append(append(slices.Clone(above), sum(b)...), sha256.Size)}}
	root, err := b.Calculate()
	if err != nil {
		t.Fatal(err)
	}
	other := func(p *ics23.ExistenceProof, value string) *ics23.ExistenceProof {
		return &ics23.ExistenceProof{Key: p.Key, Value: []byte(value), Leaf: p.Leaf, Path: p.Path}
	}
	for name, c := range map[string]struct {
		left, right *ics23.ExistenceProof
		key         string
		want        bool
	}{
		"before":               {nil, b, "a", true},
		"between":              {b, d, "c", true},
		"after":                {d, nil, "e", true},
		"the first is there":   {b, d, "b", false},
		"the second is there":  {b, d, "d", false},
		"something is between": {nil, d, "a", false},
		"something is after":   {b, nil, "e", false},
		"outside":              {b, d, "e", false},
		"not its value":        {other(b, "y"), d, "c", false},
		"it has no value":      {b, other(d, "x"), "c", false},
		"its value left out":   {other(b, ""), d, "c", false},
		"nobody":               {nil, nil, "c", false},
	} {
		if got := missing(&ics23.NonExistenceProof{Left: c.left, Right: c.right}, root, []byte(c.key)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	root[0]++
	if missing(&ics23.NonExistenceProof{Left: b, Right: d}, root, []byte("c")) {
		t.Error("a proof of another store is taken")
	}
}
