package httpapi

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"io"
	"net/http/httptest"
)

const secret = "0123456789abcdef"

// ask sends a request with headers and gives the answer.
func send(t *testing.T, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestKeys(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Keys = []string{"another key of 20", secret} })
	for _, tc := range []struct {
		path, header, value string
		status              int
		code                string
	}{
		{"/v1/models", "Authorization", "Bearer " + secret, 200, ""},
		{"/v1/models", "Authorization", "bearer  " + secret, 200, ""},
		{"/v1/models", "X-Api-Key", secret, 200, ""},
		{"/v1/models", "Api-Key", secret, 200, ""},
		{"/v1/models", "X", "", 401, "missing_api_key"},
		{"/v1/models", "Authorization", "Basic " + secret, 401, "missing_api_key"},
		{"/v1/models", "Authorization", "Bearer " + secret + "0", 401, "invalid_api_key"},
		{"/v1/swarm", "X", "", 401, "missing_api_key"},
		{"/v1/models/demo", "X", "", 401, "missing_api_key"},
		{"/healthz", "X", "", 200, ""},
	} {
		r := send(t, "GET", url+tc.path, "", tc.header, tc.value)
		if text := readAll(t, r); r.StatusCode != tc.status || !strings.Contains(text, tc.code) {
			t.Errorf("%s with %s %q: %s, %s", tc.path, tc.header, tc.value, r.Status, text)
		}
	}
	checkError(t, "a completion", send(t, "POST", url+"/v1/completions", `{"prompt":"Hi"}`), 401, "authentication_error", "", "missing_api_key", "API key")
}

func TestParseKeys(t *testing.T) {
	keys, err := ParseKeys("# ours\n" + secret + "\r\n\n  another-key-of-twenty \n")
	if err != nil || strings.Join(keys, " ") != secret+" another-key-of-twenty" {
		t.Errorf("%q, %v", keys, err)
	}
	for text, want := range map[string]string{"": "no key", "# x\n": "no key", "short\n": "line 1", secret + "\nwith blanks inside it\n": "line 2", secret + "é": "line 1"} {
		if _, err := ParseKeys(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add("# x\n" + secret)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		for _, k := range keys {
			if err != nil || len(k) < minKey || strings.ContainsAny(k, " \n\r#") && strings.HasPrefix(k, "#") {
				t.Errorf("key %q, %v", k, err)
			}
		}
	})
}

func TestOrigins(t *testing.T) {
	const page = "https://chat.example.org"
	url := serve(t, newFake("a"), func(c *Config) { c.Origins = []string{page} })
	r := send(t, "OPTIONS", url+"/v1/chat/completions", "", "Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization, x-stainless-lang")
	if r.StatusCode != 204 || r.Header.Get("Access-Control-Allow-Origin") != page || r.Header.Get("Access-Control-Allow-Headers") != "authorization, x-stainless-lang" || r.Header.Get("Vary") != "Origin" {
		t.Errorf("asked beforehand: %s, %v", r.Status, r.Header)
	}
	r = send(t, "POST", url+"/v1/completions", `{"prompt":"Hi"}`, "Origin", page, "Sec-Fetch-Site", "cross-site")
	if r.StatusCode != 200 || r.Header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("from the page: %s, %v", r.Status, r.Header)
	}
	r = send(t, "POST", url+"/v1/completions", `{"prompt":"Hi"}`, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	if r.StatusCode != 403 || r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("from another page: %s, %v", r.Status, r.Header)
	}
	r = send(t, "OPTIONS", url+"/v1/completions", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if r.StatusCode == 204 || r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another page asked beforehand: %s, %v", r.Status, r.Header)
	}
	for _, bad := range []string{"chat.example.org", "https://a.example/path", "::"} {
		if _, err := newAccess(nil, []string{bad}, 0); err == nil {
			t.Errorf("origin %q is accepted", bad)
		}
	}
}

// TestOriginsWithKeys: a browser asks beforehand without the key.
func TestOriginsWithKeys(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Keys, c.Origins = []string{secret}, []string{"*"} })
	if r := send(t, "OPTIONS", url+"/v1/completions", "", "Origin", "https://any.example", "Access-Control-Request-Method", "POST"); r.StatusCode != 204 {
		t.Errorf("asked beforehand: %s", r.Status)
	}
	if r := send(t, "POST", url+"/v1/completions", `{"prompt":"Hi"}`, "Origin", "https://any.example"); r.StatusCode != 401 {
		t.Errorf("without a key: %s", r.Status)
	}
}

