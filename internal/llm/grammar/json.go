package grammar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// jsonRules are the forms of JSON values. They are made anew for each grammar.
type jsonRules struct {
	any, object, array, str *rule
}

// blank is what may come between the parts of a value: none, a space, or a new line with some indentation.
// It has an end, so that a model cannot write blanks for ever.
var blank = alt{nil, literal(" "), seq{literal("\n"), repeat{literal(" "), 0, 16}}}

// Characters of strings.
var (
	special  = unicodeSet([]runeRange{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}})
	ordinary = special.complement()
	hex      = unicodeSet([]runeRange{{'0', '9'}, {'a', 'f'}, {'A', 'F'}})
	digit    = set{{'0', '9'}}
	// escape leaves out halves of characters (surrogates): an ordinary character says the same.
	escape = seq{literal(`\`), alt{chars(`"\/bfnrt`), seq{literal("u"), alt{
		seq{chars("0123456789abcefABCEF"), hex, hex, hex},
		seq{chars("dD"), set{{'0', '7'}}, hex, hex},
	}}}}
	character = alt{ordinary, escape}
)

var (
	fraction = seq{literal("."), repeat{digit, 1, 16}}
	whole    = alt{literal("0"), seq{set{{'1', '9'}}, repeat{digit, 0, 15}}}
	integer  = seq{optional(literal("-")), whole}
	number   = seq{integer, optional(fraction), optional(seq{chars("eE"), optional(chars("+-")), repeat{digit, 1, 2}})}
)

// JSON is the form of any JSON value, or of objects only.
func JSON(objectOnly bool) *Grammar {
	g, err := Compile(AnyJSON(objectOnly))
	if err != nil {
		panic("grammar: " + err.Error())
	}
	return g
}

// AnyJSON is the form of any JSON value, or of objects only.
func AnyJSON(objectOnly bool) Expr {
	r := newJSONRules()
	if objectOnly {
		return Expr{r.object}
	}
	return Expr{r.any}
}

// JSONString is a text as a JSON string.
func JSONString(text string) Expr { return Expr{literal(quote(text))} }

// Blank is what may stand between the parts of a JSON value.
func Blank() Expr { return Expr{blank} }

// Object is a JSON object of members in this order: names and forms in turn.
func Object(members ...any) Expr {
	out := seq{literal("{"), blank}
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			out = append(out, literal(","), blank)
		}
		out = append(out, literal(quote(members[i].(string))), literal(":"), blank, members[i+1].(Expr).n, blank)
	}
	return Expr{append(out, literal("}"))}
}

func newJSONRules() jsonRules {
	r := jsonRules{&rule{name: "value"}, &rule{name: "object"}, &rule{name: "array"}, &rule{name: "string"}}
	r.str.body = seq{literal(`"`), repeat{character, 0, -1}, literal(`"`)}
	r.object.body = list("{", "}", seq{r.str, blank, literal(":"), blank, r.any}, 0, -1)
	r.array.body = list("[", "]", r.any, 0, -1)
	r.any.body = alt{r.object, r.array, r.str, &rule{name: "number", body: number}, literal("true"), literal("false"), literal("null")}
	return r
}

// list is min to max items between brackets, with commas.
func list(open, end string, item node, min, max int) node {
	var items node
	if max != 0 {
		rest := repeat{seq{blank, literal(","), blank, item}, 0, -1}
		if min > 1 {
			rest.min = min - 1
		}
		if max > 0 {
			rest.max = max - 1
		}
		items = seq{item, rest}
		if min == 0 {
			items = optional(items)
		}
	}
	return seq{literal(open), blank, items, blank, literal(end)}
}

// count reads a bound that is a number of things; absent is what stands for a missing one.
func count(s *object, key string, absent int, path string) (int, error) {
	v, ok := s.get(key)
	if !ok {
		return absent, nil
	}
	n, ok := v.(json.Number)
	f, err := n.Float64()
	if !ok || err != nil || f < 0 || f != float64(int64(f)) {
		return 0, syntaxError("%s/%s: want a whole number", path, key)
	}
	return int(min(f, 1<<40)), nil
}

