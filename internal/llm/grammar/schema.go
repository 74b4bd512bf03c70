package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSchemaDepth = 64
	maxParts       = 20_000 // schemas within a schema, those that references lead to counted each time
	maxItems       = 4096   // of a list, where the schema allows more
	maxLength      = 4096   // of a string, where the schema allows more
)

// Schema reads a JSON schema (drafts 4 to 2020-12). What has the form is a JSON value that the schema
// accepts, written in the schema's own order of properties, with little white space. Kept to are type,
// properties, patternProperties with one pattern, required, additionalProperties, minProperties, maxProperties, items,
// prefixItems, minItems, maxItems, uniqueItems of few values, enum, const, not of values or types, anyOf, oneOf,
// allOf, $ref within the schema, pattern, minLength, maxLength, format (date, time, date-time, uuid, email, hostname,
// ipv4, uri), minimum, maximum and their exclusive forms, multipleOf. Other keywords that accept or refuse values, and
// these where they cannot be kept to, are errors that wrap ErrUnsupported; those that only describe are passed over.
//
// Of all that a schema accepts some is never written: a property that it does not name, unless
// additionalProperties allows one or it names none; numbers with more than about 17 digits; lists and
// strings longer than 4,096, but for those that must be. Of oneOf, a value may fit more than one branch.
func Schema(schema []byte) (*Grammar, error) {
	e, err := SchemaExpr(schema)
	if err != nil {
		return nil, err
	}
	return Compile(e)
}

// SchemaExpr is the form of the JSON values that a schema accepts; see [Schema].
func SchemaExpr(schema []byte) (Expr, error) {
	if len(schema) > maxSource {
		return Expr{}, fmt.Errorf("%w: a schema of %d bytes", ErrTooLarge, len(schema))
	}
	root, err := decode(schema)
	if err != nil {
		return Expr{}, err
	}
	b := &schemaBuilder{root: root, refs: map[string]*rule{}, jsonRules: newJSONRules()}
	n, err := b.value(root, "#", 0)
	return Expr{n}, err
}

// object keeps the order of its members.
type object struct {
	keys   []string
	values map[string]any
}

func (o *object) get(key string) (any, bool) {
	v, ok := o.values[key]
	return v, ok
}

func (o *object) set(key string, v any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

func (o *object) clone() *object {
	c := &object{values: map[string]any{}}
	for _, k := range o.keys {
		c.set(k, o.values[k])
	}
	return c
}

// without is a copy that lacks some members.
func (o *object) without(keys ...string) *object {
	c := &object{values: map[string]any{}}
	for _, k := range o.keys {
		if !slices.Contains(keys, k) {
			c.set(k, o.values[k])
		}
	}
	return c
}

// decode reads JSON as *object, []any, string, json.Number, bool and nil.
func decode(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, syntaxError("the schema goes on after its end")
	}
	return v, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > 4*maxSchemaDepth {
		return nil, fmt.Errorf("%w: a schema of over %d levels", ErrTooLarge, 4*maxSchemaDepth)
	}
	t, err := dec.Token()
	if err != nil {
		return nil, syntaxError("the schema is not JSON: %v", err)
	}
	switch t {
	case json.Delim('{'):
		o := &object{values: map[string]any{}}
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, syntaxError("the schema is not JSON: %v", err)
			}
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			o.set(k.(string), v)
		}
		_, err = dec.Token()
		if err != nil {
			return nil, syntaxError("the schema is not JSON: %v", err)
		}
		return o, nil
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		if _, err = dec.Token(); err != nil {
			return nil, syntaxError("the schema is not JSON: %v", err)
		}
		return list, nil
	}
	return t, nil
}

