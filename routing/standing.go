package routing

// Passed notes that an answer of the peer was checked and found right.
func (r *Router) Passed(p Peer) {
}

// Condemn excludes the peer, which was found to give wrong answers: it is
// planned no more until it is forgiven, and its correctness drops.
func (r *Router) Condemn(p Peer, reason string) {
}

// Forgive ends an exclusion.
func (r *Router) Forgive(p Peer) {
}
