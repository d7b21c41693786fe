package audit

// The rule of BOINC's adaptive replication: a worker's results are all checked
// until some number in a row was right, then ever fewer.
const (
	// trustAfter is how many answers in a row must have passed before a peer
	// is trusted.
	trustAfter = 10
	// leastRate is the share of answers that is audited for ever: a peer that
	// turns bad is found after about 100 answers, some tokens' worth, and 1 %
	// of the work is what the search costs.
	leastRate = 0.01
)

// Rate is the probability with which the next answer of a peer is audited
// whose last passes answers under audit have all passed.
func Rate(passes int) float64 {
	if passes < trustAfter {
		return 1
	}
	return max(1/float64(passes), leastRate)
}

// trusted says whether answers may be used before their audit is over.
func trusted(passes int) bool { return passes >= trustAfter }
