// Package teller is the seam between NEURO and outside money.
//
// A [Teller] says what a NEURO costs in an outside currency, and looks at a
// proof that somebody paid: how many NEURO that is worth, once. It moves no
// coins and knows no exchange; who sends the coins is whoever runs the teller's
// other side, with a key of its own.
//
// Two implementations. [Files] reads prices and deposits from files that an
// operator, or a script of one, writes. [Webhook] asks an HTTP endpoint; both
// directions are signed with HMAC-SHA256 over a shared secret, so that neither a
// stranger nor an old answer passes.
//
// Money outside is counted in millionths of a currency's unit, and all
// conversions round down, against who is to get. Nothing here starts a
// goroutine; the clock is an argument.
package teller
