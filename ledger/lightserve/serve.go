// Package lightserve serves light clients of the chain over libp2p: blocks,
// proved records, and a way in for transactions. The protocol is that of
// package internal/ledger/light.
//
// A stranger gets what is cheap, within limits: a stream carries one request of
// bounded size, and there are only so many at once, in all and of one peer.
package lightserve

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// Chain is the node whose chain is served. An error that wraps light.ErrNone
// says that it does not have what was asked for.
type Chain interface {
	Info() light.Info
	// Block is a LightBlock in protobuf; height 0 is the newest.
	Block(ctx context.Context, height uint64) ([]byte, error)
	Record(ctx context.Context, q light.Question) (light.Record, error)
	// Submit returns when the transaction is in a block or refused.
	Submit(ctx context.Context, tx []byte) (light.Outcome, error)
	Genesis() ([]byte, error)
	// Report takes evidence of CometBFT in protobuf, if it holds.
	Report(ctx context.Context, evidence []byte) error
	// Events sends what light.ParseEvent reads, until ctx ends.
	Events(ctx context.Context) <-chan string
}

// Limits of a server.
const (
	maxStreams       = 512
	maxStreamsOfPeer = 64
	requestTime      = 10 * time.Second // to read a request or write an answer
	submitTime       = 10 * time.Minute // a transaction may wait for a block
)

// Server serves light clients.
type Server struct {
	chain Chain
	host  host.Host

	mu     sync.Mutex
	all    int
	ofPeer map[peer.ID]int
}

// Listen begins to serve at the multiaddrs, under the identity of key, until
// Close.
func Listen(key ed25519.PrivateKey, addrs []string, chain Chain) (*Server, error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(libp2p.Identity(identity), libp2p.ListenAddrStrings(addrs...), libp2p.UserAgent("moeswarm-ledger"))
	if err != nil {
		return nil, fmt.Errorf("listening for light clients: %w", err)
	}
	s := &Server{chain: chain, host: h, ofPeer: map[peer.ID]int{}}
	h.SetStreamHandler(light.Protocol, s.serve)
	return s, nil
}

// Addrs are the addresses at which the server can be reached, with /p2p/ID.
func (s *Server) Addrs() (all []string) {
	for _, a := range s.host.Addrs() {
		all = append(all, fmt.Sprintf("%s/p2p/%s", a, s.host.ID()))
	}
	return all
}

// Close ends all streams.
func (s *Server) Close() error { return s.host.Close() }

// enter counts a stream in, unless there are too many.
func (s *Server) enter(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.ofPeer[p] >= maxStreamsOfPeer {
		return false
	}
	s.all++
	s.ofPeer[p]++
	return true
}

func (s *Server) leave(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.ofPeer[p]--; s.ofPeer[p] == 0 {
		delete(s.ofPeer, p)
	}
}

func (s *Server) serve(stream network.Stream) {
	p := stream.Conn().RemotePeer()
	if !s.enter(p) {
		stream.Reset()
		return
	}
	defer s.leave(p)
	defer stream.Close()
	stream.SetReadDeadline(time.Now().Add(requestTime))
	kind, body, err := light.ReadFrame(stream, light.MaxRequest)
	if err != nil {
		stream.Reset()
		return
	}
	stream.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(context.Background(), submitTime)
	defer cancel()
	go func() { // a client that goes away need not be answered
		io.Copy(io.Discard, io.LimitReader(stream, 1))
		cancel()
	}()
	if kind == light.AskEvents {
		s.events(ctx, stream)
		return
	}
	answer, err := s.answer(ctx, kind, body)
	stream.SetWriteDeadline(time.Now().Add(requestTime))
	switch {
	case errors.Is(err, light.ErrNone):
		light.WriteFrame(stream, light.AnswerNone, nil)
	case err != nil:
		light.WriteFrame(stream, light.AnswerRefused, []byte(err.Error()))
	default:
		light.WriteFrame(stream, light.AnswerOK, answer)
	}
}

func (s *Server) answer(ctx context.Context, kind byte, body []byte) ([]byte, error) {
	switch kind {
	case light.AskInfo:
		return s.chain.Info().Encode(), nil
	case light.AskBlock:
		if len(body) != 8 {
			return nil, light.ErrWire
		}
		var height uint64
		for _, b := range body {
			height = height<<8 | uint64(b)
		}
		return s.chain.Block(ctx, height)
	case light.AskRecord:
		q, err := light.DecodeQuestion(body)
		if err != nil {
			return nil, err
		}
		r, err := s.chain.Record(ctx, q)
		return r.Encode(), err
	case light.AskSubmit:
		o, err := s.chain.Submit(ctx, body)
		return o.Encode(), err
	case light.AskGenesis:
		return s.chain.Genesis()
	case light.AskReport:
		return nil, s.chain.Report(ctx, body)
	}
	return nil, light.ErrWire
}

// events sends events until the client goes away.
func (s *Server) events(ctx context.Context, stream network.Stream) {
	for e := range s.chain.Events(ctx) {
		stream.SetWriteDeadline(time.Now().Add(requestTime))
		if light.WriteFrame(stream, light.AnswerOK, []byte(e)) != nil {
			return
		}
	}
}
