package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/ticket"
)

// useTicket adds what a ticket says to the flags. --join takes tickets, too.
func (f *nodeFlags) useTicket() error {
	var joins list
	tickets := list{}
	if f.ticket != "" {
		tickets = append(tickets, f.ticket)
	}
	for _, j := range f.join {
		if ticket.Is(j) {
			tickets = append(tickets, j)
		} else {
			joins = append(joins, j)
		}
	}
	f.join = joins
	for _, text := range tickets {
		t, err := ticket.Parse(text)
		if err != nil {
			return usagef("--ticket: %w", err)
		}
		f.join = append(f.join, t.Addrs...)
		id := expert.ModelID(t.Model)
		if (id != expert.ModelID{}) && len(f.models) == 0 {
			f.models = append(f.models, id.String())
		}
	}
	return nil
}

// byID finds out whether a model is to come in parts: its name is a whole id,
// and no file with that content was imported; or it came in parts before.
func byID(store *expert.Store, kept *content.Store, name string) (id expert.ModelID, ok bool) {
	if store != nil {
		if _, err := store.Find(name); err == nil {
			return id, false
		}
	}
	if id, err := expert.ParseModelID(strings.ToLower(name)); err == nil {
		return id, true
	}
	const least = 6 // digits that nobody takes for a file
	if kept == nil || len(name) < least {
		return id, false
	}
	var found []expert.ModelID
	for _, m := range kept.Models() {
		if strings.HasPrefix(m.ID().String(), strings.ToLower(name)) {
			found = append(found, m.ID())
		}
	}
	if len(found) != 1 {
		return id, false
	}
	return found[0], true
}

// openParts makes a model of what the content store has of it; the rest comes
// from peers once the node runs. The manifest comes now.
func (p program) openParts(ctx context.Context, cfg node.Config, id expert.ModelID) (node.Model, error) {
	if cfg.Content == nil {
		return node.Model{}, usagef("model %s comes from peers, which needs a place on disk; leave out --ephemeral", id.Short())
	}
	name := id.Short()
	man, ok := cfg.Content.Manifest(id)
	if !ok {
		if len(cfg.Join) == 0 && !cfg.MDNS && cfg.Rendezvous.Name == "" {
			return node.Model{}, usagef("model %s is not on this machine, and there is nobody to fetch it from; give --join or --ticket", id.Short())
		}
		p.say("looking for model %s", id.Short())
		var err error
		if man, name, err = node.FindManifest(ctx, cfg, id); err != nil {
			return node.Model{}, err
		}
		if err := cfg.Content.Keep(man); err != nil {
			return node.Model{}, err
		}
		p.say("model %s (%s): %d layers of %d experts, %.1f MB in all", name, id.Short(), man.Shape.Layers, man.Shape.Experts, float64(man.Bytes())/1e6)
	}
	m, err := expert.OpenParts(name, man, nil, expert.Options{})
	return node.Model{Name: name, Model: m}, err
}

// modelGC, modelVerify and modelRemove keep the content store tidy.
func (p program) modelGC(dir string) error {
	s, err := content.Open(dir, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	files, bytes, err := s.Garbage()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "removed %d files, %.1f MB; %.1f MB of %d models stay\n", files, float64(bytes)/1e6, float64(s.Used())/1e6, len(s.Models()))
	return nil
}

func (p program) modelVerify(ctx context.Context, dir string) error {
	s, err := content.Open(dir, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	progress := p.progress("verifying")
	entries := s.Entries(nil)
	var done, total int64
	for _, e := range entries {
		total += e.Size
	}
	bad := 0
	for _, e := range entries {
		err := s.Check(ctx, e.Hash)
		switch {
		case errors.Is(err, content.ErrAbsent):
			bad++
			fmt.Fprintf(p.stdout, "damaged and removed: %x, %d bytes\n", e.Hash, e.Size)
		case err != nil:
			return err
		}
		done += e.Size
		progress(done, total)
	}
	fmt.Fprintf(p.stdout, "%d blobs, %.1f MB: %d damaged\n", len(entries), float64(total)/1e6, bad)
	if bad > 0 {
		return errors.New("some parts were damaged; nodes fetch them again when they need them")
	}
	return nil
}

func (p program) modelRemove(dir, name string) error {
	s, err := content.Open(dir, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	id, ok := byID(nil, s, name)
	if !ok {
		return fmt.Errorf("%w: %.80q is no model that came in parts; \"moeswarm model list\" shows those", expert.ErrNoModel, name)
	}
	if err := s.Forget(id); err != nil {
		return err
	}
	files, bytes, err := s.Garbage()
	if err == nil {
		fmt.Fprintf(p.stdout, "forgot model %s and removed %d files, %.1f MB\n", id.Short(), files, float64(bytes)/1e6)
	}
	return err
}
