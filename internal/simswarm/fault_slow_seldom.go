package simswarm

// SlowSeldom is factor times slower at a share p of the asks, drawn one by one:
// nothing announces it.
func SlowSeldom(factor, p float64, seed uint64) Fault {
	c := newChance(seed, seedSlow)
	return slowWhen(factor, func() bool { return c.hit(p) })
}
