package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard refuses what a web page may do to a node on the machine, or in the
// network, of the person who reads it. The package doc says why.
func (s *Server) guard(r *http.Request) *apiError {
	if overLoopback(r) && !s.knownHost(r.Host) {
		return &apiError{status: http.StatusForbidden, code: "forbidden_host",
			message: fmt.Sprintf("this node does not go by the name %.80q: address it as localhost or by its IP address (a defence against DNS rebinding)", r.Host)}
	}
	if s.access.allows(r.Header.Get("Origin")) {
		return nil
	}
	if err := s.browser.Check(r); err != nil {
		return &apiError{status: http.StatusForbidden, code: "forbidden_origin",
			message: fmt.Sprintf("a page of another site (%.80q) may not post to this node from a browser", r.Header.Get("Origin"))}
	}
	return nil
}

// overLoopback tells whether the request came in over loopback. A node that
// listens elsewhere was told to, and may have any name there.
func overLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return !ok || addr.IP.IsLoopback()
}

// knownHost accepts every IP address: rebinding needs a name.
func (s *Server) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "" { // HTTP/1.0 may name none; browsers always do
		return true
	}
	return strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(s.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
