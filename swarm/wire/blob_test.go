package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

func sampleWant() Want {
	return Want{Kind: WantChunk, Hash: expert.Digest(model()), Offset: 0x0102030405, Length: MaxRange}
}

func TestBlobFramesRefuse(t *testing.T) {
	for name, w := range map[string]Want{
		"unknown kind":       {Kind: 3, Length: 1},
		"nothing":            {Kind: WantChunk},
		"too much":           {Kind: WantChunk, Length: MaxRange + 1},
		"part of a tree":     {Kind: WantTree, Offset: 1},
		"bytes of a tree":    {Kind: WantTree, Length: 1},
		"before the start":   {Kind: WantChunk, Offset: -1, Length: 1},
		"past every content": {Kind: WantManifest, Offset: maxBlobSize + 1, Length: 1},
	} {
		if _, err := ParseWant(AppendWant(nil, 1, w)[HeaderLen:]); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]Blob{"longer than the whole": {Size: 1, Data: []byte("xy")}, "no size": {Size: -1}} {
		if _, err := ParseBlob(AppendBlob(nil, 1, b)[HeaderLen:]); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ParseFrame(AppendBlob(nil, 1, Blob{Size: MaxTree, Data: make([]byte, MaxTree)})); err != nil {
		t.Errorf("the longest tree: %v", err)
	}
}

func FuzzParseWant(f *testing.F) {
	f.Add(AppendWant(nil, 1, sampleWant())[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		if w, err := ParseWant(body); err == nil && !bytes.Equal(AppendWant(nil, 1, w)[HeaderLen:], body) {
			t.Fatalf("other bytes for %+v", w)
		}
	})
}

func FuzzParseBlob(f *testing.F) {
	f.Add(AppendBlob(nil, 1, Blob{Size: 9, Data: []byte("xyz")})[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ParseBlob(body)
		if err == nil && !bytes.Equal(AppendBlob(nil, 1, x)[HeaderLen:], body) {
			t.Fatalf("other bytes for %+v", x)
		}
		if len(body) > MaxBody(KindBlob) {
			return
		}
		r := NewReader(bytes.NewReader(append(appendHeader(nil, KindBlob, 1, len(body)), body...)))
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		room := make([]byte, 0, 4)
		read, readErr := r.ReadBlob(room)
		if (err == nil) != (readErr == nil) || err == nil && (read.Size != x.Size || !bytes.Equal(read.Data, x.Data)) {
			t.Fatalf("read %+v, %v; parsed %+v, %v", read, readErr, x, err)
		}
		if readErr == nil && len(read.Data) > 0 && len(read.Data) <= cap(room) && &read.Data[0] != &room[:1][0] {
			t.Fatal("not read in place")
		}
	})
}