// countBounds reads a least and a most number; most is at most limit, and so is least, or it is an error.
func countBounds(s *object, least, most, path string, limit int) (lo, hi int, err error) {
	if lo, err = count(s, least, 0, path); err != nil {
		return 0, 0, err
	}
	if hi, err = count(s, most, -1, path); err != nil {
		return 0, 0, err
	}
	if lo > limit {
		return 0, 0, fmt.Errorf("%s/%s: %w: %d, of at most %d", path, least, ErrTooLarge, lo, limit)
	}
	if hi >= 0 && hi < lo {
		return 0, 0, fmt.Errorf("%s: %w: %s is %d and %s %d", path, ErrEmpty, least, lo, most, hi)
	}
	return lo, min(hi, limit), nil
}

func (b *schemaBuilder) array(s *object, path string, depth int) (node, error) {
	prefix, _ := s.get("prefixItems")
	items, hasItems := s.get("items")
	if old, ok := items.([]any); ok { // before 2020-12
		prefix = old
		items, hasItems = s.get("additionalItems")
	}
	if !hasItems {
		items = true
	}
	lo, hi, err := countBounds(s, "minItems", "maxItems", path, maxItems)
	if err != nil {
		return nil, err
	}
	if s.values["uniqueItems"] == true && hi != 0 && hi != 1 && items != false {
		return b.distinct(items, asList(prefix), lo, hi, path)
	}
	item, err := b.value(items, path+"/items", depth)
	if err != nil {
		return nil, err
	}
	if items == false {
		hi = 0
	}
	first := asList(prefix)
	if len(first) == 0 {
		return list("[", "]", item, lo, hi), nil
	}
	if items == false || !hasItems { // a tuple ends with its last item unless the schema describes more
		if hi = len(first); lo > hi {
			if items == false {
				return nil, fmt.Errorf("%s: %w: %d items at least of %d", path, ErrEmpty, lo, hi)
			}
			hi = lo
		}
	}
	// From the last item to the first.
	comma := seq{blank, literal(","), blank}
	more := repeat{seq{comma, item}, max(0, lo-len(first)), -1}
	if hi >= 0 {
		more.max = max(0, hi-len(first))
	}
	var rest node = more
	for i, x := range slices.Backward(first) {
		n, err := b.value(x, fmt.Sprintf("%s/prefixItems/%d", path, i), depth)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			n = seq{comma, n}
		}
		if hi >= 0 && i >= hi {
			rest = nil
			continue
		}
		rest = seq{n, rest}
		if i >= lo {
			rest = optional(rest)
		}
	}
	return seq{literal("["), blank, rest, blank, literal("]")}, nil
}

// numberOf is the form of numbers between bounds.
func numberOf(s *object, whole bool) (node, error) {
	if v, ok := s.get("multipleOf"); ok {
		of, ok := v.(json.Number)
		if !ok {
			return nil, syntaxError("multipleOf is not a number")
		}
		if !whole || of != "1" {
			return multiples(s, of, whole)
		}
	}
	lo, hi, err := limits(s, whole)
	if err != nil {
		return nil, err
	}
	switch {
	case lo == nil && hi == nil && whole:
		return integer, nil
	case lo == nil && hi == nil:
		return number, nil
	case whole:
		return wholeRange(lo.ceil(), hi.floor()), nil
	}
	return realRange(lo, hi)
}

// limit is a bound of numbers.
type limit struct {
	n    int64
	part bool // it is more than n by less than 1
	open bool // the bound itself is not allowed
}

const farthest = int64(1e15) - 1 // numbers go no farther from 0

func (l *limit) ceil() int64 {
	if l == nil {
		return -farthest
	}
	if l.part || l.open {
		return l.n + 1
	}
	return l.n
}

func (l *limit) floor() int64 {
	if l == nil {
		return farthest
	}
	if l.open && !l.part {
		return l.n - 1
	}
	return l.n
}

// limits are the bounds that a schema sets; nil for none.
func limits(s *object, whole bool) (lo, hi *limit, err error) {
	read := func(key, openKey string, sign float64) (*limit, error) {
		var out *limit
		var best float64
		for _, k := range []string{key, openKey} {
			v, ok := s.get(k)
			if !ok {
				continue
			}
			open := k == openKey
			if on, isBool := v.(bool); isBool { // draft 4
				if out != nil {
					out.open = on
				}
				continue
			}
			n, ok := v.(json.Number)
			f, err := n.Float64()
			if !ok || err != nil {
				return nil, syntaxError("%s is not a number", k)
			}
			if f > float64(farthest) || f < -float64(farthest) {
				if f*sign < 0 {
					continue // beyond all that is written
				}
				return nil, fmt.Errorf("%w: %s is %s", ErrTooLarge, k, n)
			}
			if out != nil && (f-best)*sign < 0 || out != nil && f == best && !open {
				continue
			}
			at := int64(f)
			if float64(at) > f {
				at--
			}
			out, best = &limit{at, float64(at) != f, open}, f
		}
		return out, nil
	}
	if lo, err = read("minimum", "exclusiveMinimum", 1); err != nil {
		return nil, nil, err
	}
	if hi, err = read("maximum", "exclusiveMaximum", -1); err != nil {
		return nil, nil, err
	}
	return lo, hi, nil
}

