package bench

import (
	"context"
	"errors"
)

func wanProcesses(ctx context.Context, o Options) (Metrics, error) {
	return nil, errors.New("not yet")
}
