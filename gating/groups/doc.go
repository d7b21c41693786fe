// Package groups says in how many groups sequences decode best where experts
// are far away.
//
// While one group's step waits for the experts of a layer, the trunk and the
// holders work for other groups. With few groups they idle; with many, each
// step has few rows to share the reading of weights, and steps wait for each
// other. Which number is best depends on what steps take by their rows
// ([Times]), on the network, and on how much steps slow each other down
// ([Sharing]), which nobody can know beforehand: whether holders compute beside
// the trunk or on its processors, and what else the machine does. So it is
// measured, by a [Meter], in the groups that there are, and carried over to other
// numbers of groups and sequences by one ratio, the overlap.
//
// [Possible] is what no choice of groups exceeds, to compare with.
//
// Everything here is arithmetic on what it is told. It takes no locks, starts
// nothing and reads no clock.
package groups
