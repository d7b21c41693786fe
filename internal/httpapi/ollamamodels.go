package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// ollamaModel is a model in the lists of /api/tags and /api/ps.
type ollamaModel struct {
	Name     string        `json:"name"`
	Model    string        `json:"model"`
	Modified string        `json:"modified_at,omitempty"`
	Expires  string        `json:"expires_at,omitempty"`
	Size     int64         `json:"size"` // not known: the swarm has it in parts
	Digest   string        `json:"digest"`
	Details  ollamaDetails `json:"details"`
}

// ollamaDetails is what is known of a model without having it.
type ollamaDetails struct {
	Format string `json:"format"`
}

// ollamaModels lists the models of the swarm.
func (s *Server) ollamaModels(more func(m *ollamaModel, e modelEntry)) any {
	all := []ollamaModel{}
	for _, e := range s.entries() {
		m := ollamaModel{Name: e.ID, Model: e.ID, Digest: e.Extra.ID, Details: ollamaDetails{"gguf"}}
		more(&m, e)
		all = append(all, m)
	}
	return struct {
		Models []ollamaModel `json:"models"`
	}{all}
}

func ollamaTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// tags answers GET /api/tags.
func (s *Server) tags(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, s.ollamaModels(func(m *ollamaModel, e modelEntry) { m.Modified = ollamaTime(time.Unix(e.Created, 0)) }))
}

// loaded answers GET /api/ps: what the swarm serves needs no loading, and is
// there for as long as it is announced.
func (s *Server) loaded(w http.ResponseWriter, _ *http.Request) {
	const announced = 5 * time.Minute // as long as Ollama keeps a model after its last use
	s.reply(w, http.StatusOK, s.ollamaModels(func(m *ollamaModel, _ modelEntry) { m.Expires = ollamaTime(time.Now().Add(announced)) }))
}

// show answers POST /api/show: clients ask it before they chat. What only the
// model's file tells is left out, since this node need not have it.
func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	body, done, fault := s.readBody(w, r)
	defer done()
	if fault != nil {
		s.fail(w, fault)
		return
	}
	var f struct{ Model, Name string } // Name: as it was called before
	if err := json.Unmarshal(body, &f); err != nil {
		s.fail(w, explain(badJSON(body, route{example: `{"model": "demo"}`}, err)))
		return
	}
	if f.Model == "" {
		f.Model = f.Name
	}
	id, err := s.resolve(strings.TrimSuffix(f.Model, ":latest"))
	if err != nil {
		s.fail(w, explain(err))
		return
	}
	s.reply(w, http.StatusOK, s.shown(id))
}

func (s *Server) shown(id expert.ModelID) any {
	type info struct {
		Name string `json:"general.name"`
		ID   string `json:"moeswarm.id"`
	}
	return struct {
		Details      ollamaDetails `json:"details"`
		Info         info          `json:"model_info"`
		Capabilities []string      `json:"capabilities"`
	}{ollamaDetails{"gguf"}, info{s.nameOf(id), id.String()}, []string{"completion", "tools"}}
}
