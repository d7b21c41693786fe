package simswarm

import "time"

// Network is a named kind of link, the same on every fabric.
type Network struct {
	Name string
	Link Link
}

// Networks are those that swarms of experts are compared over, from one
// machine to the Internet.
func Networks() []Network {
	return []Network{
		{"0ms", Link{}},
		{"0.25ms", Link{RTT: 250 * time.Microsecond, Jitter: 50 * time.Microsecond}},
		{"5ms", Link{RTT: 5 * time.Millisecond, Jitter: 500 * time.Microsecond}},
		{"30ms", Link{RTT: 30 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.001}},
	}
}
