package owner

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestToken(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadToken(dir); err == nil {
		t.Error("a token where there is none")
	}
	a, err := Token(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Token(dir); err != nil || a != b || len(a) != 64 {
		t.Errorf("%q then %q, %v", a, b, err)
	}
	if info, err := os.Stat(filepath.Join(dir, TokenName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(filepath.Join(dir, TokenName), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(dir); err == nil {
		t.Error("a damaged token is taken")
	}
}

func TestHandler(t *testing.T) {
	var said []Hold
	complained := ""
	h := Handler("secret", func(h Hold) { said = append(said, h) }, func(answer string) error {
		complained = answer
		if answer == "none" {
			return errors.New("no such answer")
		}
		return nil
	})
	ask := func(path, token, from, body string) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.RemoteAddr = from
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	const here = "127.0.0.1:999"
	for _, c := range []struct {
		path, token, from, body string
		want                    int
	}{
		{PausePath, "secret", here, `{"for_s": 60}`, 204},
		{PausePath, "secret", "[::1]:9", "", 204},
		{ResumePath, "secret", here, "", 204},
		{PausePath, "secret", "192.0.2.1:9", "", 403},
		{PausePath, "wrong", here, "", 401},
		{ResumePath, "", here, "", 401},
		{PausePath, "secret", here, `{"for_s": -1}`, 400},
		{PausePath, "secret", here, `{"for_s": 1e12}`, 400},
		{PausePath, "secret", here, `nonsense`, 400},
		{ComplainPath, "secret", here, `{"answer": "5f"}`, 204},
		{ComplainPath, "wrong", here, `{"answer": "6f"}`, 401},
	} {
		if got := ask(c.path, c.token, c.from, c.body); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if len(said) != 3 || !said[0].Paused || time.Until(said[0].Until) > time.Minute || !said[1].Until.IsZero() || said[2].Paused {
		t.Errorf("%+v", said)
	}
	if complained != "5f" {
		t.Errorf("a complaint about %q", complained)
	}
	if got := ask(ComplainPath, "secret", here, `{"answer": "none"}`); got != 404 {
		t.Errorf("about no answer: %d", got)
	}
	none := Handler("", func(Hold) { t.Error("taken without a token") }, nil)
	r := httptest.NewRequest(http.MethodPost, PausePath, nil)
	r.RemoteAddr = here
	r.Header.Set("Authorization", "Bearer ")
	w := httptest.NewRecorder()
	none.ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("a node without a token answers %d", w.Code)
	}
}
