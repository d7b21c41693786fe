package ledger

// BudgetEpochs is how many epochs may be unsettled at once: the one that runs
// and the two in which the ones before it settle.
const BudgetEpochs = 3

// SettleEpochs is for how many epochs after one is over its vouchers count.
const SettleEpochs = BudgetEpochs - 1

// budgetPart is which part of the free escrow an epoch's budget is.
const budgetPart = 4

// Escrow is what a client set aside to pay for one model. An epoch's budget is
// fixed when it begins: a quarter of what is then neither reserved for earlier
// epochs nor on its way out. Reserved money is spent or comes free when the
// epoch's settlement ends, so whatever gates claim, in any order, is there.
//
// (A quarter of the whole escrow would not do: payments of older epochs, which
// were measured by an older and larger escrow, can come first.)
type Escrow struct {
	Balance  Amount
	Epoch    uint64               // of Budget[0]
	Budget   [BudgetEpochs]Amount // of Epoch, Epoch-1, Epoch-2
	Paid     [BudgetEpochs]Amount // of these
	Withdraw Amount               // on its way out
	Release  uint64               // the epoch in which it leaves
}

func (e *Escrow) code(c *coder) {
	c.amount(&e.Balance)
	c.u64(&e.Epoch)
	for i := range BudgetEpochs {
		c.amount(&e.Budget[i])
		c.amount(&e.Paid[i])
	}
	c.amount(&e.Withdraw)
	c.u64(&e.Release)
}

// At is the escrow as it stands in a later epoch if nothing happens.
func (e Escrow) At(epoch uint64) Escrow {
	for e.Epoch < epoch {
		before := e
		e.Epoch++
		e.Budget = [BudgetEpochs]Amount{0, e.Budget[0], e.Budget[1]}
		e.Paid = [BudgetEpochs]Amount{0, e.Paid[0], e.Paid[1]}
		held := e.Reserved() + e.Withdraw
		e.Budget[0] = (e.Balance - min(e.Balance, held)) / budgetPart
		if e.Budget == before.Budget && e.Paid == before.Paid {
			e.Epoch = epoch // nothing moves any more
		}
	}
	return e
}

// Reserved is what gates of open epochs may still claim.
func (e Escrow) Reserved() Amount {
	var sum Amount
	for i := range BudgetEpochs {
		sum += e.Budget[i] - e.Paid[i]
	}
	return sum
}

// BudgetOf is the budget of an open epoch and what of it is paid.
func (e Escrow) BudgetOf(epoch uint64) (budget, paid Amount, open bool) {
	if epoch > e.Epoch || e.Epoch-epoch >= BudgetEpochs {
		return 0, 0, false
	}
	i := e.Epoch - epoch
	return e.Budget[i], e.Paid[i], true
}

// Pay takes an amount out for an open epoch. The caller has checked that the
// budget covers it.
func (e *Escrow) Pay(epoch uint64, n Amount) {
	e.Balance -= n
	e.Paid[e.Epoch-epoch] += n
}
