package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// minPrefix is how many digits of a model id stand for all of it, at least.
const minPrefix = 4

// maxNamed is how many models an error names.
const maxNamed = 8

// Resolve finds the model that a client names: by name, by id, or by the
// beginning of the id. The empty name stands for the only model. A whole id is
// taken as it is, since the swarm may serve more than this node has heard of.
// The error wraps prompt.ErrUnknownModel, or prompt.ErrBadRequest when several
// models fit.
func Resolve(models []Model, name string) (expert.ModelID, error) {
	if id, err := expert.ParseModelID(name); err == nil {
		return id, nil
	}
	fits := func(fit func(Model) bool) (found []Model) {
		for _, m := range models {
			if fit(m) {
				found = append(found, m)
			}
		}
		return found
	}
	found := fits(func(m Model) bool { return name == "" || m.Name == name })
	if len(found) == 0 && len(name) >= minPrefix {
		found = fits(func(m Model) bool { return strings.HasPrefix(m.ID.String(), strings.ToLower(name)) })
	}
	switch {
	case len(found) == 1:
		return found[0].ID, nil
	case len(found) > 1 && name == "":
		return expert.ModelID{}, fmt.Errorf("%w: the swarm serves several models; name one of %s", prompt.ErrBadRequest, nameSome(found))
	case len(found) > 1:
		return expert.ModelID{}, fmt.Errorf("%w: %.80q stands for several models; name one by its id: %s", prompt.ErrBadRequest, name, nameSome(found))
	case len(models) == 0:
		return expert.ModelID{}, fmt.Errorf("%w: the swarm serves no model that this node has heard of yet", prompt.ErrUnknownModel)
	default:
		return expert.ModelID{}, fmt.Errorf("%w: %.80q is not among those of the swarm: %s", prompt.ErrUnknownModel, name, nameSome(models))
	}
}

// nameSome names models for an error.
func nameSome(models []Model) string {
	var names []string
	for i, m := range models {
		if i == maxNamed {
			names = append(names, "…")
			break
		}
		names = append(names, strings.TrimSpace(m.Name+" "+m.ID.Short()))
	}
	return strings.Join(names, ", ")
}

// resolve asks Config.Resolve and gives its errors their status.
func (s *Server) resolve(name string) (expert.ModelID, error) {
	id, err := s.cfg.Resolve(name)
	if err == nil {
		return id, nil
	}
	e := explain(err)
	if e.status != http.StatusNotFound {
		e.status, e.code = http.StatusBadRequest, "bad_model"
	}
	e.param = "model"
	return id, e
}

// nameOf is how answers call a model: by its name, unless it has none or
// shares it, then by its id.
func (s *Server) nameOf(id expert.ModelID) string {
	models := s.cfg.Models()
	for i, m := range models {
		if m.ID == id {
			return names(models)[i]
		}
	}
	return id.String()
}

// names gives each model a name of its own.
func names(models []Model) []string {
	count := map[string]int{}
	for _, m := range models {
		count[m.Name]++
	}
	all := make([]string, len(models))
	for i, m := range models {
		if all[i] = m.Name; m.Name == "" || count[m.Name] > 1 {
			all[i] = m.ID.String()
		}
	}
	return all
}

// modelEntry is a model in JSON.
type modelEntry struct {
	ID      string     `json:"id"`
	Object  string     `json:"object"`
	Created int64      `json:"created"`
	OwnedBy string     `json:"owned_by"`
	Extra   modelExtra `json:"moeswarm"`
}

type modelExtra struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (s *Server) entries() []modelEntry {
	models := s.cfg.Models()
	data := make([]modelEntry, len(models))
	for i, name := range names(models) {
		m := models[i]
		data[i] = modelEntry{name, "model", m.Created.Unix(), "moeswarm", modelExtra{m.ID.String(), m.Name}}
	}
	return data
}

// models answers GET /v1/models.
func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, struct {
		Object string       `json:"object"`
		Data   []modelEntry `json:"data"`
	}{"list", s.entries()})
}

// model answers GET /v1/models/NAME.
func (s *Server) model(w http.ResponseWriter, r *http.Request) {
	id, err := s.resolve(strings.TrimPrefix(r.URL.Path, "/v1/models/"))
	if err != nil {
		s.fail(w, explain(err))
		return
	}
	for _, e := range s.entries() {
		if e.Extra.ID == id.String() {
			s.reply(w, http.StatusOK, e)
			return
		}
	}
	s.fail(w, explain(fmt.Errorf("%w: %s is not among those of the swarm", prompt.ErrUnknownModel, id.Short())))
}

// swarm answers GET /v1/swarm.
func (s *Server) swarm(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, s.cfg.Swarm())
}

// healthz answers GET /healthz: 200 when the node can serve, else 503.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	ok, detail := s.cfg.Health()
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	s.reply(w, status, struct {
		OK     bool   `json:"ok"`
		Detail string `json:"detail,omitempty"`
	}{ok, detail})
}
