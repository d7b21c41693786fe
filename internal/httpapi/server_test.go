package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

func TestRoutes(t *testing.T) {
	url := serve(t, newFake("a"), nil)
	for _, tc := range []struct {
		method, path string
		status       int
		allow, code  string
	}{
		{"GET", "/", 404, "", "unknown_route"},
		{"GET", "/v1/completions/", 404, "", "unknown_route"},
		{"POST", "/v1/chat", 404, "", "unknown_route"},
		{"GET", "/v1/chat/completions", 405, "POST", "method_not_allowed"},
		{"GET", "/v1/../healthz", 404, "", "unknown_route"},
		{"GET", "/v1/completions", 405, "POST", "method_not_allowed"},
		{"DELETE", "/v1/completions", 405, "POST", "method_not_allowed"},
		{"OPTIONS", "/v1/completions", 405, "POST", "method_not_allowed"},
		{"POST", "/v1/models", 405, "GET", "method_not_allowed"},
		{"PUT", "/v1/swarm", 405, "GET", "method_not_allowed"},
		{"POST", "/healthz", 405, "GET", "method_not_allowed"},
	} {
		r, err := http.NewRequest(tc.method, url+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("Allow"); got != tc.allow {
			t.Errorf("%s %s: Allow %q, want %q", tc.method, tc.path, got, tc.allow)
		}
		checkError(t, tc.method+" "+tc.path, resp, tc.status, "invalid_request_error", "", tc.code, "")
	}
	r, err := http.Head(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text := readAll(t, r); r.StatusCode != 200 || text != "" {
		t.Errorf("HEAD: %s, %q", r.Status, text)
	}
}

func TestModelsSwarmHealth(t *testing.T) {
	twin := Model{ID: expert.ModelID{0xde, 0xad, 1}, Name: "twin", Created: time.Unix(1800000000, 0)}
	twin2, nameless := twin, Model{ID: expert.ModelID{2}, Created: time.Unix(1, 0)}
	twin2.ID[31] = 7
	ok := true
	url := serve(t, newFake("a"), func(c *Config) {
		c.Models = func() []Model { return []Model{demo, twin, twin2, nameless} }
		c.Swarm = func() any { return map[string]int{"peers": 3} }
		c.Health = func() (bool, string) { return ok, "layer 2: experts 4-7 have no holder" }
	})
	get := func(path string, status int) string {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if r.StatusCode != status || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %v", path, r.Status, r.Header)
		}
		return readAll(t, r)
	}
	entry := func(m Model, id string) string {
		return fmt.Sprintf(`{"id":%q,"object":"model","created":%d,"owned_by":"moeswarm","moeswarm":{"id":"%v","name":%q}}`, id, m.Created.Unix(), m.ID, m.Name)
	}
	golden(t, get("/v1/models", 200), `{"object":"list","data":[`+entry(demo, "demo")+","+entry(twin, twin.ID.String())+","+
		entry(twin2, twin2.ID.String())+","+entry(nameless, nameless.ID.String())+"]}\n")
	golden(t, get("/v1/swarm", 200), `{"peers":3}`+"\n")
	golden(t, get("/healthz", 200), `{"ok":true,"detail":"layer 2: experts 4-7 have no holder"}`+"\n")
	ok = false
	golden(t, get("/healthz", 503), `{"ok":false,"detail":"layer 2: experts 4-7 have no holder"}`+"\n")
}

func TestDefaults(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Models = func() []Model { return nil } })
	for path, want := range map[string]string{
		"/v1/models": `{"object":"list","data":[]}` + "\n",
		"/v1/swarm":  "{}\n",
		"/healthz":   `{"ok":true}` + "\n",
	} {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		golden(t, readAll(t, r), want)
	}
	checkError(t, "no model", post(t, url, `{"prompt":"Hi"}`), 404, "invalid_request_error", "model", "model_not_found", "no model that this node has heard of")
}

func TestUnwritableSwarm(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Swarm = func() any { return make(chan int) } })
	r, err := http.Get(url + "/v1/swarm")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	checkError(t, "swarm", r, 500, "server_error", "", "internal_error", "JSON")
}

