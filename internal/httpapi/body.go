package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// readBody reads a request's body within its limits of size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *apiError) {
	limit := s.cfg.Limits.Body
	tooLarge := &apiError{status: http.StatusRequestEntityTooLarge, code: "request_too_large",
		message: fmt.Sprintf("the body is larger than the %d bytes that this node accepts", limit)}
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	// How much room the body may need; it is given back when the request ends.
	room := r.ContentLength
	if room < 0 {
		room = limit
	}
	if s.bodies.Add(room) > s.cfg.Limits.Bodies {
		s.bodies.Add(-room)
		return nil, explain(fmt.Errorf("%w: the requests at hand take up the %d bytes that this node has for them", prompt.ErrBusy, s.cfg.Limits.Bodies))
	}
	context.AfterFunc(r.Context(), func() { s.bodies.Add(-room) })
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		// The deadline was for the body. From here on the connection is read to
		// notice a client that leaves, however long the answer takes.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, nil
	}
	w.Header().Set("Connection", "close") // the rest of the body is in the way of another request
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &apiError{status: http.StatusRequestTimeout, code: "request_timeout",
			message: fmt.Sprintf("the body did not arrive within %v", s.cfg.Limits.BodyTime)}
	}
	return nil, &apiError{status: http.StatusBadRequest, code: "bad_request", message: "the body cannot be read: " + err.Error()}
}
