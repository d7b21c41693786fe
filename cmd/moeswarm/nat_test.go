package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/node"
)

// internet is a small one in network namespaces: a public host and two homes,
// each a host behind a router that hides and shields it.
//
//	public 11.0.1.1 ─┬─ bridge
//	router 11.0.2.1 ─┤  … host 192.168.1.2
//	router 11.0.3.1 ─┘  … host 192.168.2.2
//
// The addresses count as public for whoever looks at them; nothing leaves the
// namespaces.
type internet struct {
	t      *testing.T
	prefix string
}

func newInternet(t *testing.T, name, masquerade string) *internet {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("network namespaces need Linux and root")
	}
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (Debian packages iproute2, nftables, procps)", tool)
		}
	}
	n := &internet{t: t, prefix: fmt.Sprintf("ms%d%s", os.Getpid(), name)}
	t.Cleanup(func() {
		for _, ns := range []string{"bridge", "public", "router1", "host1", "router2", "host2"} {
			_ = exec.Command("ip", "netns", "del", n.ns(ns)).Run()
		}
	})
	for _, ns := range []string{"bridge", "public", "router1", "host1", "router2", "host2"} {
		if out, err := exec.Command("ip", "netns", "add", n.ns(ns)).CombinedOutput(); err != nil {
			t.Skipf("this machine makes no network namespaces: %s", out)
		}
		n.in(ns, "ip link set lo up")
	}
	n.in("bridge", "ip link add br0 type bridge")
	n.in("bridge", "ip link set br0 up")
	n.attach("public", "11.0.1.1/8")
	for i := 1; i <= 2; i++ {
		router, host := fmt.Sprint("router", i), fmt.Sprint("host", i)
		n.attach(router, fmt.Sprintf("11.0.%d.1/8", i+1))
		n.in(router, "ip link add home0 type veth peer name up0 netns "+n.ns(host))
		n.in(router, fmt.Sprintf("ip addr add 192.168.%d.1/24 dev home0", i))
		n.in(router, "ip link set home0 up")
		n.in(host, fmt.Sprintf("ip addr add 192.168.%d.2/24 dev up0", i))
		n.in(host, "ip link set up0 up")
		n.in(host, fmt.Sprintf("ip route add default via 192.168.%d.1", i))
		n.in(router, "sysctl -qw net.ipv4.ip_forward=1")
		// What comes in unasked is dropped unseen, as routers at home do; if it
		// were refused, the refusal would stand in the way of the hole.
		n.in(router, `nft add table ip nat;
			add chain ip nat out { type nat hook postrouting priority 100; };
			add rule ip nat out oifname up0 masquerade `+masquerade+`;
			add table ip shield;
			add chain ip shield into { type filter hook input priority 0; };
			add rule ip shield into iifname up0 ct state new drop;
			add chain ip shield through { type filter hook forward priority 0; };
			add rule ip shield through iifname up0 ct state new drop`)
	}
	return n
}

func (n *internet) ns(name string) string { return n.prefix + name }

// in runs a command in a namespace.
func (n *internet) in(ns, command string) {
	n.t.Helper()
	args := append([]string{"netns", "exec", n.ns(ns)}, strings.Fields(command)...)
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("in %s: %s: %v\n%s", ns, command, err, out)
	}
}

// attach gives a namespace an address on the bridge.
func (n *internet) attach(ns, addr string) {
	n.t.Helper()
	n.in(ns, "ip link add up0 type veth peer name "+ns+" netns "+n.ns("bridge"))
	n.in("bridge", "ip link set "+ns+" master br0 up")
	n.in(ns, "ip addr add "+addr+" dev up0")
	n.in(ns, "ip link set up0 up")
}

// node starts a node in a namespace and gives the addresses of its ready line.
func (n *internet) node(ns string, args ...string) (addrs []string) {
	t := n.t
	t.Helper()
	args = append([]string{"netns", "exec", n.ns(ns), built(t), "node", "--yield", "off", "--mdns=false", "--data", filepath.Join(t.TempDir(), ns),
		"--listen", "/ip4/0.0.0.0/tcp/4160", "--listen", "/ip4/0.0.0.0/udp/4160/quic-v1"}, args...)
	cmd := exec.Command("ip", args...)
	log := &safeBuffer{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", ns, log)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, list, found := strings.Cut(strings.TrimSpace(line), "addr=")
	if err != nil || !found {
		t.Fatalf("%s is not ready: %q, %v\n%s", ns, line, err, log)
	}
	return strings.Split(list, ",")
}

// ask runs a command of the program in a namespace and decodes its output.
func (n *internet) ask(ns string, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.ns(ns), built(n.t)}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, &stderr)
	}
	return json.Unmarshal(stdout.Bytes(), into)
}

// await looks at what a node sees until it is as it should be.
func (n *internet) await(ns, what string, good func(node.View) bool) {
	n.t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(100 * time.Second)
	for {
		var v node.View
		err := n.ask(ns, &v, "status", "--json")
		if err == nil && good(v) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			n.t.Fatalf("%s: %s does not come about: %v, %+v", ns, what, err, v.Reach)
		}
	}
}

// TestBehindRouters: two nodes behind routers of their own, which know each
// other through a public one only, complete a prompt together: over a hole they
// punched where the routers let them, through the relay where they do not.
func TestBehindRouters(t *testing.T) {
	want := reference(t, prompts[0], 24)
	for name, tt := range map[string]struct{ masquerade, way string }{
		"cone":      {"", "direct"},
		"symmetric": {"random,fully-random", "relay"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t, name[:1], tt.masquerade)
			var join []string
			for _, a := range n.node("public") {
				if strings.HasPrefix(a, "/ip4/11.") {
					join = append(join, "--join", a)
				}
			}
			model := func(args ...string) []string {
				return append(append([]string{"--model", "demo"}, args...), join...)
			}
			n.node("host1", model("--gate", "--experts", "*:0-7")...)
			n.node("host2", model("--experts", "*:8-15")...)
			n.await("public", "a relay", func(v node.View) bool { return v.Reach.Relaying && v.Reach.Reachable == "public" })
			n.await("host1", "a "+tt.way+" way to the other home", func(v node.View) bool {
				settled := tt.way == "direct" && v.Reach.HolesPunched > 0 || tt.way == "relay" && v.Reach.PunchesFailed > 0
				return settled && v.Reach.Reachable == "private" && slices.ContainsFunc(v.Peers, func(p node.PeerView) bool {
					return p.Way == tt.way && len(p.Models) == 1
				})
			})
			var answer struct{ Tokens []int32 }
			if err := n.ask("host1", &answer, "run", "--node", "http://127.0.0.1:4180", "--json", "-n", "24", prompts[0]); err != nil {
				t.Fatal(err)
			}
			sameTokens(t, prompts[0], answer.Tokens, want)
		})
	}
}
