package gguf

import "testing"

// The sizes as ggml's headers state them (ggml-common.h, checked there by
// static assertions), typed by hand so as to catch a slip in the table.
func TestTypes(t *testing.T) {
	for _, c := range []struct {
		t             Type
		name          string
		values, bytes int
	}{
		{0, "F32", 1, 4}, {1, "F16", 1, 2}, {2, "Q4_0", 32, 18}, {3, "Q4_1", 32, 20}, {6, "Q5_0", 32, 22},
		{7, "Q5_1", 32, 24}, {8, "Q8_0", 32, 34}, {9, "Q8_1", 32, 36}, {10, "Q2_K", 256, 84}, {11, "Q3_K", 256, 110},
		{12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176}, {14, "Q6_K", 256, 210}, {15, "Q8_K", 256, 292},
		{16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74}, {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
		{20, "IQ4_NL", 32, 18}, {21, "IQ3_S", 256, 110}, {22, "IQ2_S", 256, 82}, {23, "IQ4_XS", 256, 136},
		{24, "I8", 1, 1}, {25, "I16", 1, 2}, {26, "I32", 1, 4}, {27, "I64", 1, 8}, {28, "F64", 1, 8},
		{29, "IQ1_M", 256, 56}, {30, "BF16", 1, 2}, {34, "TQ1_0", 256, 54}, {35, "TQ2_0", 256, 66}, {39, "MXFP4", 32, 17},
	} {
		if c.t.String() != c.name || c.t.BlockSize() != c.values || c.t.TypeSize() != c.bytes {
			t.Errorf("type %d is %v, %d values in %d bytes; want %s, %d in %d",
				uint32(c.t), c.t, c.t.BlockSize(), c.t.TypeSize(), c.name, c.values, c.bytes)
		}
		if got := c.t.RowBytes(3 * c.values); got != 3*c.bytes {
			t.Errorf("%v: a row of three blocks takes %d bytes, want %d", c.t, got, 3*c.bytes)
		}
		if c.values > 1 && c.t.RowBytes(c.values+1) != 0 {
			t.Errorf("%v: a row of a block and a bit has a size", c.t)
		}
	}
	known := 0
	for i := range Type(1000) {
		if i.Known() {
			known++
		}
	}
	if known != 32 {
		t.Errorf("%d known types, want 32", known)
	}
	if s := Type(4).String(); s != "type 4" {
		t.Errorf("a withdrawn type is called %q", s)
	}
}
