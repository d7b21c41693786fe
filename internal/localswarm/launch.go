package localswarm

import (
	"context"
	"errors"
)

// Launch starts one node by itself, listening on loopback, with further
// arguments, and returns when it is ready. Whoever launches it stops or kills
// it. Of the configuration Exec, Log and StartTime count.
func Launch(ctx context.Context, cfg Config, args ...string) (*Node, error) {
	cfg.Model, cfg.Hold = "none", []string{"none"} // what Launch does not use
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	n := &Node{}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTime, errors.New("a node was not ready in time"))
	defer cancel()
	a := []string{"node", "--while-stdin", "--mdns=false", "--http", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"}
	if err := n.run(ctx, cfg, append(a, args...)); err != nil {
		if n.cmd != nil {
			n.Kill()
		}
		return nil, err
	}
	return n, nil
}
