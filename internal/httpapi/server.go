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
	"sync/atomic"
	"time"
)

// Server answers HTTP requests. It is an http.Handler, so that it can be
// mounted elsewhere; Serve also sets the limits that a handler cannot.
type Server struct {
	cfg     Config                      // constant after New
	running chan struct{}               // holds one value per completion under way
	browser *http.CrossOriginProtection // constant after New
	access  *access
	bodies  atomic.Int64 // bytes of bodies being held
}

// New checks the configuration and fills defaults.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	access, err := newAccess(cfg.Keys, cfg.Origins, cfg.Rate)
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return &Server{
		cfg:     cfg,
		running: make(chan struct{}, cfg.Limits.Running),
		browser: http.NewCrossOriginProtection(),
		access:  access,
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
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w = plainErrors{w}
	}
	if err := s.guard(r); err != nil {
		s.fail(w, err)
		return
	}
	if s.cfg.Owner != nil && strings.HasPrefix(r.URL.Path, "/v1/owner/") {
		s.cfg.Owner.ServeHTTP(w, r)
		return
	}
	if s.cors(w, r) {
		return
	}
	method, answer, fault := s.route(r)
	if fault == nil && r.URL.Path != "/healthz" {
		fault = s.access.check(r)
	}
	if fault == nil && r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
		w.Header().Set("Allow", method)
		fault = &apiError{status: http.StatusMethodNotAllowed, code: "method_not_allowed",
			message: fmt.Sprintf("%s answers %s, not %.20q", r.URL.Path, method, r.Method)}
	}
	if fault == nil && method == http.MethodPost {
		fault = s.access.admit(r, time.Now())
	}
	if fault != nil {
		s.fail(w, fault)
		return
	}
	answer(w, r)
}

// route finds who answers a request.
func (s *Server) route(r *http.Request) (method string, answer http.HandlerFunc, fault *apiError) {
	for _, e := range s.routes() {
		if r.URL.Path == e.path || strings.HasSuffix(e.path, "/") && len(r.URL.Path) > len(e.path) && strings.HasPrefix(r.URL.Path, e.path) {
			return e.method, e.answer, nil
		}
	}
	var known []string
	for _, e := range s.routes() {
		known = append(known, e.method+" "+e.path)
	}
	return "", nil, &apiError{status: http.StatusNotFound, code: "unknown_route",
		message: fmt.Sprintf("no such route: %.80q; there are %s", r.URL.Path, strings.Join(known, ", "))}
}

// endpoint is one route. A path that ends in a slash stands for all that begin
// with it.
type endpoint struct {
	method, path string
	answer       http.HandlerFunc
}

func (s *Server) routes() []endpoint {
	get, post := http.MethodGet, http.MethodPost
	return []endpoint{
		{post, "/v1/chat/completions", s.chats},
		{post, "/v1/completions", s.completions},
		{post, "/v1/embeddings", s.embeddings},
		{post, "/api/chat", s.ollamaChat},
		{post, "/api/generate", s.generate},
		{post, "/api/show", s.show},
		{get, "/api/tags", s.tags},
		{get, "/api/ps", s.loaded},
		{get, "/api/version", s.ollamaVersion},
		{post, "/tokenize", s.tokenize},
		{post, "/detokenize", s.detokenize},
		{get, "/v1/models", s.models},
		{get, "/v1/models/", s.model},
		{get, "/v1/swarm", s.swarm},
		{get, "/v1/leaderboard", s.leaderboard},
		{get, "/healthz", s.healthz},
	}
}
