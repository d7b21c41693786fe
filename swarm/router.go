package swarm

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/p2p/net/nat"
)

// FindRouter looks for a router on this network that opens ports on request
// and tells what it found.
func FindRouter(ctx context.Context) (string, error) {
	router, err := nat.DiscoverNAT(ctx)
	if err != nil {
		return "", fmt.Errorf("no router opens ports: %w", err)
	}
	return "UPnP or NAT-PMP", router.Close()
}
