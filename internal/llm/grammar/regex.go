package grammar

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
)

// Regex reads a regular expression in Go's syntax (RE2's) that the whole text must match. "^" and "$" may
// stand at its ends, where they change nothing; word boundaries and other places are not supported.
func Regex(expr string) (*Grammar, error) {
	e, err := RegexExpr(expr)
	if err != nil {
		return nil, err
	}
	return Compile(e)
}

// RegexExpr is the form of the texts that a regular expression matches as a whole.
func RegexExpr(expr string) (Expr, error) {
	re, err := parseRegex(expr)
	if err != nil {
		return Expr{}, err
	}
	t := regexTexts{char: func(s set) node { return s }}
	n, err := t.anchored(re, nil)
	return Expr{n}, err
}

func parseRegex(expr string) (*syntax.Regexp, error) {
	if len(expr) > 1<<14 {
		return nil, fmt.Errorf("%w: a regular expression of %d bytes", ErrTooLarge, len(expr))
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return re, nil
}

// regexTexts makes forms of regular expressions.
type regexTexts struct {
	char func(set) node // one character of a set, as it is written
}

// anchored is the form of re; where an end of it has no anchor, any may come there, but for nil.
func (t regexTexts) anchored(re *syntax.Regexp, any node) (node, error) {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	if re.Op == syntax.OpAlternate {
		var out alt
		for _, sub := range re.Sub {
			n, err := t.anchored(sub, any)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
		return out, nil
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	begins, ends := false, false
	for len(parts) > 0 && (parts[0].Op == syntax.OpBeginText || parts[0].Op == syntax.OpBeginLine) {
		parts, begins = parts[1:], true
	}
	for n := len(parts); n > 0 && (parts[n-1].Op == syntax.OpEndText || parts[n-1].Op == syntax.OpEndLine); n = len(parts) {
		parts, ends = parts[:n-1], true
	}
	var out seq
	if !begins && any != nil {
		out = append(out, any)
	}
	for _, p := range parts {
		n, err := t.form(p, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if !ends && any != nil {
		out = append(out, any)
	}
	return out, nil
}

func (t regexTexts) form(re *syntax.Regexp, depth int) (node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: over %d levels", ErrTooLarge, maxDepth)
	}
	depth++
	switch re.Op {
	case syntax.OpNoMatch:
		return alt{}, nil
	case syntax.OpEmptyMatch:
		return nil, nil
	case syntax.OpLiteral:
		var out seq
		for _, r := range re.Rune {
			s := []runeRange{{r, r}}
			if re.Flags&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					s = append(s, runeRange{f, f})
				}
			}
			out = append(out, t.char(unicodeSet(s)))
		}
		return out, nil
	case syntax.OpCharClass:
		var s []runeRange
		for i := 0; i < len(re.Rune); i += 2 {
			s = append(s, runeRange{re.Rune[i], re.Rune[i+1]})
		}
		return t.char(unicodeSet(s)), nil
	case syntax.OpAnyChar:
		return t.char(set{{0, unicode.MaxRune}}), nil
	case syntax.OpAnyCharNotNL:
		return t.char(chars("\n").complement()), nil
	case syntax.OpCapture:
		return t.form(re.Sub[0], depth)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		n, err := t.form(re.Sub[0], depth)
		r := repeat{of: n, max: -1}
		switch re.Op {
		case syntax.OpPlus:
			r.min = 1
		case syntax.OpQuest:
			r.max = 1
		case syntax.OpRepeat:
			r.min, r.max = re.Min, re.Max
		}
		return r, err
	case syntax.OpConcat, syntax.OpAlternate:
		var out []node
		for _, sub := range re.Sub {
			n, err := t.form(sub, depth)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
		if re.Op == syntax.OpConcat {
			return seq(out), nil
		}
		return alt(out), nil
	}
	what := strings.TrimSpace(re.String())
	return nil, unsupported("%s within a regular expression", what)
}
