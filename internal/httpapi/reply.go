package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, e *apiError) {
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retry.Seconds()))))
	}
	s.reply(w, e.status, errorBody(w, e))
}

// reply answers with JSON.
func (s *Server) reply(w http.ResponseWriter, status int, v any) {
	text, err := encode(v)
	if err != nil {
		s.cfg.Log.Error("an HTTP answer cannot be written as JSON", "err", err)
		s.fail(w, &apiError{status: http.StatusInternalServerError, code: "internal_error", message: "the answer cannot be written as JSON"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if err := s.writer(w).write(text); err != nil {
		s.cfg.Log.Debug("an HTTP client did not take its answer", "err", err)
	}
}

// encode is json.Marshal with a final line feed, for people with curl, and
// without the escapes that only HTML needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// writer writes to a client that may read slowly or not at all.
type writer struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	within time.Duration // for one write
}

func (s *Server) writer(w http.ResponseWriter) *writer {
	return &writer{w, http.NewResponseController(w), s.cfg.Limits.WriteTime}
}

// write sends b now, or fails within the time. Between writes there is no
// deadline, since a stream may be silent for long.
func (w *writer) write(b []byte) error {
	// A server without deadlines, as in some tests, does not support these calls.
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.within))
	defer func() { _ = w.rc.SetWriteDeadline(time.Time{}) }()
	if _, err := w.w.Write(b); err != nil {
		return err
	}
	if err := w.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
