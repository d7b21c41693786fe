package grammar

import (
	"math/big"
	"strings"
)

// space is the white space between the parts of JSON: none, a blank, or a line
// feed with an indent. Without a bound a model could say blanks for ever.
func (b *builder) space(next int32) int32 {
	return b.call("space", next, func(next int32) int32 {
		indent := b.repeat(0, 20, next, func(next int32) int32 { return b.bytes(next, ' ', ' ', '\t', '\t') })
		return b.either(next, b.text(" ", next), b.text("\n", indent))
	})
}

// char is one character inside a string: UTF-8, or an escape. Escapes of
// halves of characters beyond U+FFFF are left out.
func (b *builder) char(next int32) int32 {
	return b.call("char", next, func(next int32) int32 {
		tail := func(next int32) int32 { return b.bytes(next, 0x80, 0xbf) }
		hex := func(next int32) int32 { return b.bytes(next, '0', '9', 'a', 'f', 'A', 'F') }
		one := tail(next) // that many bytes of a character are left
		two := tail(one)
		three := tail(two)
		hex2 := hex(hex(next))
		code := b.either(
			b.bytes(hex(hex2), '0', '9', 'a', 'c', 'A', 'C', 'e', 'f', 'E', 'F'),
			b.bytes(b.bytes(hex2, '0', '7'), 'd', 'd', 'D', 'D'))
		escaped := b.bytes(next, '"', '"', '\\', '\\', '/', '/', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't')
		return b.either(
			b.bytes(next, 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7e),
			b.text(`\`, b.either(escaped, b.text("u", code))),
			b.bytes(one, 0xc2, 0xdf),
			b.bytes(b.bytes(one, 0xa0, 0xbf), 0xe0, 0xe0),
			b.bytes(two, 0xe1, 0xec, 0xee, 0xef),
			b.bytes(b.bytes(one, 0x80, 0x9f), 0xed, 0xed),
			b.bytes(b.bytes(two, 0x90, 0xbf), 0xf0, 0xf0),
			b.bytes(three, 0xf1, 0xf3),
			b.bytes(b.bytes(two, 0x80, 0x8f), 0xf4, 0xf4),
		)
	})
}

// str is a string of low to high characters; a negative high: any number.
func (b *builder) str(low, high int, next int32) int32 {
	if low == 0 && high < 0 {
		return b.call("string", next, func(next int32) int32 {
			return b.text(`"`, b.star(b.text(`"`, next), b.char))
		})
	}
	return b.text(`"`, b.repeat(low, high, b.text(`"`, next), b.char))
}

// digits are low or more decimal digits, 40 at most: a model that began to
// repeat one would not end.
func (b *builder) digits(low int, next int32) int32 {
	const most = 40
	return b.repeat(low, most, next, func(next int32) int32 { return b.bytes(next, '0', '9') })
}

func (b *builder) integer(next int32) int32 {
	return b.call("integer", next, func(next int32) int32 {
		return b.optional2("-", b.either(b.text("0", next), b.bytes(b.digits(0, next), '1', '9')))
	})
}

func (b *builder) number(next int32) int32 {
	return b.call("number", next, func(next int32) int32 {
		// Two digits of exponent: every such number is a float64.
		sign := func(next int32) int32 { return b.either(next, b.bytes(next, '+', '+', '-', '-')) }
		exponent := b.optional(next, func(next int32) int32 {
			return b.bytes(sign(b.repeat(1, 2, next, func(next int32) int32 { return b.bytes(next, '0', '9') })), 'e', 'e', 'E', 'E')
		})
		fraction := b.optional(exponent, func(next int32) int32 { return b.text(".", b.digits(1, next)) })
		return b.optional2("-", b.either(b.text("0", fraction), b.bytes(b.digits(0, fraction), '1', '9')))
	})
}

// optional2 goes on at next, with or without a text before.
func (b *builder) optional2(s string, next int32) int32 { return b.either(b.text(s, next), next) }

// between is an integer from low to high, nil for no bound.
func (b *builder) between(low, high *big.Int, next int32) int32 {
	var places []int32
	zero, one := big.NewInt(0), big.NewInt(1)
	if low == nil || low.Sign() < 0 { // -1 and below, written as a minus and the number without sign
		from := one
		if high != nil && high.Sign() < 0 {
			from = new(big.Int).Neg(high)
		}
		var to *big.Int
		if low != nil {
			to = new(big.Int).Neg(low)
		}
		places = append(places, b.text("-", b.natural(from, to, next)))
	}
	if high == nil || high.Sign() >= 0 {
		from := zero
		if low != nil && low.Sign() > 0 {
			from = low
		}
		places = append(places, b.natural(from, high, next))
	}
	return b.either(places...)
}

// natural is a whole number from low to high, none of them negative; a nil high
// means no bound.
func (b *builder) natural(low, high *big.Int, next int32) int32 {
	l := low.String()
	if high == nil {
		// As many digits as low has, or more.
		longer := b.bytes(b.digits(len(l), next), '1', '9')
		return b.either(b.sameLength(l, strings.Repeat("9", len(l)), next), longer)
	}
	h := high.String()
	if len(l) == len(h) {
		return b.sameLength(l, h, next)
	}
	places := []int32{b.sameLength(l, strings.Repeat("9", len(l)), next)}
	for n := len(l) + 1; n < len(h); n++ {
		places = append(places, b.bytes(b.repeat(n-1, n-1, next, func(next int32) int32 { return b.bytes(next, '0', '9') }), '1', '9'))
	}
	return b.either(append(places, b.sameLength("1"+strings.Repeat("0", len(h)-1), h, next))...)
}

// sameLength is a number of as many digits as both bounds have.
func (b *builder) sameLength(low, high string, next int32) int32 {
	if len(low) == 0 {
		return next
	}
	rest := func(low, high string) int32 { return b.sameLength(low, high, next) }
	lowest, highest := strings.Repeat("0", len(low)-1), strings.Repeat("9", len(low)-1)
	if low[0] == high[0] {
		return b.bytes(rest(low[1:], high[1:]), low[0], low[0])
	}
	places := []int32{b.bytes(rest(low[1:], highest), low[0], low[0]), b.bytes(rest(lowest, high[1:]), high[0], high[0])}
	if low[0]+1 < high[0] {
		places = append(places, b.bytes(rest(lowest, highest), low[0]+1, high[0]-1))
	}
	return b.either(places...)
}

// value is any JSON.
func (b *builder) value(next int32) int32 {
	return b.call("value", next, func(next int32) int32 {
		return b.either(b.object(next), b.list(0, -1, next, b.value), b.str(0, -1, next), b.number(next),
			b.text("true", next), b.text("false", next), b.text("null", next))
	})
}

// object is an object of any names and values.
func (b *builder) object(next int32) int32 { return b.mapping("object", next, b.value) }

// mapping is an object whose values are alike.
func (b *builder) mapping(name string, next int32, value func(next int32) int32) int32 {
	return b.call(name, next, func(next int32) int32 {
		end := b.text("}", next)
		pair := func(next int32) int32 { return b.str(0, -1, b.colon(value(b.space(next)))) }
		more := b.star(end, func(next int32) int32 { return b.text(",", b.space(pair(next))) })
		return b.text("{", b.space(b.either(end, pair(more))))
	})
}

func (b *builder) colon(next int32) int32 { return b.space(b.text(":", b.space(next))) }

// list is a list of low to high items; a negative high: any number.
func (b *builder) list(low, high int, next int32, item func(next int32) int32) int32 {
	end := b.text("]", next)
	if high == 0 {
		return b.text("[", b.space(end))
	}
	spaced := func(next int32) int32 { return item(b.space(next)) }
	least, most := max(low-1, 0), high-1
	if high < 0 {
		most = -1
	}
	more := b.repeat(least, most, end, func(next int32) int32 { return b.text(",", b.space(spaced(next))) })
	if low > 0 {
		return b.text("[", b.space(spaced(more)))
	}
	return b.text("[", b.space(b.either(end, spaced(more))))
}

// date, clock and uuid are the formats of strings. Days end with the 28th,
// which every month has.
func (b *builder) date(next int32) int32 {
	digit := func(next int32) int32 { return b.bytes(next, '0', '9') }
	day := b.either(b.text("0", b.bytes(next, '1', '9')), b.text("1", digit(next)), b.text("2", b.bytes(next, '0', '8')))
	dash := b.text("-", day)
	month := b.either(b.text("0", b.bytes(dash, '1', '9')), b.text("1", b.bytes(dash, '0', '2')))
	return digit(digit(digit(digit(b.text("-", month)))))
}

func (b *builder) clock(next int32) int32 {
	digit := func(next int32) int32 { return b.bytes(next, '0', '9') }
	sixty := func(next int32) int32 { return b.bytes(digit(next), '0', '5') }
	hour := func(next int32) int32 {
		return b.either(b.bytes(digit(next), '0', '1'), b.text("2", b.bytes(next, '0', '3')))
	}
	zone := b.either(b.text("Z", next), b.bytes(hour(b.text(":", sixty(next))), '+', '+', '-', '-'))
	fraction := b.optional(zone, func(next int32) int32 {
		return b.text(".", b.repeat(1, 9, next, digit))
	})
	return hour(b.text(":", sixty(b.text(":", sixty(fraction)))))
}

func (b *builder) uuid(next int32) int32 {
	hex := func(n int, next int32) int32 {
		return b.repeat(n, n, next, func(next int32) int32 { return b.bytes(next, '0', '9', 'a', 'f') })
	}
	return hex(8, b.text("-", hex(4, b.text("-", hex(4, b.text("-", hex(4, b.text("-", hex(12, next)))))))))
}
