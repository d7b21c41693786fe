package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// readBody reads a request's body within its limits of size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *apiError) {
	limit := s.cfg.Limits.Body
	tooLarge := &apiError{status: http.StatusRequestEntityTooLarge, code: "request_too_large",
		message: fmt.Sprintf("the body is larger than the %d bytes that this node accepts", limit)}
	if r.ContentLength > limit {
		return nil, tooLarge
	}
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
