package grammar

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// formats are those that are kept to, as regular expressions; other formats only describe.
var formats = map[string]string{
	"date":      `[12]\d{3}-(0[13578]-(0[1-9]|[12]\d|3[01])|1[02]-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))`,
	"time":      `([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)`,
	"uuid":      `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"email":     `[a-zA-Z0-9_%+-]{1,32}(\.[a-zA-Z0-9_%+-]{1,14}){0,2}@[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z]{2,12}){1,3}`,
	"hostname":  `[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?){0,4}`,
	"ipv4":      `(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}`,
	"uri":       `https?://[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z]{2,12}){1,3}(:[1-9]\d{0,3})?(/[A-Za-z0-9._~-]{0,64}){0,8}(\?[A-Za-z0-9._~=&-]{0,128})?`,
	"date-time": "",
}

func init() { formats["date-time"] = formats["date"] + "T" + formats["time"] }

func (b *schemaBuilder) stringOf(s *object, path string) (node, error) {
	lo, hi, err := countBounds(s, "minLength", "maxLength", path, maxLength)
	if err != nil {
		return nil, err
	}
	bounded := lo > 0 || hi >= 0
	format, _ := s.values["format"].(string)
	expr := formats[format]
	pattern, hasPattern := s.get("pattern")
	var in node
	switch {
	case hasPattern:
		text, ok := pattern.(string)
		if !ok {
			return nil, syntaxError("%s/pattern: not a string", path)
		}
		if bounded {
			in, err = boundedPattern(text, lo, hi)
		} else {
			in, err = patternForm(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s/pattern: %w", path, err)
		}
	case expr != "" && !bounded:
		if in, err = patternForm("^(" + expr + ")$"); err != nil {
			return nil, fmt.Errorf("%s/format: %w", path, err)
		}
	case bounded:
		in = repeat{character, lo, hi}
	default:
		return b.str, nil
	}
	return &rule{name: path, body: seq{literal(`"`), in, literal(`"`)}}, nil
}

// ecmaEscapes are the escapes of JavaScript's patterns that Go writes in another way.
var ecmaEscapes = regexp.MustCompile(`\\u([0-9a-fA-F]{4})`)

// patternForm is the form of the string literals' insides that a pattern finds a place in.
func patternForm(pattern string) (node, error) {
	re, err := parseRegex(ecmaEscapes.ReplaceAllString(pattern, `\x{$1}`))
	if err != nil {
		return nil, err
	}
	t := regexTexts{char: quoted}
	return t.anchored(re, repeat{character, 0, -1})
}

// boundedPattern is patternForm of strings of lo to hi characters; hi is negative for no bound. The pattern must have
// its ends marked, and one repetition at most whose number decides the length.
func boundedPattern(pattern string, lo, hi int) (node, error) {
	re, err := parseRegex(ecmaEscapes.ReplaceAllString(pattern, `\x{$1}`))
	if err != nil {
		return nil, err
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	refused := unsupported(`"pattern" with "minLength" or "maxLength", unless it begins with ^, ends with $, and is of a fixed length but for one repetition: write the length into the pattern`)
	if n := len(parts); n < 3 || parts[0].Op != syntax.OpBeginText && parts[0].Op != syntax.OpBeginLine || parts[n-1].Op != syntax.OpEndText && parts[n-1].Op != syntax.OpEndLine {
		return nil, refused
	}
	parts = parts[1 : len(parts)-1]
	t := regexTexts{char: quoted}
	var out seq
	fixed, at := 0, -1
	var open repeat
	for i, p := range parts {
		n, err := t.form(p, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
		switch least, most := textLength(p); {
		case least == most:
			fixed += least
		case at < 0 && len(p.Sub) == 1:
			one, top := textLength(p.Sub[0])
			r, ok := n.(repeat)
			if !ok || one != 1 || top != 1 {
				return nil, refused
			}
			at, open = i, r
		default:
			return nil, refused
		}
	}
	if at < 0 {
		if fixed < lo || hi >= 0 && fixed > hi {
			return alt{}, nil
		}
		return out, nil
	}
	open.min = max(open.min, lo-fixed)
	if hi >= 0 && (open.max < 0 || open.max > hi-fixed) {
		open.max = hi - fixed
	}
	if open.max >= 0 && open.max < open.min {
		return alt{}, nil
	}
	out[at] = open
	return out, nil
}

// textLength is the least and the most characters of what an expression matches; most is negative for no bound.
func textLength(re *syntax.Regexp) (least, most int) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 1
	case syntax.OpCapture:
		return textLength(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			a, b := textLength(sub)
			if least += a; b < 0 || most < 0 {
				most = -1
			} else {
				most += b
			}
		}
		return least, most
	case syntax.OpAlternate:
		least, most = textLength(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			a, b := textLength(sub)
			if least = min(least, a); b < 0 || most < 0 {
				most = -1
			} else {
				most = max(most, b)
			}
		}
		return least, most
	case syntax.OpRepeat:
		if a, b := textLength(re.Sub[0]); re.Max >= 0 && b >= 0 {
			return a * re.Min, b * re.Max
		}
	case syntax.OpQuest:
		if _, b := textLength(re.Sub[0]); b >= 0 {
			return 0, b
		}
	case syntax.OpEmptyMatch:
		return 0, 0
	}
	return 0, -1
}

// quoted is one character of a set as a string literal has it.
func quoted(s set) node {
	out := alt{set(unicodeSet(s.without(special)))}
	for _, r := range special {
		for c := r.lo; c <= r.hi; c++ {
			if s.has(c) {
				out = append(out, literal(quote(string(c))[1:len(quote(string(c)))-1]))
			}
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}
