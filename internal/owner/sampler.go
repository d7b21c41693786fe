package owner

// share is a part of a whole that both grew since they were last read, or -1
// when nothing can be said.
func share(part, whole float64) float64 {
	if whole <= 0 {
		return -1
	}
	return min(1, max(0, part/whole))
}
