package httpapi

import (
	"net/http"
	"testing"
)

func TestLeaderboard(t *testing.T) {
	url := serve(t, newFake("a"), func(c *Config) {
		c.Leaderboard = func(most int) any { return map[string]int{"most": most} }
	})
	none := serve(t, newFake("a"), func(*Config) {})
	for _, c := range []struct {
		url    string
		status int
		want   string
	}{
		{url + "/v1/leaderboard", 200, `{"most":100}` + "\n"},
		{url + "/v1/leaderboard?limit=7", 200, `{"most":7}` + "\n"},
		{url + "/v1/leaderboard?limit=0", 400, ""},
		{url + "/v1/leaderboard?limit=1001", 400, ""},
		{url + "/v1/leaderboard?limit=x", 400, ""},
		{none + "/v1/leaderboard", 404, ""},
	} {
		r, err := http.Get(c.url)
		if err != nil {
			t.Fatal(err)
		}
		body := readAll(t, r)
		r.Body.Close()
		if r.StatusCode != c.status || c.want != "" && body != c.want {
			t.Errorf("%s: %d %s", c.url, r.StatusCode, body)
		}
	}
}
