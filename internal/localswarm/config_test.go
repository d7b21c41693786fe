package localswarm

import (
	"slices"
	"testing"
)

func TestParseReady(t *testing.T) {
	r, err := parseReady("ready peer=12D3 http=http://127.0.0.1:1 addr=/ip4/127.0.0.1/tcp/2/p2p/12D3,/ip4/127.0.0.1/udp/3/quic-v1/p2p/12D3\n")
	if err != nil || r.peer != "12D3" || r.http != "http://127.0.0.1:1" || len(r.addrs) != 2 {
		t.Errorf("%+v %v", r, err)
	}
	for _, bad := range []string{"", "moeswarm: no", "ready peer=1 http=2", "ready  addr=1"} {
		if _, err := parseReady(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestConfig(t *testing.T) {
	good := Config{Exec: "x", Model: "demo", Hold: []string{"all"}}
	c, err := good.validate()
	if err != nil || c.Gates != 1 {
		t.Errorf("%+v %v", c, err)
	}
	for name, change := range map[string]func(*Config){
		"no binary":      func(c *Config) { c.Exec = "" },
		"no nodes":       func(c *Config) { c.Hold = nil },
		"too many":       func(c *Config) { c.Hold = make([]string, MaxNodes+1) },
		"too many gates": func(c *Config) { c.Gates = 2 },
	} {
		bad := good
		change(&bad)
		if _, err := bad.validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	args := c.args(&Node{Hold: "*:0-3", Gates: true}, nil, []string{"/a"})
	for _, want := range []string{"--ephemeral", "--while-stdin", "--gate", "*:0-3", "/a"} {
		if !slices.Contains(args, want) {
			t.Errorf("%q lacks %s", args, want)
		}
	}
	if entry := c.args(&Node{}, nil, nil); slices.Contains(entry, "--model") {
		t.Errorf("the entry is told of a model: %q", entry)
	}
}