// encode writes a decoded value as compact JSON, members in their order.
func encode(v any) string {
	switch v := v.(type) {
	case *object:
		var parts []string
		for _, k := range v.keys {
			parts = append(parts, quote(k)+":"+encode(v.values[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, encode(x))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		return quote(v)
	}
	b, _ := json.Marshal(v) // numbers, booleans and null
	return string(b)
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always can be
	return strings.TrimSuffix(b.String(), "\n")
}

type schemaBuilder struct {
	jsonRules
	root  any
	refs  map[string]*rule
	parts int
}

// Keywords that tell nothing about which values are accepted, or that are read with others.
var described = strings.Fields(`$schema $id id $anchor $dynamicAnchor $comment $defs definitions $vocabulary title description default examples
	example deprecated readOnly writeOnly contentEncoding contentMediaType contentSchema format nullable strict discriminator xml externalDocs`)

// Keywords that are kept to.
var kept = strings.Fields(`type properties patternProperties required additionalProperties minProperties maxProperties items prefixItems additionalItems
	minItems maxItems uniqueItems enum const not anyOf oneOf allOf $ref pattern minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum
	multipleOf`)

// value is the form of the values that a schema accepts. path is for errors.
func (b *schemaBuilder) value(schema any, path string, depth int) (node, error) {
	if b.parts++; b.parts > maxParts {
		return nil, fmt.Errorf("%w: over %d schemas", ErrTooLarge, maxParts)
	}
	if depth > maxSchemaDepth {
		return nil, fmt.Errorf("%s: %w: over %d levels", path, ErrTooLarge, maxSchemaDepth)
	}
	depth++
	switch s := schema.(type) {
	case bool:
		if s {
			return b.any, nil
		}
		return alt{}, nil
	case *object:
		return b.constrained(s, path, depth)
	}
	return nil, syntaxError("%s: a schema is an object or a boolean", path)
}

func (b *schemaBuilder) constrained(s *object, path string, depth int) (node, error) {
	for _, k := range s.keys {
		if slices.Contains(kept, k) || slices.Contains(described, k) || strings.HasPrefix(k, "x-") || harmless(k, s.values[k]) {
			continue
		}
		return nil, fmt.Errorf("%s: %w", path, unsupported("the keyword %q", k))
	}
	has := func(k string) bool { _, ok := s.get(k); return ok }
	if has("$ref") {
		ref, ok := s.values["$ref"].(string)
		if !ok {
			return nil, syntaxError("%s: $ref is not a string", path)
		}
		rest := s.without(append([]string{"$ref"}, described...)...)
		if len(rest.keys) == 0 {
			return b.reference(ref, path, depth)
		}
		target, err := b.lookup(ref, path)
		if err != nil {
			return nil, err
		}
		merged, err := merge(rest, target, path)
		if err != nil {
			return nil, err
		}
		return b.value(merged, path, depth)
	}
	if v, ok := s.get("allOf"); ok {
		list, ok := v.([]any)
		if !ok {
			return nil, syntaxError("%s/allOf: not a list", path)
		}
		var merged any = s.without("allOf")
		for _, x := range list {
			var err error
			for i := 0; ; i++ { // the members may be references
				o, isObject := x.(*object)
				ref, isRef := "", false
				if isObject {
					ref, isRef = o.values["$ref"].(string)
				}
				if !isRef {
					break
				}
				if i > maxSchemaDepth {
					return nil, syntaxError("%s/allOf: references go in a circle", path)
				}
				target, err := b.lookup(ref, path)
				if err != nil {
					return nil, err
				}
				if x, err = merge(o.without("$ref"), target, path); err != nil {
					return nil, err
				}
			}
			if merged, err = merge(merged, x, path); err != nil {
				return nil, err
			}
		}
		return b.value(merged, path, depth)
	}
	for _, k := range []string{"anyOf", "oneOf"} {
		v, ok := s.get(k)
		if !ok {
			continue
		}
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return nil, syntaxError("%s/%s: not a list of schemas", path, k)
		}
		rest := s.without(k)
		var out alt
		for i, x := range list {
			p := fmt.Sprintf("%s/%s/%d", path, k, i)
			if len(rest.without(described...).keys) > 0 {
				var err error
				if x, err = b.mergeInto(rest, x, p); err != nil {
					return nil, err
				}
			}
			n, err := b.value(x, p, depth)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
		return out, nil
	}
	refused, err := readNot(s, path)
	if err != nil {
		return nil, err
	}
	if values, ok, err := valuesOf(s, path); ok || err != nil {
		if err != nil {
			return nil, err
		}
		fits := func(string) bool { return true }
		if rest := s.without(append([]string{"enum", "const", "not", "type"}, described...)...); len(rest.keys) > 0 {
			form, err := b.value(s.without("enum", "const", "not"), path, depth)
			if err != nil {
				return nil, err
			}
			g, err := Compile(Expr{form})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			fits = g.Match
		}
		var out alt
		for _, x := range values {
			if text := encode(x); !refused.has(x) && fits(text) {
				out = append(out, literal(text))
			}
		}
		return out, nil
	}
	types, err := typesOf(s, path)
	if err != nil {
		return nil, err
	}
	if types, err = refused.leave(types, path); err != nil {
		return nil, err
	}
	if types == nil {
		return b.any, nil
	}
	var out alt
	for _, t := range types {
		n, err := b.typed(t, s, path, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

// harmless reports whether a keyword that is not kept to refuses nothing here.
func harmless(key string, v any) bool {
	switch key {
	case "dependentRequired", "dependentSchemas", "dependencies":
		o, ok := v.(*object)
		return ok && len(o.keys) == 0
	case "unevaluatedProperties", "unevaluatedItems", "propertyNames":
		return v == true
	case "minContains", "maxContains", "contains", "if", "then", "else", "$dynamicRef", "$recursiveRef", "divisibleBy", "disallow", "extends":
		return false
	}
	return true // what no draft knows accepts everything
}

func isOf(v any, kind string) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case json.Number:
		return kind == "number" || kind == "integer" && !strings.ContainsAny(string(v), ".eE")
	case []any:
		return kind == "array"
	case *object:
		return kind == "object"
	}
	return false
}

// typesOf are the types that a schema names, or that its keywords speak of; nil means any.
func typesOf(s *object, path string) ([]string, error) {
	switch t := s.values["type"].(type) {
	case string:
		if s.values["nullable"] == true { // OpenAPI's way
			return []string{t, "null"}, nil
		}
		return []string{t}, nil
	case []any:
		var out []string
		for _, x := range t {
			name, ok := x.(string)
			if !ok {
				return nil, syntaxError("%s/type: want names of types", path)
			}
			out = append(out, name)
		}
		// An integer is a number: both would be two readings of one text.
		if slices.Contains(out, "number") {
			out = slices.DeleteFunc(out, func(t string) bool { return t == "integer" })
		}
		return out, nil
	case nil:
	default:
		return nil, syntaxError("%s/type: want a name or a list of names", path)
	}
	for _, k := range s.keys {
		switch k {
		case "properties", "patternProperties", "required", "additionalProperties", "minProperties", "maxProperties":
			return []string{"object"}, nil
		case "items", "prefixItems", "minItems", "maxItems", "uniqueItems":
			return []string{"array"}, nil
		case "pattern", "minLength", "maxLength", "format":
			return []string{"string"}, nil
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
			return []string{"number"}, nil
		}
	}
	return nil, nil
}

func (b *schemaBuilder) typed(kind string, s *object, path string, depth int) (node, error) {
	switch kind {
	case "object":
		n, err := b.object(s, path, depth)
		return &rule{name: path, body: n}, err
	case "array":
		n, err := b.array(s, path, depth)
		return &rule{name: path, body: n}, err
	case "string":
		return b.stringOf(s, path)
	case "integer", "number":
		n, err := numberOf(s, kind == "integer")
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return n, err
	case "boolean":
		return alt{literal("true"), literal("false")}, nil
	case "null":
		return literal("null"), nil
	}
	return nil, syntaxError("%s/type: %q is no type", path, kind)
}

// reference is the rule of what a $ref points to.
func (b *schemaBuilder) reference(ref, path string, depth int) (node, error) {
	if r, ok := b.refs[ref]; ok {
		return r, nil
	}
	target, err := b.lookup(ref, path)
	if err != nil {
		return nil, err
	}
	r := &rule{name: ref}
	b.refs[ref] = r
	r.body, err = b.value(target, ref, depth)
	return r, err
}

// lookup follows a JSON pointer.
func (b *schemaBuilder) lookup(ref, path string) (any, error) {
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok || rest != "" && rest[0] != '/' {
		return nil, fmt.Errorf("%s: %w", path, unsupported("$ref %q: only #/… within the schema", ref))
	}
	at := b.root
	for _, key := range strings.Split(rest, "/")[1:] {
		key = strings.NewReplacer("~1", "/", "~0", "~", "%25", "%", "%20", " ").Replace(key)
		var next any
		ok := false
		switch v := at.(type) {
		case *object:
			next, ok = v.get(key)
		case []any:
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
				next, ok = v[i], true
			}
		}
		if !ok {
			return nil, syntaxError("%s: $ref %q leads nowhere", path, ref)
		}
		at = next
	}
	return at, nil
}

// mergeInto merges a schema, or what it refers to, with the one around it.
func (b *schemaBuilder) mergeInto(outer *object, inner any, path string) (any, error) {
	if o, ok := inner.(*object); ok {
		if ref, ok := o.values["$ref"].(string); ok {
			target, err := b.lookup(ref, path)
			if err != nil {
				return nil, err
			}
			if inner, err = merge(o.without("$ref"), target, path); err != nil {
				return nil, err
			}
		}
	}
	return merge(outer, inner, path)
}

// merge is a schema that accepts what both accept.
func merge(a, c any, path string) (any, error) {
	if a == true {
		return c, nil
	}
	if c == true {
		return a, nil
	}
	x, ok := a.(*object)
	y, ok2 := c.(*object)
	if a == false || c == false {
		return false, nil
	}
	if !ok || !ok2 {
		return nil, syntaxError("%s: a schema is an object or a boolean", path)
	}
	out := x.clone()
	for _, k := range y.keys {
		v := y.values[k]
		old, both := out.get(k)
		if !both || slices.Contains(described, k) {
			if !both {
				out.set(k, v)
			}
			continue
		}
		if encode(old) == encode(v) {
			continue
		}
		switch k {
		case "properties":
			p, ok := old.(*object)
			q, ok2 := v.(*object)
			if !ok || !ok2 {
				return nil, syntaxError("%s/properties: not an object", path)
			}
			p = p.clone()
			for _, name := range q.keys {
				s := q.values[name]
				if mine, both := p.get(name); both {
					var err error
					if s, err = merge(mine, s, path+"/properties/"+name); err != nil {
						return nil, err
					}
				}
				p.set(name, s)
			}
			out.set(k, p)
		case "required":
			p, _ := old.([]any)
			q, _ := v.([]any)
			out.set(k, append(slices.Clone(p), q...))
		case "anyOf", "oneOf", "allOf", "$ref":
			rest, _ := out.get("allOf")
			list, _ := rest.([]any)
			only := &object{values: map[string]any{}}
			only.set(k, v)
			if k == "allOf" {
				more, _ := v.([]any)
				out.set("allOf", append(slices.Clone(list), more...))
			} else {
				return nil, fmt.Errorf("%s: %w", path, unsupported("two of %s that hold at once", k))
			}
		case "type":
			p, err := typesOf(x, path)
			if err != nil {
				return nil, err
			}
			q, err := typesOf(y, path)
			if err != nil {
				return nil, err
			}
			both := []any{}
			for _, t := range p {
				switch {
				case slices.Contains(q, t):
					both = append(both, t)
				case t == "integer" && slices.Contains(q, "number") || t == "number" && slices.Contains(q, "integer"):
					both = append(both, "integer")
				}
			}
			out.set(k, both)
		case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
			if less(old, v) {
				out.set(k, v)
			}
		case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
			if less(v, old) {
				out.set(k, v)
			}
		case "enum":
			p, _ := old.([]any)
			q, _ := v.([]any)
			both := []any{}
			for _, m := range p {
				if slices.ContainsFunc(q, func(n any) bool { return encode(m) == encode(n) }) {
					both = append(both, m)
				}
			}
			out.set(k, both)
		case "const":
			return false, nil
		case "uniqueItems":
			out.set(k, true)
		case "additionalProperties":
			if old == false || v == false {
				return nil, fmt.Errorf("%s: %w", path, unsupported("additionalProperties that closes one of two schemas that hold at once"))
			}
			m, err := merge(old, v, path+"/"+k)
			if err != nil {
				return nil, err
			}
			out.set(k, m)
		default:
			return nil, fmt.Errorf("%s: %w", path, unsupported("two values of %q that hold at once", k))
		}
	}
	return out, nil
}

func less(a, b any) bool {
	x, _ := a.(json.Number)
	y, _ := b.(json.Number)
	f, _ := x.Float64()
	g, _ := y.Float64()
	return f < g
}
