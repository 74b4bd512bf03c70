package grammar

import (
	"encoding/json"
	"fmt"
	"slices"
)

// valuesOf are the values that a schema lists, and whether it does: those of const or enum that have its types, or
// the two of a boolean.
func valuesOf(s *object, path string) (values []any, ok bool, err error) {
	if v, ok := s.get("const"); ok {
		return []any{v}, true, nil
	}
	types, err := typesOf(s, path)
	if err != nil {
		return nil, false, err
	}
	v, ok := s.get("enum")
	if !ok {
		if len(types) == 1 && types[0] == "boolean" {
			return []any{true, false}, true, nil
		}
		return nil, false, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false, syntaxError("%s/enum: not a list", path)
	}
	for _, x := range list {
		typed := s.values["type"] == nil || slices.ContainsFunc(types, func(t string) bool { return isOf(x, t) })
		if typed && !slices.ContainsFunc(values, func(y any) bool { return encode(x) == encode(y) }) {
			values = append(values, x)
		}
	}
	return values, true, nil
}

// exclusion is what a schema's not refuses: values of types, or listed ones.
type exclusion struct{ types, values []string }

// readNot reads a not that refuses types, or listed values.
func readNot(s *object, path string) (exclusion, error) {
	v, ok := s.get("not")
	if !ok || v == false {
		return exclusion{}, nil
	}
	o, ok := v.(*object)
	if ok {
		switch rest := o.without(described...).keys; {
		case len(rest) == 1 && rest[0] == "type":
			types, err := typesOf(o, path+"/not")
			return exclusion{types: types}, err
		case len(rest) == 1 && (rest[0] == "enum" || rest[0] == "const"):
			listed, _, err := valuesOf(o, path+"/not")
			var e exclusion
			for _, x := range listed {
				e.values = append(e.values, encode(x))
			}
			return e, err
		}
	}
	return exclusion{}, fmt.Errorf("%s: %w", path, unsupported(`the keyword "not" with more than a type, an enum or a const`))
}

func (e exclusion) has(v any) bool {
	return slices.Contains(e.values, encode(v)) || slices.ContainsFunc(e.types, func(t string) bool { return isOf(v, t) })
}

var everyType = []string{"object", "array", "string", "number", "boolean", "null"}

// leave are the types that are left of some; nil means any of both.
func (e exclusion) leave(types []string, path string) ([]string, error) {
	if len(e.values) > 0 {
		return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "not" with values, beside no enum`))
	}
	if len(e.types) == 0 {
		return types, nil
	}
	if types == nil {
		types = everyType
	}
	left := []string{}
	for _, t := range types {
		switch {
		case slices.Contains(e.types, t), t == "integer" && slices.Contains(e.types, "number"):
		case t == "number" && slices.Contains(e.types, "integer"):
			return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "not" that leaves numbers but no integers`))
		default:
			left = append(left, t)
		}
	}
	return left, nil
}

const maxUnique = 8 // values that a list without repetitions chooses from

// uniqueItems is the form of lists of lo to hi different values; hi is negative for no bound. There is a rule for each
// set of values that may have been written.
func uniqueItems(values []any, lo, hi int, path string) (node, error) {
	if len(values) > maxUnique {
		return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "uniqueItems" over %d values, of at most %d`, len(values), maxUnique))
	}
	if hi < 0 || hi > len(values) {
		hi = len(values)
	}
	if lo > hi {
		return nil, fmt.Errorf("%s: %w: %d different items of %d", path, ErrEmpty, lo, hi)
	}
	rules := map[int]*rule{}
	var after func(written, n int) node // what may follow once n values, a set of bits, have been written
	after = func(written, n int) node {
		if r, ok := rules[written]; ok {
			return r
		}
		r := &rule{name: fmt.Sprintf("%s after %b", path, written)}
		rules[written] = r
		var out alt
		for i, v := range values {
			if n == hi || written&(1<<i) != 0 {
				continue
			}
			item := seq{literal(encode(v)), after(written|1<<i, n+1)}
			if n > 0 {
				item = append(seq{blank, literal(","), blank}, item...)
			}
			out = append(out, item)
		}
		r.body = out
		if n >= lo {
			r.body = optional(out)
		}
		return r
	}
	return seq{literal("["), blank, after(0, 0), blank, literal("]")}, nil
}

const maxRemainders = 64

// multiples is the form of the multiples of a schema's multipleOf.
func multiples(s *object, of json.Number, whole bool) (node, error) {
	lo, hi, err := limits(s, whole)
	if err != nil {
		return nil, err
	}
	if step, err := of.Int64(); err == nil && step > 0 {
		least, most := lo.ceil(), hi.floor()
		if lo != nil && hi != nil && (most-least)/step <= maxItems {
			var out alt
			for n := least + ((-least%step)+step)%step; n <= most; n += step {
				out = append(out, literal(fmt.Sprint(n)))
			}
			return out, nil
		}
		bounded := hi != nil || lo != nil && least != 0 && least != 1
		if step <= maxRemainders && !bounded {
			return digitMultiples(int(step), lo == nil, lo == nil || least == 0), nil
		}
		return nil, unsupported(`the keyword "multipleOf" %s beside such bounds, or over %d: at most %d numbers between both bounds, or none but a minimum of 0 or 1`, of, maxRemainders, maxItems)
	}
	// 0.1, 0.01 and so on: as many decimals.
	for places, text := 1, "0.1"; places <= 6; places, text = places+1, "0.0"+text[2:] {
		if string(of) == text && lo == nil && hi == nil {
			return seq{optional(literal("-")), alt{literal("0"), seq{set{{'1', '9'}}, repeat{digit, 0, 14}}}, optional(seq{literal("."), repeat{digit, 1, places}})}, nil
		}
	}
	return nil, unsupported(`the keyword "multipleOf" %s: whole numbers, or 0.1, 0.01 … without bounds`, of)
}

// digitMultiples is the form of the multiples of a number, of up to 16 digits. There is a rule for each remainder of
// what has been written and how many digits are left.
func digitMultiples(step int, negative, zero bool) node {
	rules := map[[2]int]*rule{}
	var rest func(remainder, left int) node
	rest = func(remainder, left int) node {
		key := [2]int{remainder, left}
		if r, ok := rules[key]; ok {
			return r
		}
		r := &rule{name: fmt.Sprintf("multiple of %d: %d, %d digits left", step, remainder, left)}
		rules[key] = r
		var out alt
		if left > 0 {
			for d := range 10 {
				out = append(out, seq{literal(string(rune('0' + d))), rest((10*remainder+d)%step, left-1)})
			}
		}
		r.body = out
		if remainder == 0 {
			r.body = optional(out)
		}
		return r
	}
	var first alt
	for d := 1; d < 10; d++ {
		first = append(first, seq{literal(string(rune('0' + d))), rest(d%step, 15)})
	}
	var out node = first
	if negative {
		out = seq{optional(literal("-")), first}
	}
	if zero {
		return alt{literal("0"), out}
	}
	return out
}
