package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/moeswarm/moeswarm/internal/httpapi"
	"github.com/moeswarm/moeswarm/internal/node"
)

// accessFlags say who may use the HTTP endpoint.
type accessFlags struct {
	keyFile, cert, key string
	origins            list
	rate               int
	insecure           bool
}

func (f *accessFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.keyFile, "api-key-file", "", "`file` of API keys, one a line; HTTP requests must then show one (Authorization: Bearer KEY)")
	fs.Var(&f.origins, "cors-origin", "`origin` of web pages, such as https://chat.example.org, that may use the endpoint from a browser, or *; may be repeated")
	fs.StringVar(&f.cert, "tls-cert", "", "PEM `file` of the certificate, and those that vouch for it, to serve HTTPS with")
	fs.StringVar(&f.key, "tls-key", "", "PEM `file` of the certificate's private key")
	fs.IntVar(&f.rate, "rate", 0, "completions a `minute` that each API key, or without keys each address, may ask for (default: any number)")
	fs.BoolVar(&f.insecure, "insecure", false, "let anybody use an endpoint that is not on loopback, or any web page, without an API key")
}

// set puts the flags into a configuration whose HTTP address is set.
func (f *accessFlags) set(cfg *node.Config) error {
	if f.keyFile != "" {
		text, err := os.ReadFile(f.keyFile)
		if err != nil {
			return fmt.Errorf("--api-key-file: %w", err)
		}
		if cfg.Keys, err = httpapi.ParseKeys(string(text)); err != nil {
			return usagef("--api-key-file %s: %w", f.keyFile, err)
		}
	}
	cfg.Origins, cfg.Rate = f.origins, f.rate
	if f.rate < 0 {
		return usagef("--rate %d: want a positive number", f.rate)
	}
	open := !f.insecure && len(cfg.Keys) == 0
	if open && !onLoopback(cfg.HTTP) {
		return usagef("--http %s would let anybody who reaches this machine use the node: give an --api-key-file, or say --insecure", cfg.HTTP)
	}
	for _, o := range f.origins {
		if open && o == "*" {
			return usagef("--cors-origin * would let every web page use the node: give an --api-key-file, or say --insecure")
		}
	}
	if (f.cert == "") != (f.key == "") {
		return usagef("--tls-cert and --tls-key go together")
	}
	if f.cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("--tls-cert: %w", err)
	}
	// HTTP/1.1 alone: the limits of the endpoint are those of connections.
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	return nil
}

// onLoopback tells whether only this machine reaches an address. A name is
// trusted only if it is localhost: what others mean is not ours to say.
func onLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
