package main

import (
	"context"
	"crypto/rand"

	"github.com/moeswarm/moeswarm/swarm"
)

func (p program) swarmKey(_ context.Context, args []string) error {
	fs := p.flags("swarm-key", "swarm-key > FILE", `
  (umask 077; moeswarm swarm-key > swarm.key)
  moeswarm node --swarm-key swarm.key --model demo --gate
      give every node of the swarm a copy; nobody without it gets in
`)
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	_, err := p.stdout.Write(swarm.NewSwarmKey(random))
	return err
}
