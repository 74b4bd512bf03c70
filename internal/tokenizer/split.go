package tokenizer

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A splitter cuts a piece of text into smaller pieces. It sees nothing outside s.
type splitter interface {
	// next is the first piece at or after at, which is 0 or the end of the piece before. An empty
	// piece at len(s) says that there is none.
	next(s string, at int) (start, end int)
}

// A cutBehaviour says where a delimiter goes.
type cutBehaviour int

const (
	cutIsolated cutBehaviour = iota
	cutRemoved
	cutWithPrevious
	cutWithNext
	cutContiguous
)

var cutBehaviours = map[string]cutBehaviour{
	"Isolated": cutIsolated, "Removed": cutRemoved, "MergedWithPrevious": cutWithPrevious,
	"MergedWithNext": cutWithNext, "Contiguous": cutContiguous,
}

// A delimiterSplit cuts at delimiters.
type delimiterSplit struct {
	find      func(s string, at int) (start, end int) // the first delimiter from at on, len(s) and len(s) for none
	behaviour cutBehaviour
	invert    bool // delimiters are what find passes over
	atSpace   bool // a space is always a border
}

// entry is the end of the delimiter, or of the text before the next one, that starts at at.
func (d *delimiterSplit) entry(s string, at int) (end int, delimiter bool) {
	start, end := d.find(s, at)
	if start > at {
		return start, d.invert
	}
	return end, !d.invert
}

func (d *delimiterSplit) next(s string, at int) (int, int) {
	if at >= len(s) {
		return len(s), len(s)
	}
	end, is := d.entry(s, at)
	switch d.behaviour {
	case cutRemoved:
		for is {
			if at = end; at >= len(s) {
				break
			}
			end, is = d.entry(s, at)
		}
	case cutWithPrevious, cutWithNext:
		if is == (d.behaviour == cutWithNext) && end < len(s) {
			if second, also := d.entry(s, end); also != is {
				end = second
			}
		}
	case cutContiguous:
		for end < len(s) {
			second, also := d.entry(s, end)
			if also != is {
				break
			}
			end = second
		}
	}
	return at, end
}

// findClass finds runes of a class, one at a time.
func findClass(t *runeClassTable, any uint16) func(string, int) (int, int) {
	return func(s string, at int) (int, int) {
		at = t.skipNot(s, at, any)
		if at == len(s) {
			return at, at
		}
		_, n := t.at(s, at)
		return at, at + n
	}
}

// findWords finds `\w+|[^\w\s]+`.
func findWords(s string, at int) (int, int) {
	c := runeClasses()
	for at < len(s) {
		class, n := c.at(s, at)
		switch {
		case class&isWordRune != 0:
			return at, c.skip(s, at+n, isWordRune)
		case class&isSpace == 0:
			return at, c.skipNot(s, at+n, isWordRune|isSpace)
		}
		at += n
	}
	return len(s), len(s)
}

func findLiteral(delimiter string) func(string, int) (int, int) {
	return func(s string, at int) (int, int) {
		if i := strings.Index(s[at:], delimiter); i >= 0 {
			return at + i, at + i + len(delimiter)
		}
		return len(s), len(s)
	}
}

// findRegexp compiles an expression of a tokenizer file. Go's engine has no look-around and its own
// Unicode version; what it cannot express is an error.
func findRegexp(pattern string) (func(string, int) (int, int), error) {
	if len(pattern) > 1<<12 {
		return nil, fmt.Errorf("pattern of %d bytes is too long", len(pattern))
	}
	re, err := regexp.Compile(translateRegexp(pattern))
	if err != nil {
		return nil, fmt.Errorf("pattern %q is not one of the known ones and not supported: %w", pattern, err)
	}
	return func(s string, at int) (int, int) {
		for at < len(s) {
			loc := re.FindStringIndex(s[at:])
			if loc == nil {
				break
			}
			if loc[1] > loc[0] {
				return at + loc[0], at + loc[1]
			}
			_, n := utf8.DecodeRuneInString(s[at+loc[0]:])
			at += loc[0] + n
		}
		return len(s), len(s)
	}, nil
}

// translateRegexp widens \s, \S, \d and \w, which Go reads as ASCII, to Unicode.
func translateRegexp(pattern string) string {
	const space, word = `\t-\r\x{85}\pZ`, `\pL\pM\p{Nd}\p{Nl}\p{Pc}`
	var b strings.Builder
	inClass := false
	for i := 0; i < len(pattern); i++ {
		ch := pattern[i]
		if ch == '\\' && i+1 < len(pattern) {
			i++
			set := map[byte]string{'s': space, 'd': `\p{Nd}`, 'w': word}[pattern[i]]
			neg := map[byte]string{'S': space, 'W': word}[pattern[i]]
			switch {
			case set != "" && inClass:
				b.WriteString(set)
			case set != "":
				b.WriteString("[" + set + "]")
			case neg != "" && !inClass:
				b.WriteString("[^" + neg + "]")
			case pattern[i] == 'D':
				b.WriteString(`\P{Nd}`)
			default:
				b.WriteByte('\\')
				b.WriteByte(pattern[i])
			}
			continue
		}
		switch ch {
		case '[':
			inClass = true
		case ']':
			inClass = false
		}
		b.WriteByte(ch)
	}
	return b.String()
}

// newPatternSplit is the splitter for a Split of tokenizer.json.
func newPatternSplit(pattern string, isRegexp bool, behaviour cutBehaviour, invert bool) (splitter, error) {
	if !isRegexp {
		if pattern == "" {
			return nil, fmt.Errorf("pattern is empty")
		}
		return &delimiterSplit{find: findLiteral(pattern), behaviour: behaviour, invert: invert}, nil
	}
	if groups := knownGroups[pattern]; groups != nil && behaviour == cutIsolated && !invert {
		return groups, nil
	}
	if known := knownPatterns[pattern]; known != nil {
		if behaviour == cutIsolated || known.total && invert && behaviour == cutRemoved {
			return known, nil
		}
		match := known.match
		return &delimiterSplit{find: func(s string, at int) (int, int) {
			c := runeClasses()
			for at < len(s) {
				if end := match(c, s, at); end > at {
					return at, end
				}
				_, n := utf8.DecodeRuneInString(s[at:])
				at += n
			}
			return len(s), len(s)
		}, behaviour: behaviour, invert: invert}, nil
	}
	find, err := findRegexp(pattern)
	if err != nil {
		return nil, err
	}
	return &delimiterSplit{find: find, behaviour: behaviour, invert: invert}, nil
}