// wholeRange is the form of the whole numbers from lo to hi.
func wholeRange(lo, hi int64) node {
	if lo > hi {
		return alt{}
	}
	var out alt
	if lo < 0 {
		out = append(out, seq{literal("-"), digits(max(1, -hi), -lo)})
	}
	if hi >= 0 {
		out = append(out, digits(max(0, lo), hi))
	}
	return out
}

// digits is the form of the whole numbers from lo to hi, 0 <= lo <= hi.
func digits(lo, hi int64) node {
	var out alt
	for lo <= hi {
		size := len(strconv.FormatInt(lo, 10))
		last := int64(1)
		for range size {
			last *= 10
		}
		end := min(hi, last-1)
		out = append(out, sameLength(strconv.FormatInt(lo, 10), strconv.FormatInt(end, 10)))
		lo = end + 1
	}
	return out
}

// sameLength is the form of the numbers between two of as many digits.
func sameLength(lo, hi string) node {
	n := len(lo)
	if n == 0 {
		return nil
	}
	zeros, nines := true, true
	for i := range n {
		zeros, nines = zeros && lo[i] == '0', nines && hi[i] == '9'
	}
	if zeros && nines {
		return repeat{digit, n, n}
	}
	if lo[0] == hi[0] {
		return seq{literal(lo[:1]), sameLength(lo[1:], hi[1:])}
	}
	low, high := make([]byte, n-1), make([]byte, n-1)
	for i := range n - 1 {
		low[i], high[i] = '0', '9'
	}
	out := alt{seq{literal(lo[:1]), sameLength(lo[1:], string(high))}}
	if lo[0]+1 < hi[0] {
		out = append(out, seq{set{{rune(lo[0] + 1), rune(hi[0] - 1)}}, sameLength(string(low), string(high))})
	}
	return append(out, seq{literal(hi[:1]), sameLength(string(low), hi[1:])})
}

// realRange is the form of the numbers between bounds, without exponents. Bounds that are not whole are
// moved to the next whole number within.
func realRange(lo, hi *limit) (node, error) {
	a, b := -farthest, farthest
	aOpen, bOpen := false, false
	if lo != nil {
		if a, aOpen = lo.n, lo.open && !lo.part; lo.part {
			a++
		}
	}
	if hi != nil {
		b, bOpen = hi.n, hi.open && !hi.part
	}
	if a > b || a == b && (aOpen || bOpen) {
		return nil, unsupported("numbers between bounds without a whole number: widen them")
	}
	zero := optional(seq{literal("."), repeat{literal("0"), 1, 4}})
	some := optional(fraction)
	above := seq{literal("."), repeat{digit, 0, 15}, set{{'1', '9'}}} // more than the whole part
	var out alt
	// Whole parts from x to y before any fraction, both at least 0, then the ends themselves.
	side := func(sign string, x, y int64, xOpen, yOpen bool) {
		head := literal(sign)
		if x == y {
			if !xOpen && !yOpen {
				out = append(out, seq{head, digits(x, x), zero})
			}
			return
		}
		if xOpen {
			out = append(out, seq{head, digits(x, x), above})
		} else {
			out = append(out, seq{head, digits(x, x), some})
		}
		if x+1 < y {
			out = append(out, seq{head, digits(x+1, y-1), some})
		}
		if !yOpen {
			out = append(out, seq{head, digits(y, y), zero})
		}
	}
	switch {
	case a >= 0:
		side("", a, b, aOpen, bOpen)
	case b <= 0:
		side("-", -b, -a, bOpen || b == 0, aOpen)
		if b == 0 && !bOpen {
			out = append(out, seq{literal("0"), zero})
		}
	default:
		side("-", 0, -a, true, aOpen)
		side("", 0, b, false, bOpen)
	}
	return out, nil
}
