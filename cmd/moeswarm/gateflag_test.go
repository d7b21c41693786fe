package main

import (
	"flag"
	"io"
	"testing"
)

// TestGateFlag: --gate stays a boolean and takes auto.
func TestGateFlag(t *testing.T) {
	for arg, want := range map[string]gateFlag{
		"--gate": {on: true}, "--gate=true": {on: true}, "--gate=false": {}, "--gate=auto": {auto: true},
	} {
		var got gateFlag
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.Var(&got, "gate", "")
		if err := fs.Parse([]string{arg}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", arg, got, err)
		}
	}
	var g gateFlag
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Var(&g, "gate", "")
	if err := fs.Parse([]string{"--gate=perhaps"}); err == nil {
		t.Errorf("--gate=perhaps is %v", g)
	}
}
