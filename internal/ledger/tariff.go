package ledger

// Tariff is the most that a gate takes for a token of a model, as its heartbeat
// says. It is in force in epochs whose seats are drawn later, so that nobody
// changes it under an answer: a seat has it.
type Tariff struct {
	Model Hash
	Price Amount
}

func (t *Tariff) code(c *coder) { c.hash(&t.Model); c.amount(&t.Price) }

func tariffs(c *coder, all *[]Tariff) {
	list(c, all, MaxGated, 40, func(c *coder, t *Tariff) { t.code(c) })
}

// PriceOf is the most that a provider said it takes for a token of a model; 0: it
// said nothing.
func (p Provider) PriceOf(model Hash) Amount {
	for _, t := range p.Tariffs {
		if t.Model == model {
			return t.Price
		}
	}
	return 0
}

// Room is how many of the tokens that a gate was paid for make room for units of
// holders: as many as the money buys at the price of its seat. Tokens that cost
// less, say those of its own client, make as much less room. A price of 0 is none
// that anybody named, and then all count.
func (s Seat) Room(tokens uint64, paid Amount) uint64 {
	if s.Price == 0 {
		return tokens
	}
	return min(tokens, uint64(paid/s.Price))
}
