package swarm

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
)

func TestDialerOpensStreams(t *testing.T) {
	const name = "/test/dialer/1"
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.SetStreamHandler(name, func(s network.Stream) {
		io.Copy(s, s)
		s.Close()
	})
	d, err := NewDialer(name)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := d.Open(ctx, h.Addrs()[0].String()+"/p2p/"+h.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	// Closing wakes who reads.
	read := make(chan error, 1)
	go func() {
		_, err := s.Read(got)
		read <- err
	}()
	s.Close()
	if err := <-read; err == nil {
		t.Error("a read of a closed stream succeeded")
	}
	if _, err := d.Open(ctx, "/ip4/127.0.0.1/tcp/1"); err == nil {
		t.Error("an address without an identity was taken")
	}
}
