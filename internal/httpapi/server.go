package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Server answers HTTP requests. It is an http.Handler, so that it can be
// mounted elsewhere; Serve also sets the limits that a handler cannot.
type Server struct {
	cfg     Config                      // constant after New
	running chan struct{}               // holds one value per completion under way
	browser *http.CrossOriginProtection // constant after New
}

// New checks the configuration and fills defaults.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg:     cfg,
		running: make(chan struct{}, cfg.Limits.Running),
		browser: http.NewCrossOriginProtection(),
	}, nil
}

// lastWords is how long answers that were cut off at the end of the grace time
// have to tell their clients so.
const lastWords = time.Second

// Serve accepts connections from ln until ctx ends. Then it accepts no more,
// lets running answers go on for the grace time, ends them with an error, and
// returns nil when every connection is closed. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	base, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.cfg.Limits.HeaderTime,
		IdleTimeout:       s.cfg.Limits.IdleTime,
		MaxHeaderBytes:    s.cfg.Limits.Header,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state { // New comes on the goroutine that accepts, before the connection's own starts
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				conns.Done()
			}
		},
	}
	accepting := make(chan error, 1)
	go func() { accepting <- srv.Serve(limitConns(ln, s.cfg.Limits.Conns)) }()

	var failed error
	select {
	case err := <-accepting:
		failed = fmt.Errorf("accepting HTTP connections: %w", err)
		accepting <- err
	case <-ctx.Done():
	}
	if !shutdown(srv, s.cfg.Limits.Grace) {
		leave(errLeaving)
		shutdown(srv, lastWords)
	}
	_ = srv.Close() // what is still open now is not listening to us
	<-accepting
	conns.Wait()
	return failed
}

// shutdown tells whether all connections ended within the time.
func shutdown(srv *http.Server, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return !errors.Is(srv.Shutdown(ctx), context.DeadlineExceeded)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		// Also for a body that no handler reads: net/http reads on to its end.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.Limits.BodyTime))
	}
	if err := s.guard(r); err != nil {
		s.fail(w, err)
		return
	}
	if s.cfg.Owner != nil && strings.HasPrefix(r.URL.Path, "/v1/owner/") {
		s.cfg.Owner.ServeHTTP(w, r)
		return
	}
	get, post := http.MethodGet, http.MethodPost
	var method string
	var answer func(http.ResponseWriter, *http.Request)
	switch r.URL.Path {
	case "/v1/completions":
		method, answer = post, s.completions
	case "/v1/models":
		method, answer = get, s.models
	case "/v1/swarm":
		method, answer = get, s.swarm
	case "/healthz":
		method, answer = get, s.healthz
	default:
		s.fail(w, &apiError{status: http.StatusNotFound, code: "unknown_route",
			message: fmt.Sprintf("no such route: %.80q; there are POST /v1/completions, GET /v1/models, GET /v1/swarm, GET /healthz", r.URL.Path)})
		return
	}
	if r.Method != method && (method != get || r.Method != http.MethodHead) {
		w.Header().Set("Allow", method)
		s.fail(w, &apiError{status: http.StatusMethodNotAllowed, code: "method_not_allowed",
			message: fmt.Sprintf("%s answers %s, not %.20q", r.URL.Path, method, r.Method)})
		return
	}
	answer(w, r)
}
