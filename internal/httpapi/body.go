package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// readBody reads a request's body within its limits of size and time. Its room is
// given back by done, which is never nil: once the answer is written, and before the
// client has the end of it, so that its next request finds the room.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (body []byte, done func(), fault *apiError) {
	done = func() {}
	limit := s.cfg.Limits.Body
	tooLarge := &apiError{status: http.StatusRequestEntityTooLarge, code: "request_too_large",
		message: fmt.Sprintf("the body is larger than the %d bytes that this node accepts", limit)}
	if r.ContentLength > limit {
		return nil, done, tooLarge
	}
	// How much room the body may need.
	room := r.ContentLength
	if room < 0 {
		room = limit
	}
	if s.bodies.Add(room) > s.cfg.Limits.Bodies {
		s.bodies.Add(-room)
		return nil, done, explain(fmt.Errorf("%w: the requests at hand take up the %d bytes that this node has for them", prompt.ErrBusy, s.cfg.Limits.Bodies))
	}
	done = func() { s.bodies.Add(-room) }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		// The deadline was for the body. From here on the connection is read to
		// notice a client that leaves, however long the answer takes.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, done, nil
	}
	w.Header().Set("Connection", "close") // the rest of the body is in the way of another request
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, done, tooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, done, &apiError{status: http.StatusRequestTimeout, code: "request_timeout",
			message: fmt.Sprintf("the body did not arrive within %v", s.cfg.Limits.BodyTime)}
	}
	return nil, done, &apiError{status: http.StatusBadRequest, code: "bad_request", message: "the body cannot be read: " + err.Error()}
}
