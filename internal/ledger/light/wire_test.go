package light

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func TestWireRoundTrips(t *testing.T) {
	info := Info{Chain: "c-1", Height: 9, GasPrice: 3, Consensus: "tcp:127.0.0.1:4"}
	if got, err := DecodeInfo(info.Encode()); err != nil || got != info {
		t.Errorf("%+v, %v", got, err)
	}
	q := Question{Height: 7, Store: "neuro", Key: []byte("params")}
	if got, err := DecodeQuestion(q.Encode()); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, r := range []Record{{Height: 5, Value: []byte("v"), InStore: []byte("a"), InState: []byte("bc")}, {Height: 5, InStore: []byte("a"), InState: []byte{}}} {
		if got, err := DecodeRecord(r.Encode()); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	o := Outcome{Height: 4, Code: 5, Codespace: "sdk", Text: "no", InBlock: []byte{1}, Result: []byte{2, 3}, InResults: []byte{}}
	if got, err := DecodeOutcome(o.Encode()); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("%+v, %v", got, err)
	}
	e := ledger.Event{Kind: ledger.EventSlashed, Height: 3, Epoch: 2, Peer: ledger.Key{1}, ID: ledger.Hash{2}, Amount: 5, Note: "why"}
	if got, err := ParseEvent(EventText(e)); err != nil || got != e {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFramesHaveLimits(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFrame(&b, AskSubmit, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	if _, _, err := ReadFrame(bytes.NewReader(whole), 99); err == nil {
		t.Error("a frame past the limit was read")
	}
	if _, _, err := ReadFrame(bytes.NewReader(whole[:50]), 100); err == nil {
		t.Error("half a frame was read")
	}
	if kind, body, err := ReadFrame(bytes.NewReader(whole), 100); err != nil || kind != AskSubmit || len(body) != 100 {
		t.Errorf("kind %d, %d bytes, %v", kind, len(body), err)
	}
}

// Whatever a peer sends, it is refused or means one thing.
func FuzzAnswers(f *testing.F) {
	f.Add(Info{Chain: "c", Consensus: "tcp:h:1"}.Encode())
	f.Add(Question{Height: 1, Store: "neuro", Key: []byte("k")}.Encode())
	f.Add(Record{Height: 5, Value: []byte("v"), InStore: []byte("a")}.Encode())
	f.Add(Outcome{Height: 4, Text: "no"}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := DecodeInfo(b); err == nil && !bytes.Equal(i.Encode(), b) {
			t.Errorf("info %+v", i)
		}
		if q, err := DecodeQuestion(b); err == nil && !bytes.Equal(q.Encode(), b) {
			t.Errorf("question %+v", q)
		}
		if r, err := DecodeRecord(b); err == nil {
			if !bytes.Equal(r.Encode(), b) {
				t.Errorf("record %+v", r)
			}
			if r.verify(make([]byte, 32), "neuro", []byte("k")) == nil {
				t.Error("a record was proved in no state")
			}
		}
		if o, err := DecodeOutcome(b); err == nil {
			if !bytes.Equal(o.Encode(), b) {
				t.Errorf("outcome %+v", o)
			}
			if o.verify([]byte("tx"), make([]byte, 32), make([]byte, 32)) == nil {
				t.Error("an outcome was proved in no block")
			}
		}
		ParseEvent(string(b))
		decodeBlock(b)
		proofOf(b)
		parseProposal(b)
		parseAccount(b)
	})
}

func TestRefusalsKeepTheirMeaning(t *testing.T) {
	for _, want := range refusals() {
		if err := refusal(Codespace, Code(want), "text"); !strings.Contains(err.Error(), "text") || Code(err) != Code(want) {
			t.Errorf("%v became %v", want, err)
		}
	}
}
