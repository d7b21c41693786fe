package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/doctor"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/swarm"
)

// routerWait bounds the search for a router that opens ports, and for a node
// that runs already.
const routerWait = 12 * time.Second

func (p program) doctor(ctx context.Context, args []string) error {
	fs := p.flags("doctor", "doctor [--data DIR] [--http HOST:PORT] [--json]", `
  moeswarm doctor
  moeswarm doctor --json
`)
	data := fs.String("data", "", "`directory` of the node's data (default: moeswarm in the user's data directory)")
	http := fs.String("http", "127.0.0.1:4180", "`host:port` of the HTTP endpoint")
	port := fs.Int("port", 4160, "`port` that the node listens on, TCP and UDP")
	asJSON := fs.Bool("json", false, "print the answers as JSON objects, one a line")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	if *port < 1 || *port > 65535 {
		return usagef("--port %d: want 1 to 65535", *port)
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	checks, err := doctor.Examine(ctx, doctor.Config{
		Data: dir, HTTP: *http,
		Ports: []doctor.Port{{Network: "tcp", Address: fmt.Sprintf(":%d", *port)}, {Network: "udp", Address: fmt.Sprintf(":%d", *port)}},
		CPU:   kernels,
		Router: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, routerWait)
			defer cancel()
			return swarm.FindRouter(ctx)
		},
		Runs: func(ctx context.Context) bool {
			c, err := client.New("http://" + *http)
			if err != nil {
				return false
			}
			ctx, cancel := context.WithTimeout(ctx, routerWait)
			defer cancel()
			var health any
			return c.Get(ctx, "/healthz", &health) == nil
		},
	})
	if err != nil {
		return err
	}
	failed := 0
	for c := range checks {
		if c.State == doctor.Fail {
			failed++
		}
		if *asJSON {
			if err := json.NewEncoder(p.stdout).Encode(c); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(p.stdout, "%-4s  %-20s %s\n", c.State, c.Name, c.Detail)
		if c.Fix != "" {
			fmt.Fprintf(p.stdout, "      %-20s → %s\n", "", c.Fix)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed > 0 {
		return fmt.Errorf("%d things stand in the way of a node on this machine", failed)
	}
	return nil
}

// kernels tells how the build suits the machine.
func kernels() (fatal, slow, used string) {
	features := ggml.Features()
	fatal, slow = ggml.Advice(features)
	var names []string
	for _, f := range features {
		if f.Built {
			names = append(names, f.Name)
		}
	}
	if names == nil {
		names = []string{"no vector instructions"}
	}
	return fatal, slow, strings.Join(names, ", ")
}
