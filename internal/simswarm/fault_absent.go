package simswarm

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
)

// Absent is listed as a holder and is not there: each ask fails as soon as a
// message could be back.
func Absent() Fault {
	return func(expert.Applier) expert.Applier {
		return applier(func(_ context.Context, _ expert.Batch, calls []expert.Call) []expert.Result {
			return failed(len(calls), fmt.Errorf("%w: absent", expert.ErrUnreachable))
		})
	}
}