// TestRate: each key has its own limit, which comes back with time.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := newAccess([]string{secret, "another key of 20"}, nil, 12)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(key string) *apiError {
			r := httptest.NewRequest("POST", "/v1/completions", nil)
			r.Header.Set("Authorization", "Bearer "+key)
			return a.admit(r, time.Now())
		}
		for range 2 { // a sixth of the minute's at once
			if e := ask(secret); e != nil {
				t.Fatal(e)
			}
		}
		e := ask(secret)
		if e == nil || e.status != 429 || e.retry != 5*time.Second || e.code != "rate_limit_exceeded" {
			t.Fatalf("the third at once: %+v", e)
		}
		if e := ask("another key of 20"); e != nil {
			t.Errorf("another key: %v", e)
		}
		time.Sleep(5 * time.Second)
		if e := ask(secret); e != nil {
			t.Errorf("after a while: %v", e)
		}
	})
}

func TestRateByAddress(t *testing.T) {
	a, err := newAccess(nil, nil, 6)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1, 0)
	ask := func(addr string) bool {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = addr
		return a.admit(r, now) == nil
	}
	if !ask("[2001:db8::1]:1") || ask("[2001:db8::2]:2") || !ask("[2001:db8:0:1::1]:1") || !ask("192.0.2.1:1") || ask("192.0.2.1:2") {
		t.Error("addresses of a network have one limit, others their own")
	}
	for i := range 2 * maxLimits {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = "192.0." + string(rune('0'+i%10)) + "." + time.Duration(i).String()
		a.admit(r, now)
	}
	if n := len(a.mu.limits); n > maxLimits {
		t.Errorf("%d limits are remembered", n)
	}
}

func TestRateOverHTTP(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) { c.Rate = 6 })
	post(t, url, `{"prompt":"Hi"}`)
	r := post(t, url, `{"prompt":"Hi"}`)
	if r.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", r.Header)
	}
	checkError(t, "too often", r, 429, "rate_limit_error", "", "rate_limit_exceeded", "6 requests a minute")
	if r := send(t, "GET", url+"/v1/models", ""); r.StatusCode != 200 {
		t.Errorf("a look-up counts: %s", r.Status)
	}
}

// TestLargeBodies: bodies of 10 MB pass, and together they do not take more
// memory than there is for them.
func TestLargeBodies(t *testing.T) {
	f := newFake("a")
	f.gate = make(chan struct{})
	url := serve(t, f, func(c *Config) { c.Limits.Bodies = 25 << 20 })
	large := `{"prompt":"` + strings.Repeat("x", 10<<20) + `"}`
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			r, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(large))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != 200 {
				t.Errorf("10 MB: %s, %v", r.Status, err)
			}
		})
	}
	for range 2 {
		if got := wait(t, "the request", f.seen); len(got.Text) != 10<<20 {
			t.Errorf("%d bytes came", len(got.Text))
		}
	}
	checkError(t, "a third", post(t, url, large), 429, "rate_limit_error", "", "busy", "take up")
	close(f.gate)
	wg.Wait()
	if r := post(t, url, large); r.StatusCode != 200 {
		t.Errorf("afterwards: %s", r.Status)
	}
	checkError(t, "13 MB", post(t, url, `{"prompt":"`+strings.Repeat("x", 13<<20)+`"}`), 413, "invalid_request_error", "", "request_too_large", "12582912 bytes")
}

func TestOneModel(t *testing.T) {
	url := serve(t, newFake("a"), nil)
	r := send(t, "GET", url+"/v1/models/demo", "")
	golden(t, readAll(t, r), `{"id":"demo","object":"model","created":1700000000,"owned_by":"moeswarm","moeswarm":{"id":"`+demo.ID.String()+`","name":"demo"}}`+"\n")
	checkError(t, "no such", send(t, "GET", url+"/v1/models/other", ""), 404, "invalid_request_error", "model", "model_not_found", "other")
}
