package main

import (
	"fmt"
	"strconv"
)

// gateFlag is --gate: a boolean, or auto, where the node gates while the swarm
// has too few nodes that do.
type gateFlag struct{ on, auto bool }

func (g *gateFlag) String() string {
	if g.auto {
		return "auto"
	}
	return strconv.FormatBool(g.on)
}

// IsBoolFlag lets --gate stand alone.
func (g *gateFlag) IsBoolFlag() bool { return true }

func (g *gateFlag) Set(s string) error {
	if s == "auto" {
		*g = gateFlag{auto: true}
		return nil
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("want true, false or auto")
	}
	*g = gateFlag{on: on}
	return nil
}
