// Package node puts one node of the swarm together: the experts it holds, the
// models it gates, its place in the peer-to-peer network and its HTTP
// endpoint.
//
// [New] draws the graph of components and starts nothing. [Node.Run] owns
// every goroutine: it returns when all have ended, within ten seconds of the
// end of its context, after running answers were finished or handed over.
// [Node.View] is what /v1/swarm shows.
//
// Nothing is decided here. What a component does is told in its own package.
package node
