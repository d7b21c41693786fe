package engine

// ledger keeps account of users who have answers running or waiting, by name.
// Whose sequence runs next is decided by who was served least: fair queueing
// with a counter of rows per user, since the length of an answer is not known
// when it begins.
type ledger map[string]*account

// account of one user.
type account struct {
	places int     // answers running, waiting or being read
	served float64 // rows that went through the trunk
}

// enter opens an account where there is none. It begins with what the user
// served least has, so that nobody saves up turns by staying away.
func (l ledger) enter(user string) {
	a := l[user]
	if a == nil {
		a = &account{}
		first := true
		for _, other := range l {
			if first || other.served < a.served {
				a.served, first = other.served, false
			}
		}
		l[user] = a
	}
	a.places++
}

// leave closes an account with its last place.
func (l ledger) leave(user string) {
	if a := l[user]; a != nil {
		if a.places--; a.places <= 0 {
			delete(l, user)
		}
	}
}

func (l ledger) charge(user string, rows int) {
	if a := l[user]; a != nil {
		a.served += float64(rows)
	}
}

// places is the sum over all users.
func (l ledger) places() int {
	n := 0
	for _, a := range l {
		n += a.places
	}
	return n
}

func (l ledger) of(user string) account {
	if a := l[user]; a != nil {
		return *a
	}
	return account{}
}

// fairest is the index of the sequence to run next: the first of the user who
// was served least, the one who came first among equals. waiting is not empty.
func fairest(waiting []*sequence, l ledger) int {
	best := 0
	for i, s := range waiting {
		if l.of(s.user).served < l.of(waiting[best].user).served {
			best = i
		}
	}
	return best
}

// displaced is the index of the waiting sequence that makes room for a new one
// of a user: the latest of whoever has most places, and then still no fewer
// than that user with the new one. -1: there is none.
func displaced(waiting []*sequence, l ledger, user string) int {
	at, most := -1, l.of(user).places+1
	for i, s := range waiting {
		if n := l.of(s.user).places; n > most || at >= 0 && n == most {
			at, most = i, n
		}
	}
	return at
}

// share gives out total things to those who want so many of them each, in equal
// parts: what one leaves, others get. When there are fewer than takers, the
// first get one each.
func share(total int, want []int) []int {
	got := make([]int, len(want))
	open := make([]int, 0, len(want)) // takers who want more than they have
	for i, n := range want {
		if n > 0 {
			open = append(open, i)
		}
	}
	for total > 0 && len(open) > 0 {
		each := max(total/len(open), 1)
		rest := open[:0]
		for _, i := range open {
			n := min(each, want[i]-got[i], total)
			got[i] += n
			total -= n
			if got[i] < want[i] {
				rest = append(rest, i)
			}
		}
		open = rest
	}
	return got
}
