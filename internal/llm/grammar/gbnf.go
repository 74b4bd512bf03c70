package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxSource = 1 << 20 // bytes of a grammar or schema

// GBNF reads a grammar in the notation of llama.cpp: rules of the form
//
//	root  ::= "yes" | "no" | number+ # the text has the form of the rule root
//	number ::= [0-9]{1,3} ("." [^a-z])?
//
// with the escapes \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH, and "." for any character. A rule goes on
// in the next line behind a "|" and within parentheses.
func GBNF(source string) (*Grammar, error) {
	e, err := parseGBNF(source)
	if err != nil {
		return nil, err
	}
	return Compile(e)
}

type gbnfParser struct {
	src   string
	at    int
	depth int
	rules map[string]*rule
	set   map[string]bool // those that are defined
	order []string        // as they were first named
}

func parseGBNF(source string) (Expr, error) {
	if len(source) > maxSource {
		return Expr{}, fmt.Errorf("%w: a grammar of %d bytes", ErrTooLarge, len(source))
	}
	p := &gbnfParser{src: source, rules: map[string]*rule{}, set: map[string]bool{}}
	for p.space(true); p.at < len(p.src); p.space(true) {
		if err := p.rule(); err != nil {
			line := 1 + strings.Count(p.src[:min(p.at, len(p.src))], "\n")
			return Expr{}, fmt.Errorf("line %d: %w", line, err)
		}
	}
	for _, name := range p.order {
		if !p.set[name] {
			return Expr{}, syntaxError("rule %q is used and not defined", name)
		}
	}
	root, ok := p.rules["root"]
	if !ok {
		return Expr{}, syntaxError("there is no rule root")
	}
	return Expr{root}, nil
}

// space skips blanks and comments, and ends of lines where lines is set.
func (p *gbnfParser) space(lines bool) {
	for p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case c == '#':
			for p.at < len(p.src) && p.src[p.at] != '\n' && p.src[p.at] != '\r' {
				p.at++
			}
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			p.at++
		default:
			return
		}
	}
}

func (p *gbnfParser) peek() byte {
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return 0
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func (p *gbnfParser) name() string {
	from := p.at
	for p.at < len(p.src) && isWord(p.src[p.at]) {
		p.at++
	}
	return p.src[from:p.at]
}

func (p *gbnfParser) ref(name string) *rule {
	r, ok := p.rules[name]
	if !ok {
		r = &rule{name: name}
		p.rules[name] = r
		p.order = append(p.order, name)
	}
	return r
}

func (p *gbnfParser) rule() error {
	name := p.name()
	if name == "" {
		return p.unexpected("the name of a rule")
	}
	p.space(false)
	if !strings.HasPrefix(p.src[p.at:], "::=") {
		return p.unexpected("::=")
	}
	if p.set[name] {
		return syntaxError("rule %q is defined twice", name)
	}
	p.set[name] = true
	p.at += 3
	p.space(true)
	r := p.ref(name)
	n, err := p.alternatives(false)
	if err != nil {
		return err
	}
	r.body = n
	if c := p.peek(); p.at < len(p.src) && c != '\n' && c != '\r' {
		return p.unexpected("the end of the line")
	}
	return nil
}

func (p *gbnfParser) unexpected(want string) error {
	if p.at >= len(p.src) {
		return syntaxError("the grammar ends where %s should be", want)
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.at:])
	return syntaxError("%q where %s should be", r, want)
}

