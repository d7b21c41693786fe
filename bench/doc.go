// Package bench runs named scenarios and reports them comparably: the same
// name, the same flat metrics, on whatever machine, as text or as one JSON
// object.
//
// A [Scenario] is a name, a line about it and a function from [Options] to a
// [Report]. Scenarios time the real thing: the engine's own code in this
// process, or real processes on loopback. Random-weight models of published
// shapes ([Options.Synthetic]) stand in for downloads.
//
// A scenario ends with everything it started; only synthetic model files stay,
// in the cache directory that its progress lines name, so that the next run
// need not make them again.
package bench
