package bench

import (
	"context"
	"errors"
)

func loopback(ctx context.Context, o Options) (Metrics, error) { return nil, errors.New("later") }
