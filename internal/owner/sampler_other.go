//go:build !linux && !darwin

package owner

import (
	"errors"
	"time"
)

// Sampler knows nothing of this system.
type Sampler struct{}

// NewSampler returns one.
func NewSampler() *Sampler { return &Sampler{} }

// Sample says that nothing is known.
func (*Sampler) Sample(time.Time) Sample { return Unknown() }

// Nice is not known here.
func Nice(int) error { return errors.New("this system's priorities are not known") }
