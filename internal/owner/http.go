package owner

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Routes of [Handler].
const (
	PausePath    = "/v1/owner/pause"
	ResumePath   = "/v1/owner/resume"
	ComplainPath = "/v1/owner/complain"
)

// maxPause bounds a pause with an end; longer ones have none.
const maxPause = 366 * 24 * time.Hour

// pauseBody is the body of a request to pause.
type pauseBody struct {
	ForS float64 `json:"for_s"` // seconds; 0: until resumed
}

// Handler lets the owner pause and resume the node over HTTP:
//
//	POST /v1/owner/pause   {"for_s": 3600}, or no body: until resumed
//	POST /v1/owner/resume
//	POST /v1/owner/complain   {"answer": "ID"}: have other gating nodes look at it
//
// with "Authorization: Bearer TOKEN". Requests that do not come over loopback
// are refused, whatever they carry. set is told what the owner said; complain, if
// it is not nil, of which answer.
func Handler(token string, set func(Hold), complain func(answer string) error) http.Handler {
	mux := http.NewServeMux()
	guard := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			ip := net.ParseIP(host)
			given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			switch {
			case err != nil || ip == nil || !ip.IsLoopback():
				refuse(w, http.StatusForbidden, "only from this machine")
			case token == "":
				refuse(w, http.StatusForbidden, "this node keeps nothing on disk, so it cannot know its owner; start it with --data")
			case !bearer || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1:
				refuse(w, http.StatusUnauthorized, "the owner's token is wrong; it is in the file "+TokenName+" of the node's data directory (--data)")
			default:
				h(w, r)
			}
		}
	}
	mux.HandleFunc("POST "+PausePath, guard(func(w http.ResponseWriter, r *http.Request) {
		var b pauseBody
		if r.ContentLength != 0 {
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&b); err != nil {
				refuse(w, http.StatusBadRequest, "the body is not {\"for_s\": SECONDS}")
				return
			}
		}
		if !(b.ForS >= 0 && b.ForS <= maxPause.Seconds()) {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("for_s: want 0 to %.0f seconds", maxPause.Seconds()))
			return
		}
		h := Hold{Paused: true}
		if b.ForS > 0 {
			h.Until = time.Now().Add(time.Duration(b.ForS * float64(time.Second)))
		}
		set(h)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("POST "+ResumePath, guard(func(w http.ResponseWriter, _ *http.Request) {
		set(Hold{})
		w.WriteHeader(http.StatusNoContent)
	}))
	if complain != nil {
		mux.HandleFunc("POST "+ComplainPath, guard(func(w http.ResponseWriter, r *http.Request) {
			var b struct {
				Answer string `json:"answer"`
			}
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&b); err != nil {
				refuse(w, http.StatusBadRequest, "the body is not {\"answer\": \"ID\"}")
				return
			}
			if err := complain(b.Answer); err != nil {
				refuse(w, http.StatusNotFound, err.Error())
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}))
	}
	return mux
}

// refuse answers with an error in the shape of the rest of the API.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": "owner", "code": "owner"}})
}