func TestResolve(t *testing.T) {
	a, b := Model{ID: expert.ModelID{0xab, 0xcd, 1}, Name: "one"}, Model{ID: expert.ModelID{0xab, 0xcd, 2}, Name: "two"}
	twin := Model{ID: expert.ModelID{3}, Name: "two"}
	for _, tc := range []struct {
		models []Model
		name   string
		want   expert.ModelID
		err    string
	}{
		{[]Model{a}, "", a.ID, ""},
		{[]Model{a, b}, "", expert.ModelID{}, "name one of one abcd01000000, two abcd02000000"},
		{nil, "", expert.ModelID{}, "no model"},
		{[]Model{a, b}, "two", b.ID, ""},
		{[]Model{a, b, twin}, "two", expert.ModelID{}, "several"},
		{[]Model{a, b}, "abcd02", b.ID, ""},
		{[]Model{a, b}, "ABCD02", b.ID, ""},
		{[]Model{a, b}, "abcd", expert.ModelID{}, "several"},
		{[]Model{a}, "abc", expert.ModelID{}, "not among"},
		{[]Model{a, b}, a.ID.String(), a.ID, ""},
		{nil, twin.ID.String(), twin.ID, ""},
		{[]Model{a}, "three", expert.ModelID{}, "not among those of the swarm: one abcd01000000"},
		{make([]Model, 100), "three", expert.ModelID{}, "…"},
	} {
		got, err := Resolve(tc.models, tc.name)
		if got != tc.want || (tc.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: %v, %v", tc.name, got, err)
		}
	}
	url := serve(t, newFake("a"), func(c *Config) { c.Models = func() []Model { return []Model{a, b} } })
	checkError(t, "which", post(t, url, `{"prompt":"Hi"}`), 400, "invalid_request_error", "model", "bad_model", "name one of")
	checkError(t, "unknown", post(t, url, `{"prompt":"Hi","model":"gpt-4"}`), 404, "invalid_request_error", "model", "model_not_found", `"gpt-4"`)
}

func TestHostsAndOrigins(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Hosts = []string{"swarm.example"} })
	own := strings.TrimPrefix(url, "http://")
	for _, tc := range []struct {
		method, host, origin, site string
		status                     int
	}{
		{"GET", own, "", "", 200},
		{"GET", "localhost", "", "", 200},
		{"GET", "LOCALHOST.:1", "", "", 200},
		{"GET", "[::1]:8080", "", "", 200},
		{"GET", "[::1]", "", "", 200},
		{"GET", "192.168.1.5:8080", "", "", 200},
		{"GET", "Swarm.Example:8080", "", "", 200},
		{"GET", "evil.example", "", "", 403},
		{"GET", "127.0.0.1.evil.example:8080", "", "", 403},
		{"GET", "localhost.evil.example", "", "", 403},
		{"POST", "evil.example", "http://evil.example", "same-origin", 403},
		{"POST", own, "", "", 200},
		{"POST", own, "http://" + own, "same-origin", 200},
		{"POST", own, "http://" + own, "", 200},
		{"POST", own, "https://evil.example", "cross-site", 403},
		{"POST", own, "https://evil.example", "", 403},
		{"POST", own, "null", "", 403},
		{"POST", "localhost:8080", "http://localhost:3000", "same-site", 403},
		{"GET", own, "https://evil.example", "cross-site", 200}, // the browser keeps the answer from the page
	} {
		path, body := "/healthz", ""
		if tc.method == "POST" {
			path, body = "/v1/completions", `{"prompt":"Hi"}`
		}
		r, err := http.NewRequest(tc.method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tc.host
		for name, value := range map[string]string{"Origin": tc.origin, "Sec-Fetch-Site": tc.site} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text := readAll(t, resp)
		resp.Body.Close()
		if resp.StatusCode != tc.status || tc.status == 403 && !strings.Contains(text, `"code":"forbidden_`) {
			t.Errorf("%+v: %s, %s", tc, resp.Status, text)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%+v: other sites may read the answer", tc)
		}
	}
}

// A node that listens beyond loopback goes by any name.
func TestHostBeyondLoopback(t *testing.T) {
	s, err := New(Config{Completer: newFake("a"), Models: func() []Model { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]int{"192.168.1.5": 200, "127.0.0.1": 403, "::1": 403} {
		r := httptest.NewRequest("GET", "http://node.example/healthz", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.ParseIP(ip), Port: 80})))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("over %s: status %d, want %d", ip, w.Code, want)
		}
	}
}

