package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/owner"
)

// ownerFlags is what the machine's owner allows, of "moeswarm node".
type ownerFlags struct {
	yield    string
	idleOnly time.Duration
	schedule string
	maxCPU   float64
	nice     int
}

// idleAfter is how long the owner must have been away for --idle-only.
const idleAfter = 5 * time.Minute

// niceLevel is how far a node steps back behind other programs by default:
// half of the way.
const niceLevel = 10

func (f *ownerFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.yield, "yield", "auto", "ease and pause while other programs need the machine: on, off, or auto (on, except with --ephemeral)")
	fs.Var(idleFlag{&f.idleOnly}, "idle-only", "work for others only while nobody has used the machine for 5 minutes, or for a given time (--idle-only=20m)")
	fs.StringVar(&f.schedule, "schedule", "", "`times` when to work for others, such as 'mon-fri 18:00-08:00,sat-sun 00:00-24:00' (default: always)")
	fs.Float64Var(&f.maxCPU, "max-cpu", 0, "compute with at most so many `percent` of all processors' time (default: no bound)")
	fs.IntVar(&f.nice, "nice", -1, "step back behind other programs by so many `levels`, 0 to 19; -1 for 10, or 0 with --ephemeral")
}

// idleFlag is a flag that may stand alone.
type idleFlag struct{ d *time.Duration }

func (i idleFlag) String() string   { return "" }
func (i idleFlag) IsBoolFlag() bool { return true }
func (i idleFlag) Set(s string) error {
	switch s {
	case "true":
		*i.d = idleAfter
		return nil
	case "false":
		*i.d = 0
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return fmt.Errorf("want a time such as 20m")
	}
	*i.d = d
	return nil
}

// apply checks the flags, makes them configuration, and steps back.
func (f ownerFlags) apply(cfg *node.Config, data string) (err error) {
	o := &cfg.Owner
	switch f.yield {
	case "on", "off":
		o.Yield = f.yield == "on"
	case "auto":
		o.Yield = data != ""
	default:
		return usagef("--yield %.20q: want on, off or auto", f.yield)
	}
	if o.Limits.IdleOnly = f.idleOnly; f.idleOnly > 0 && !o.Yield {
		return usagef("--idle-only needs --yield on")
	}
	if o.Schedule, err = owner.ParseSchedule(f.schedule); err != nil {
		return usagef("--%w", err)
	}
	if !(f.maxCPU >= 0 && f.maxCPU <= 100) {
		return usagef("--max-cpu %v: want a percentage from 1 to 100", f.maxCPU)
	}
	o.MaxCPU = f.maxCPU / 100
	level := f.nice
	if level < 0 {
		level = niceLevel
		if data == "" {
			level = 0
		}
	}
	if level > 19 {
		return usagef("--nice %d: want 0 to 19", level)
	}
	if level > 0 {
		if err := owner.Nice(level); err != nil {
			cfg.Log.Warn("the node's priority is as it was", "err", err)
		}
	}
	if data != "" {
		o.Token, err = owner.Token(data)
	}
	return err
}

func (p program) pause(ctx context.Context, args []string) error {
	fs := p.flags("pause", "pause [--for DURATION] [--node URL] [--data DIRECTORY]", `
  moeswarm pause
  moeswarm pause --for 1h
`)
	length := fs.Duration("for", 0, "resume by itself after this `time` (default: when told to)")
	ask := p.ownersNode(fs)
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	if *length < 0 {
		return usagef("--for %v: want a time from now on", *length)
	}
	if err := ask(ctx, owner.PausePath, map[string]float64{"for_s": length.Seconds()}); err != nil {
		return err
	}
	until := "until \"moeswarm resume\""
	if *length > 0 {
		until = "until " + time.Now().Add(*length).Format(time.TimeOnly)
	}
	_, err := fmt.Fprintf(p.stdout, "paused %s; prompts that enter at this node are still answered\n", until)
	return err
}

func (p program) resume(ctx context.Context, args []string) error {
	fs := p.flags("resume", "resume [--node URL] [--data DIRECTORY]", `
  moeswarm resume
`)
	ask := p.ownersNode(fs)
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	if err := ask(ctx, owner.ResumePath, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, "resumed")
	return err
}

// ownersNode adds flags that name a node of this user and returns what tells
// it something.
func (p program) ownersNode(fs *flag.FlagSet) func(ctx context.Context, path string, body any) error {
	url := fs.String("node", defaultNode, "`URL` of the node")
	data := fs.String("data", "", "the node's data `directory`, where the file is that proves you are its owner (default: as for \"moeswarm node\")")
	return func(ctx context.Context, path string, body any) error {
		dir, err := p.dataDir(*data)
		if err != nil {
			return err
		}
		token, err := owner.ReadToken(dir)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("no node has run with the data directory %s; name its directory with --data", dir)
		} else if err != nil {
			return err
		}
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, *url+path, bytes.NewReader(text))
		if err != nil {
			return usagef("--node %.80q: want something like %s", *url, defaultNode)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return fmt.Errorf("no node answers at %s: %w", *url, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusNoContent {
			return nil
		}
		var answer struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&answer) != nil || answer.Error.Message == "" {
			return fmt.Errorf("%s answers %s; is it a moeswarm node?", *url, resp.Status)
		}
		return errors.New(answer.Error.Message)
	}
}
