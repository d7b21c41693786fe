package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/moeswarm/moeswarm/internal/ggml"
)

// release is the version in development or released.
const release = "0.1.0"

// version is the release and, where the build knows it, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	v := release
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v += "+" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			v += ".changed"
		}
	}
	return v
}

func (p program) version(_ context.Context, args []string) error {
	fs := p.flags("version", "version", `
  moeswarm version
`)
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "moeswarm %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	var words []string
	for _, f := range ggml.Features() {
		w := f.Name
		switch {
		case f.Built && !f.CPU:
			w += " (built in, CPU lacks it)"
		case !f.Built && f.CPU:
			w += " (CPU has it, not built in)"
		case !f.Built:
			w += " (no)"
		}
		words = append(words, w)
	}
	fmt.Fprintf(p.stdout, "kernels: %s\n", strings.Join(words, ", "))
	return p.checkCPU()
}
