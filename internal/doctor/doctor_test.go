package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestJudgements(t *testing.T) {
	inUse := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	denied := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
	odd := errors.New("odd")
	tcp := Port{"tcp", ":4160"}
	for _, tt := range []struct {
		what  string
		check Check
		state State
		says  string
	}{
		{"good build", judgeCPU("", "", "avx2"), OK, "avx2"},
		{"slow build", judgeCPU("", "16 times slower", ""), Warn, "16 times"},
		{"wrong build", judgeCPU("lacks avx512", "", ""), Fail, "lacks"},
		{"all cores", judgeCores(4, 4), OK, "4"},
		{"few cores", judgeCores(4, 2), Warn, "GOMAXPROCS"},
		{"much memory", judgeMemory(ram{16 << 30, 8 << 30}, nil), OK, "4.0 GiB could hold"},
		{"little memory", judgeMemory(ram{4 << 30, 512 << 20}, nil), Warn, "few experts"},
		{"no memory", judgeMemory(ram{4 << 30, 1 << 20}, nil), Fail, "100 MB"},
		{"unknown memory", judgeMemory(ram{}, odd), Warn, "odd"},
		{"room", judgeSpace("/x", free{bytes: 9 << 30}), OK, "9.0 GiB free for /x"},
		{"no room", judgeSpace("/x", free{bytes: 1}), Warn, "--data"},
		{"quick disk", judgeDisk(speed{write: 1e9, read: 2e9}, nil), OK, "2.0 GB/s"},
		{"slow disk", judgeDisk(speed{write: 1e6, read: 2e9}, nil), Warn, "late"},
		{"no right to write", judgeDisk(speed{}, os.ErrPermission), Fail, "--data"},
		{"many files", judgeFiles(1<<20, nil), OK, "1048576"},
		{"few files", judgeFiles(256, nil), Warn, "ulimit"},
		{"small buffers", judgeBuffers(212992, nil), Warn, "rmem_max"},
		{"large buffers", judgeBuffers(8<<20, nil), OK, ""},
		{"other system", judgeBuffers(0, errors.ErrUnsupported), OK, "not checked"},
		{"free port", judgePort(tcp, nil, false), OK, "free"},
		{"our port", judgePort(tcp, inUse, true), OK, "node that runs"},
		{"taken port", judgePort(tcp, inUse, false), Fail, "--listen"},
		{"forbidden port", judgePort(tcp, denied, false), Fail, "--listen"},
		{"HTTP free", judgeHTTP("x", nil, false), OK, "free"},
		{"HTTP ours", judgeHTTP("x", inUse, true), OK, "node answers"},
		{"HTTP taken", judgeHTTP("x", inUse, false), Fail, "--http"},
		{"public", judgeAddresses([]string{"198.51.100.7"}, nil), OK, "198.51.100.7"},
		{"behind a router", judgeAddresses(nil, nil), OK, "relay"},
		{"router", judgeRouter("UPnP", nil), OK, "UPnP"},
		{"no router", judgeRouter("", odd), Warn, "--announce"},
	} {
		if tt.check.State != tt.state || !strings.Contains(tt.check.Detail+tt.check.Fix, tt.says) {
			t.Errorf("%s: %+v; want %s and %q", tt.what, tt.check, tt.state, tt.says)
		}
		if tt.check.State == Fail && tt.check.Fix == "" {
			t.Errorf("%s: fails without saying what to do", tt.what)
		}
	}
}

func config(t *testing.T) Config {
	return Config{
		Data: t.TempDir(), Ports: []Port{{"tcp", "127.0.0.1:0"}, {"udp", "127.0.0.1:0"}}, HTTP: "127.0.0.1:0",
		CPU:    func() (string, string, string) { return "", "", "none" },
		Router: func(context.Context) (string, error) { return "", errors.New("none") },
		Runs:   func(context.Context) bool { return false },
	}
}

// Every question is answered on this machine, and nothing is left behind.
func TestExamine(t *testing.T) {
	c := config(t)
	checks, err := Examine(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for check := range checks {
		if check.Name == "" || check.Detail == "" || seen[check.Name] {
			t.Errorf("%+v", check)
		}
		seen[check.Name] = true
	}
	if len(seen) < 11 {
		t.Errorf("%d questions were answered: %v", len(seen), seen)
	}
	if left, _ := os.ReadDir(c.Data); len(left) > 0 {
		t.Errorf("left in the data directory: %v", left)
	}
}

func TestExamineTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config(t)
	c.Ports = []Port{{"tcp", l.Addr().String()}}
	checks, err := Examine(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for check := range checks {
		if strings.HasPrefix(check.Name, "port ") && check.State != Fail {
			t.Errorf("a port in use: %+v", check)
		}
	}
}

func TestExamineStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	checks, err := Examine(ctx, config(t))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range checks {
		n++
		cancel()
	}
	if n != 1 {
		t.Errorf("%d questions were answered after the end", n-1)
	}
	if _, err := Examine(ctx, Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
}