func TestRunningLimit(t *testing.T) {
	f := newFake("a")
	f.gate = make(chan struct{})
	url := serve(t, f, func(c *Config) { c.Limits.Running = 1 })
	first := make(chan *http.Response, 1)
	go func() {
		r, err := http.Post(url+"/v1/completions", "", strings.NewReader(`{"prompt":"First."}`))
		if err != nil {
			t.Error(err)
		}
		first <- r
	}()
	wait(t, "the first request", f.seen)
	r := post(t, url, `{"prompt":"Second."}`)
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	checkError(t, "second", r, 429, "rate_limit_error", "", "busy", "1 completions under way")
	close(f.gate)
	r = wait(t, "the first answer", first)
	readAll(t, r)
	r.Body.Close()
	if r := post(t, url, `{"prompt":"Third."}`); r.StatusCode != 200 {
		t.Errorf("after the first had ended: %s", r.Status)
	}
}

func TestConnsLimit(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Limits.Conns = 1 })
	ask := func(c net.Conn) chan string {
		status := make(chan string, 1)
		go func() {
			fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			status <- fmt.Sprintf("%.12s %v", line, err)
		}()
		return status
	}
	const good = "HTTP/1.1 200 <nil>"
	a := dial(t, url)
	if got := wait(t, "the first answer", ask(a)); got != good {
		t.Fatal(got)
	}
	second := ask(dial(t, url)) // connected by the kernel, not accepted
	if got := wait(t, "the first connection's second answer", ask(a)); got != good {
		t.Fatal(got)
	}
	select {
	case got := <-second:
		t.Fatalf("a second connection was served: %s", got)
	default:
	}
	a.Close()
	if got := wait(t, "the second answer", second); got != good {
		t.Fatal(got)
	}
}

func TestShutdownLetsAnswersEnd(t *testing.T) {
	f := newFake("one", "two")
	f.gate = make(chan struct{})
	url, stop := serveUntil(t, f, func(c *Config) { c.Limits.Grace = time.Minute })
	r := post200(t, url, f)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	for { // until no new connection is accepted
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(f.gate)
	if got := readAll(t, r); !strings.HasSuffix(got, "data: [DONE]\n\n") {
		t.Errorf("the answer ended with %s", got)
	}
	wait(t, "the end of Serve", stopped)
}

func TestShutdownEndsLongAnswers(t *testing.T) {
	for _, stream := range []bool{true, false} {
		f := newFake("one", "two")
		f.gate = make(chan struct{})
		url, stop := serveUntil(t, f, nil)
		if stream {
			r := post200(t, url, f)
			stop()
			if got := readAll(t, r); !strings.Contains(got, `"code":"shutting_down"`) || strings.Contains(got, "[DONE]") {
				t.Errorf("the stream ended with %s", got)
			}
		} else {
			got := make(chan string, 1)
			go func() {
				r, err := http.Post(url+"/v1/completions", "", strings.NewReader(`{"prompt":"Hi"}`))
				if err != nil {
					got <- err.Error()
					return
				}
				defer r.Body.Close()
				b, _ := io.ReadAll(r.Body)
				got <- r.Status + string(b)
			}()
			wait(t, "the request", f.seen)
			stop()
			if text := wait(t, "the answer", got); !strings.HasPrefix(text, "503") || !strings.Contains(text, `"code":"shutting_down"`) {
				t.Errorf("the answer is %s", text)
			}
		}
		wait(t, "the end of the work", f.stopped)
	}
}

// post200 begins a stream and lets its first token through.
func post200(t *testing.T, url string, f *fake) *http.Response {
	t.Helper()
	got := make(chan *http.Response, 1)
	go func() {
		r, err := http.Post(url+"/v1/completions", "", strings.NewReader(`{"prompt":"Hi","stream":true}`))
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	f.gate <- struct{}{}
	r := wait(t, "the first token", got)
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func TestServeReportsABrokenListener(t *testing.T) {
	s, err := New(Config{Completer: newFake("a"), Models: func() []Model { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := s.Serve(t.Context(), ln); err == nil {
		t.Error("no error")
	}
}

func TestConfig(t *testing.T) {
	models := func() []Model { return nil }
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "must be set"},
		{Config{Completer: newFake()}, "must be set"},
		{Config{Completer: newFake(), Models: models, Limits: Limits{Body: -1}}, "Limits.Body is -1"},
		{Config{Completer: newFake(), Models: models, Limits: Limits{Grace: -time.Second}}, "Limits.Grace is -1s"},
	} {
		if _, err := New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("err %v, want one with %q", err, tc.want)
		}
	}
	s, err := New(Config{Completer: newFake(), Models: models})
	if err != nil || s.cfg.Limits.Body != 12<<20 || s.cfg.Limits.Grace != 8*time.Second {
		t.Errorf("%v, %+v", err, s.cfg.Limits)
	}
}
