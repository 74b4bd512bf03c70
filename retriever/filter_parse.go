package retriever

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseFilter reads a filter from text such as
//
//	team = sales and (year >= 2024 or not draft exists)
//	path prefix "reports/" and language in (en, zh) and updated > 2026-01
//
// and returns ErrInvalidFilter, with the place, for what it cannot read. Empty text is the zero Filter. A comparison is a field,
// one of = != < <= > >= prefix, and a value; or a field, in, and values in parentheses; or a field and exists. not binds
// tighter than and, and that tighter than or. What is more than letters, digits and _-./:+@%#~* stands in quotes:
// double ones, with the escapes of Go, or single ones, without escapes.
func ParseFilter(s string) (Filter, error) {
	p := filterParser{text: s}
	p.next()
	if p.token == "" && p.err == nil {
		return Filter{}, nil
	}
	f := p.either(0)
	if p.err == nil && p.token != "" {
		p.want("and, or, or the end")
	}
	if p.err == nil {
		_, p.err = f.compile(0)
	}
	if p.err != nil {
		return Filter{}, p.err
	}
	return f, nil
}

type filterParser struct {
	text  string
	at    int    // of what follows token
	start int    // of token
	token string // as it stands in text; empty at the end
	value string // of a word
	word  bool
	err   error // the first
}

func (p *filterParser) want(what string) {
	if p.err != nil {
		return
	}
	found := "it ends"
	if p.token != "" {
		found = "there is " + strconv.Quote(p.token)
	}
	p.err = fmt.Errorf("%w: at character %d %s, where it wants %s", ErrInvalidFilter, utf8.RuneCountInString(p.text[:p.start])+1, found, what)
}

// next goes to the next token.
func (p *filterParser) next() {
	p.at += len(p.text[p.at:]) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
	p.start, p.token, p.value, p.word = p.at, "", "", false
	rest := p.text[p.at:]
	if rest == "" {
		return
	}
	n := 1
	switch c := rest[0]; c {
	case '(', ')', ',', '=':
	case '<', '>', '!':
		if strings.HasPrefix(rest[1:], "=") {
			n = 2
		}
	case '\'':
		end := strings.IndexByte(rest[1:], '\'')
		if end < 0 {
			p.token = rest
			p.want("an end of the quotation")
			return
		}
		n, p.value, p.word = end+2, rest[1:1+end], true
	case '"':
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			p.token = rest
			p.want("a quotation with an end and the escapes of Go")
			return
		}
		n, p.word = len(quoted), true
		p.value, _ = strconv.Unquote(quoted) // QuotedPrefix has checked it
	default:
		if n = bareLength(rest); n == 0 {
			_, n = utf8.DecodeRuneInString(rest)
			p.token = rest[:n]
			p.want("a name, a value in quotes or an operator")
			return
		}
		p.value, p.word = rest[:n], true
	}
	p.token = rest[:n]
	p.at += n
}

// bareLength is how many bytes s begins with that need no quotes.
func bareLength(s string) int {
	for i, r := range s {
		if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("_-./:+@%#~*", r) {
			return i
		}
	}
	return len(s)
}

func (p *filterParser) is(word string) bool { return strings.EqualFold(p.token, word) }

// either reads parts joined by or, both those joined by and.
func (p *filterParser) either(depth int) Filter { return p.joined(Or, depth, p.both) }
func (p *filterParser) both(depth int) Filter   { return p.joined(And, depth, p.one) }

func (p *filterParser) joined(op FilterOp, depth int, part func(int) Filter) Filter {
	all := []Filter{part(depth)}
	for p.err == nil && p.is(string(op)) {
		p.next()
		all = append(all, part(depth))
	}
	if len(all) == 1 {
		return all[0]
	}
	return Filter{Op: op, Of: all}
}

// one reads a comparison, not and what it negates, or what is in parentheses.
func (p *filterParser) one(depth int) Filter {
	if depth > maxFilterDepth {
		p.want("no more than " + strconv.Itoa(maxFilterDepth) + " levels")
	}
	switch {
	case p.err != nil:
		return Filter{}
	case p.token == "(":
		p.next()
		f := p.either(depth + 1)
		p.take(")")
		return f
	case p.is(string(Not)):
		p.next()
		return Filter{Op: Not, Of: []Filter{p.one(depth + 1)}}
	}
	f := Filter{Field: p.name("a field")}
	op := FilterOp(strings.ToLower(p.token))
	switch op {
	case Exists:
		p.next()
	case Equal, Unequal, Less, AtMost, More, AtLeast, Prefix:
		p.next()
		f.Values = []string{p.name("a value")}
	case In:
		p.next()
		p.take("(")
		f.Values = []string{p.name("a value")}
		for p.err == nil && p.token == "," {
			p.next()
			f.Values = append(f.Values, p.name("a value"))
		}
		p.take(")")
	default:
		p.want("= != < <= > >= in prefix or exists")
	}
	f.Op = op
	return f
}

func (p *filterParser) name(what string) string {
	if !p.word || p.token[0] != '"' && p.token[0] != '\'' && isKeyword(p.token) {
		p.want(what)
	}
	if p.err != nil {
		return ""
	}
	v := p.value
	p.next()
	return v
}

func (p *filterParser) take(token string) {
	if p.err == nil && p.token != token {
		p.want(strconv.Quote(token))
	}
	if p.err == nil {
		p.next()
	}
}

func isKeyword(word string) bool {
	switch FilterOp(strings.ToLower(word)) {
	case And, Or, Not, In, Prefix, Exists:
		return true
	}
	return false
}

// String returns the filter in ParseFilter's syntax.
func (f Filter) String() string {
	switch f.Op {
	case "":
		return ""
	case Not:
		if len(f.Of) == 1 {
			return "not " + f.Of[0].grouped()
		}
	case And, Or:
		parts := make([]string, len(f.Of))
		for i, part := range f.Of {
			parts[i] = part.grouped()
		}
		return strings.Join(parts, " "+string(f.Op)+" ")
	}
	values := make([]string, len(f.Values))
	for i, v := range f.Values {
		values[i] = quoteWord(v)
	}
	list := strings.Join(values, ", ")
	switch f.Op {
	case Exists:
		return quoteWord(f.Field) + " exists"
	case In:
		list = "(" + list + ")"
	}
	return quoteWord(f.Field) + " " + string(f.Op) + " " + list
}

// grouped is String, in parentheses where a part of another filter needs them.
func (f Filter) grouped() string {
	if f.Op == And || f.Op == Or {
		return "(" + f.String() + ")"
	}
	return f.String()
}

func quoteWord(s string) string {
	if s == "" || bareLength(s) < len(s) || isKeyword(s) {
		return strconv.Quote(s)
	}
	return s
}
