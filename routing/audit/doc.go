// Package audit checks the results that peers give, finds those who lie, and
// sees to it that no wrong result lasts.
//
// A [Case] is an answer under audit. An [Auditor] is one way to look at it:
// [Recompute] does the work again with this node's own weights, [Reference]
// does so in plain float64, [Second] asks another holder, and [Projection]
// asks the peer itself for the inner layer of some rows and tests it against
// secret random projections of the weights (Freivalds' check with Gaussian
// rows): 171 times fewer multiplications than the work itself for an expert of
// 2048 by 1024; rounding and activations included, about a third of its time
// (bench tolerance).
// What an auditor sees is a [Finding]: a relative error, in whichever arithmetic
// of honest computers fits best, so that a lie cannot hide in the difference
// between them. [Tolerances] say what an honest computer may
// differ by; [Finding.Grade] and [weigh] draw the conclusions; all three are
// pure.
//
// The [Inspector] is the shell. Its Check is a router's check: every answer of
// a peer that has not passed ten times in a row is audited before it is used,
// so that no wrong token comes from it. Later only a share is, see [Rate], and
// in the background; Watch gives each step a barrier that the engine calls
// before it draws a token: it waits for the audits of its step, and fails when one of
// them found a lie, so that the step is run again without the liar.
//
// # What is promised
//
// A peer that nobody knows gives no wrong token, as far as its lie is larger
// than twice the tolerance. A trusted one that begins to lie with a share q of
// its n-th answers is found after about 100/q of its answers (the least rate is
// 1 %), and until then its lies count: about 100 wrong answers, each in a layer
// of some token. The step in which it is found is repaired; earlier tokens
// stay as they were sent. A lie smaller than the difference between honest
// computers cannot be told from it, and harms as much.
//
// Nobody is condemned for one finding: a second auditor must agree. What lies
// between the tolerance and twice the tolerance condemns nobody. The evidence
// is kept as files, see [Evidence].
//
// Run owns the goroutines that audit in the background; without it they are
// done when Settle waits for them. Nothing here plans or sends expert calls;
// that is package routing.
package audit
