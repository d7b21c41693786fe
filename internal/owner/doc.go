// Package owner keeps a node from getting in the way of whoever owns the
// machine.
//
// # Nouns
//
// A [Sample] is what the machine is doing besides this node: processor load,
// free memory, battery, keyboard and mouse. A [State] says how much the node
// may do: [Active], all it was given; [Eased], half of its processors, and cold
// memory given back; [Paused], nothing for others; [Recovering], as Eased, for
// a while after a pause. [Machine] turns samples into states, with two thresholds for
// each quantity and times to wait, so that it does not flutter. A [Schedule]
// is when the node may work at all, a [Hold] the owner's own word: pause now.
//
// # Who owns what
//
// Machine, Schedule and Hold are plain data; time is an argument. [Sampler]
// reads the machine (/proc and /sys on Linux; on other systems what they tell
// cheaply) and belongs to one goroutine.
//
// # What it does not do
//
// It does not stop calls and frees no memory itself: who runs the node acts on
// the state. Nothing here kills or suspends anything.
package owner
