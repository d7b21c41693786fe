package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
)

// Entries of a leaderboard: by default, and at most.
const (
	defaultLeaders = 100
	maxLeaders     = 1000
)

// leaderboard answers GET /v1/leaderboard?limit=N.
func (s *Server) leaderboard(w http.ResponseWriter, r *http.Request) {
	most := defaultLeaders
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLeaders {
			s.fail(w, &apiError{status: http.StatusBadRequest, param: "limit", code: "invalid_value",
				message: fmt.Sprintf("limit is %.20q: want a number from 1 to %d", text, maxLeaders)})
			return
		}
		most = n
	}
	if s.cfg.Leaderboard == nil {
		s.fail(w, &apiError{status: http.StatusNotFound, code: "no_leaderboard", message: "this node does not count who did what"})
		return
	}
	s.reply(w, http.StatusOK, s.cfg.Leaderboard(most))
}
