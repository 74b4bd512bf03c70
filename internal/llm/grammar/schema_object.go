package grammar

import (
	"fmt"
	"regexp"
	"slices"
)

// member is a named one of an object, as it is written.
type member struct {
	form     node
	required bool
}

var comma = seq{blank, literal(","), blank}

func (b *schemaBuilder) object(s *object, path string, depth int) (node, error) {
	props := &object{}
	if v, ok := s.get("properties"); ok {
		if props, ok = v.(*object); !ok {
			return nil, syntaxError("%s/properties: not an object", path)
		}
	}
	required := map[string]bool{}
	if v, ok := s.get("required"); ok && v != true && v != false { // draft 3 has booleans
		list, ok := v.([]any)
		if !ok {
			return nil, syntaxError("%s/required: not a list", path)
		}
		for _, x := range list {
			name, ok := x.(string)
			if !ok {
				return nil, syntaxError("%s/required: want names", path)
			}
			required[name] = true
		}
	}
	additional, open := s.get("additionalProperties")
	if !open {
		additional = len(props.keys) == 0
	}
	least, most, err := countBounds(s, "minProperties", "maxProperties", path, maxItems)
	if err != nil {
		return nil, err
	}
	pattern, err := readPattern(s, path)
	if err != nil {
		return nil, err
	}
	var members []member
	add := func(name string, schema any, must bool) error {
		if pattern != nil && pattern.names.MatchString(name) {
			var err error
			if schema, err = merge(schema, pattern.schema, path+"/properties/"+name); err != nil {
				return err
			}
			pattern.named = true
		}
		v, err := b.value(schema, path+"/properties/"+name, depth)
		if err != nil {
			return err
		}
		if _, ok := v.(*rule); !ok { // it stands twice below
			v = &rule{name: path + "/properties/" + name, body: v}
		}
		members = append(members, member{seq{literal(quote(name)), blank, literal(":"), blank, v}, must})
		return nil
	}
	for _, name := range props.keys {
		if props.values[name] == false && !required[name] {
			continue
		}
		if err := add(name, props.values[name], required[name]); err != nil {
			return nil, err
		}
	}
	names := slices.Clone(props.keys)
	for _, x := range asList(s.values["required"]) {
		name, _ := x.(string)
		if slices.Contains(names, name) {
			continue
		}
		if open && additional == false && (pattern == nil || !pattern.names.MatchString(name)) {
			return nil, fmt.Errorf("%s: %w: %q is required and not allowed", path, ErrEmpty, name)
		}
		names = append(names, name)
		schema := additional
		if !open || pattern != nil && pattern.names.MatchString(name) {
			schema = true
		}
		if err := add(name, schema, true); err != nil {
			return nil, err
		}
	}
	var more node // further members, each with a comma before it
	var extra node
	switch {
	case pattern != nil && (pattern.named || pattern.schema == false): // others are not told from those that it speaks of
	case pattern != nil:
		v, err := b.value(pattern.schema, path+"/patternProperties", depth)
		if err != nil {
			return nil, err
		}
		key := seq{literal(`"`), pattern.form, literal(`"`)}
		extra = &rule{name: path + "/patternProperties", body: seq{key, blank, literal(":"), blank, v}}
	case additional != false:
		v, err := b.value(additional, path+"/additionalProperties", depth)
		if err != nil {
			return nil, err
		}
		key := node(b.str)
		if len(names) > 0 {
			key = otherNames(names)
		}
		extra = &rule{name: path + "/additionalProperties", body: seq{key, blank, literal(":"), blank, v}}
	}
	if extra != nil && len(members) == 0 {
		if least > 1 { // a name could be written twice
			return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "minProperties" over 1 with members that have no names`))
		}
		return list("{", "}", extra, least, most), nil
	}
	musts := 0
	for _, m := range members {
		if m.required {
			musts++
		}
	}
	if least > musts || most >= 0 && (extra != nil || most < len(members)) {
		return counted(members, least, most, path)
	}
	if extra != nil {
		more = repeat{seq{comma, extra}, 0, -1}
	}
	// From the last member to the first: what comes from it on when one has been written (rest), and when
	// none has (first).
	rest, first := more, node(nil)
	if extra != nil {
		first = optional(seq{extra, more})
	}
	for i, m := range slices.Backward(members) {
		written := seq{m.form, rest}
		if m.required {
			first, rest = written, seq{comma, m.form, rest}
		} else {
			first, rest = alt{written, first}, alt{seq{comma, m.form, rest}, rest}
		}
		// Each stands in two places of the next.
		first = &rule{name: fmt.Sprintf("%s first %d", path, i), body: first}
		rest = &rule{name: fmt.Sprintf("%s rest %d", path, i), body: rest}
	}
	return seq{literal("{"), blank, first, blank, literal("}")}, nil
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// otherNames are the names of members but for some, without escapes.
func otherNames(names []string) node {
	// A tree of the names' characters: at each place go on with one of them, or with another and then any.
	type branch struct {
		next map[rune]*branch
		name bool
	}
	root := &branch{next: map[rune]*branch{}}
	for _, name := range names {
		at := root
		for _, r := range name {
			if at.next[r] == nil {
				at.next[r] = &branch{next: map[rune]*branch{}}
			}
			at = at.next[r]
		}
		at.name = true
	}
	rest := seq{repeat{ordinary, 0, -1}, literal(`"`)}
	var form func(at *branch, depth int) node
	form = func(at *branch, depth int) node {
		if depth > 200 { // of a long name: only texts that differ before here
			return alt{}
		}
		var known []runeRange
		var out alt
		for r := range at.next {
			known = append(known, runeRange{r, r})
		}
		s := unicodeSet(known)
		for _, k := range s {
			for r := k.lo; r <= k.hi; r++ {
				if ordinary.has(r) {
					out = append(out, seq{set{{r, r}}, form(at.next[r], depth+1)})
				}
			}
		}
		out = append(out, seq{ordinary.without(s), rest})
		if !at.name {
			out = append(out, literal(`"`))
		}
		return out
	}
	return seq{literal(`"`), form(root, 0)}
}

// pattern is what patternProperties says.
type pattern struct {
	names  *regexp.Regexp
	form   node // of the names, as they are written
	schema any
	named  bool // it speaks of a member that is named elsewhere
}

// readPattern reads patternProperties; nil for none. Names that fit two patterns would have to fit both schemas, so
// there may be one.
func readPattern(s *object, path string) (*pattern, error) {
	v, ok := s.get("patternProperties")
	if !ok {
		return nil, nil
	}
	o, ok := v.(*object)
	switch {
	case !ok:
		return nil, syntaxError("%s/patternProperties: not an object", path)
	case len(o.keys) == 0:
		return nil, nil
	case len(o.keys) > 1:
		return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "patternProperties" with %d patterns, of one`, len(o.keys)))
	}
	form, err := patternForm(o.keys[0])
	if err != nil {
		return nil, fmt.Errorf("%s/patternProperties: %w", path, err)
	}
	names, err := regexp.Compile(ecmaEscapes.ReplaceAllString(o.keys[0], `\x{$1}`))
	if err != nil {
		return nil, syntaxError("%s/patternProperties: %v", path, err)
	}
	return &pattern{names: names, form: form, schema: o.values[o.keys[0]]}, nil
}

const maxCounted = 64 // members of an object whose number is bounded

// counted is the form of objects with least to most of the members; most is negative for no bound. There is a rule
// for each member and each number of those written before it.
func counted(members []member, least, most int, path string) (node, error) {
	if len(members) > maxCounted {
		return nil, fmt.Errorf("%s: %w: the number of %d members is bounded, of at most %d", path, ErrTooLarge, len(members), maxCounted)
	}
	if least > len(members) {
		return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "minProperties" over the number of members that have names`))
	}
	rules := map[[2]int]*rule{}
	var from func(i, written int) node
	from = func(i, written int) node {
		if i == len(members) {
			if written < least {
				return alt{}
			}
			return nil
		}
		if r, ok := rules[[2]int{i, written}]; ok {
			return r
		}
		r := &rule{name: fmt.Sprintf("%s from %d with %d", path, i, written)}
		rules[[2]int{i, written}] = r
		var out alt
		if most < 0 || written < most {
			this := seq{members[i].form, from(i+1, written+1)}
			if written > 0 {
				this = append(seq{comma}, this...)
			}
			out = append(out, this)
		}
		if !members[i].required {
			out = append(out, from(i+1, written))
		}
		r.body = out
		return r
	}
	return seq{literal("{"), blank, from(0, 0), blank, literal("}")}, nil
}

// distinct is the form of lists without repetitions.
func (b *schemaBuilder) distinct(items any, prefix []any, lo, hi int, path string) (node, error) {
	o, ok := items.(*object)
	if ok {
		if ref, isRef := o.values["$ref"].(string); isRef && len(o.without(append([]string{"$ref"}, described...)...).keys) == 0 {
			target, err := b.lookup(ref, path)
			if err != nil {
				return nil, err
			}
			o, ok = target.(*object)
		}
	}
	if ok && len(prefix) == 0 && o.values["$ref"] == nil && o.values["allOf"] == nil && o.values["anyOf"] == nil && o.values["oneOf"] == nil {
		values, listed, err := valuesOf(o, path+"/items")
		if err != nil {
			return nil, err
		}
		refused, err := readNot(o, path+"/items")
		if err != nil {
			return nil, err
		}
		if listed {
			return uniqueItems(slices.DeleteFunc(slices.Clone(values), refused.has), lo, hi, path)
		}
	}
	return nil, fmt.Errorf("%s: %w", path, unsupported(`the keyword "uniqueItems" with items that are no enum`))
}
