package routing

// line is a moving fit of y = base + slope × x: the time of something that
// has a fixed part and a part that grows with its size. It keeps moving means
// and covariances; the slope is drawn towards a prior while the sizes seen
// are too alike to tell (a ridge of spread² on the variance of x). At the
// sizes it has seen, it is simply the moving average of y.
type line struct {
	samples  int
	x, y     float64 // moving means
	xx, xy   float64 // moving variance of x, covariance of x and y
	slope0   float64 // the prior slope
	spread   float64 // sizes that differ by less say little about the slope
	baseline float64 // the prior base
}

// observe takes in a sample with weight alpha in (0, 1].
func (l *line) observe(x, y, alpha float64) {
	if l.samples++; l.samples == 1 {
		l.x, l.y = x, y
		return
	}
	dx, dy := x-l.x, y-l.y
	l.x += alpha * dx
	l.y += alpha * dy
	l.xx = (1 - alpha) * (l.xx + alpha*dx*dx)
	l.xy = (1 - alpha) * (l.xy + alpha*dx*dy)
}

// parts gives base and slope, both at least 0.
func (l *line) parts() (base, slope float64) {
	if l.samples == 0 {
		return l.baseline, l.slope0
	}
	ridge := l.spread * l.spread
	slope = max(0, (l.xy+l.slope0*ridge)/(l.xx+ridge))
	if slope*l.x > l.y { // the slope alone cannot explain more than was seen
		return 0, l.y / l.x
	}
	return l.y - slope*l.x, slope
}

// at is the time expected at size x.
func (l *line) at(x float64) float64 {
	base, slope := l.parts()
	return base + slope*x
}
