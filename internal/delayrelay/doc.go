// Package delayrelay puts a slow network between real processes on one
// machine: a relay listens on loopback, passes each connection on to a target,
// and delivers the bytes as late as a link of package simswarm would.
//
// Each connection is a pair of peers whose round trip is drawn once. Bytes
// stay in order, as TCP keeps them: one chunk that is late holds up those
// behind it, which is also how a loss shows. A chunk is what one read gives,
// and half the round trip is added each way.
//
// Listen opens the port, Run moves the bytes and owns every goroutine.
package delayrelay