func (p *gbnfParser) alternatives(nested bool) (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("%w: over %d parentheses within each other", ErrTooLarge, maxDepth)
	}
	defer func() { p.depth-- }()
	var out alt
	for {
		s, err := p.sequence(nested)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		if p.peek() != '|' {
			break
		}
		p.at++
		p.space(true)
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func (p *gbnfParser) sequence(nested bool) (node, error) {
	var out seq
	for p.at < len(p.src) {
		var n node
		var err error
		switch c := p.peek(); {
		case c == '"':
			n, err = p.literal()
		case c == '[':
			n, err = p.class()
		case c == '.':
			p.at++
			n = set{{0, utf8.MaxRune}}
		case c == '(':
			p.at++
			p.space(true)
			if n, err = p.alternatives(true); err == nil && p.peek() != ')' {
				err = p.unexpected(")")
			}
			p.at++
		case isWord(c):
			n = p.ref(p.name())
		case c == '<' || c == '!':
			return nil, unsupported("tokens (%q) in grammars: write their text", c)
		default:
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for {
			p.space(nested)
			r := repeat{of: n, max: -1}
			switch p.peek() {
			case '*':
				p.at++
			case '+':
				r.min = 1
				p.at++
			case '?':
				r.max = 1
				p.at++
			case '{':
				if r.min, r.max, err = p.bounds(); err != nil {
					return nil, err
				}
			default:
				r.of = nil
			}
			if r.of == nil {
				break
			}
			if n = r; depthOf(n) > maxDepth {
				return nil, fmt.Errorf("%w: over %d repetitions of each other", ErrTooLarge, maxDepth)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// depthOf counts repetitions of repetitions.
func depthOf(n node) (depth int) {
	for {
		r, ok := n.(repeat)
		if !ok {
			return depth
		}
		n = r.of
		depth++
	}
}

// bounds reads {m}, {m,}, {,n} and {m,n}.
func (p *gbnfParser) bounds() (lo, hi int, err error) {
	end := strings.IndexByte(p.src[p.at:], '}')
	if end < 0 {
		return 0, 0, p.unexpected("{m,n}")
	}
	text := p.src[p.at+1 : p.at+end]
	from, to, two := strings.Cut(text, ",")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if from == "" && two && to != "" {
		from = "0"
	}
	if lo, err = strconv.Atoi(from); err != nil || lo < 0 {
		return 0, 0, syntaxError("{%.40s}: want {m}, {m,} or {m,n}", text)
	}
	switch {
	case !two:
		hi = lo
	case to == "":
		hi = -1
	default:
		if hi, err = strconv.Atoi(to); err != nil || hi < lo {
			return 0, 0, syntaxError("{%.40s}: want {m}, {m,} or {m,n}", text)
		}
	}
	p.at += end + 1
	return lo, hi, nil
}

// char reads a character or an escape.
func (p *gbnfParser) char() (rune, error) {
	r, size := utf8.DecodeRuneInString(p.src[p.at:])
	if r == utf8.RuneError && size <= 1 {
		return 0, syntaxError("the grammar is not UTF-8, or ends within a text")
	}
	p.at += size
	if r != '\\' {
		return r, nil
	}
	c := p.peek()
	p.at++
	digits := 0
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '\\', '"', '[', ']', '-', '^', '/':
		return rune(c), nil
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		p.at--
		return 0, p.unexpected(`an escape such as \n, \" or \x41`)
	}
	if p.at+digits > len(p.src) {
		return 0, p.unexpected("hexadecimal digits")
	}
	n, err := strconv.ParseUint(p.src[p.at:p.at+digits], 16, 32)
	if err != nil || n > utf8.MaxRune {
		return 0, syntaxError(`\%c%s is no character`, c, p.src[p.at:p.at+digits])
	}
	p.at += digits
	return rune(n), nil
}

func (p *gbnfParser) literal() (node, error) {
	p.at++
	var b []byte
	for p.peek() != '"' {
		if p.at >= len(p.src) {
			return nil, p.unexpected(`"`)
		}
		r, err := p.char()
		if err != nil {
			return nil, err
		}
		if !utf8.ValidRune(r) {
			return nil, syntaxError("U+%04X is half of a character", r)
		}
		b = utf8.AppendRune(b, r)
	}
	p.at++
	return literal(b), nil
}

func (p *gbnfParser) class() (node, error) {
	p.at++
	not := p.peek() == '^'
	if not {
		p.at++
	}
	var out []runeRange
	for p.peek() != ']' {
		if p.at >= len(p.src) {
			return nil, p.unexpected("]")
		}
		lo, err := p.char()
		if err != nil {
			return nil, err
		}
		hi := lo
		if p.peek() == '-' && p.at+1 < len(p.src) && p.src[p.at+1] != ']' {
			p.at++
			if hi, err = p.char(); err != nil {
				return nil, err
			}
			if hi < lo {
				return nil, syntaxError("[%c-%c] ends before it begins", lo, hi)
			}
		}
		out = append(out, runeRange{lo, hi})
	}
	p.at++
	s := unicodeSet(out)
	if not {
		s = s.complement()
	}
	return s, nil
}
