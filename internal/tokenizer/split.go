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

// A patternSplit is one of the well-known regular expressions, written by hand: match is the end of
// the match at i, or i for none. Text between matches is a piece.
type patternSplit struct {
	match func(c *runeClassTable, s string, i int) int
	total bool // there is a match at every position
}

func (p *patternSplit) next(s string, at int) (int, int) {
	if at >= len(s) {
		return len(s), len(s)
	}
	c := runeClasses()
	end := p.match(c, s, at)
	if p.total || end > at {
		return at, end
	}
	for end = at; end < len(s); {
		_, n := utf8.DecodeRuneInString(s[end:])
		end += n
		if end < len(s) && p.match(c, s, end) > end {
			break
		}
	}
	return at, end
}

// The patterns in use, as they are written in tokenizer.json files.
const (
	patternGPT2      = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternGPT2Short = `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternLlama3    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCL100K    = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	patternQwen2     = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen35    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternO200K     = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken    = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternDeepSeek  = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
	patternCLIP      = `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`
	patternFalcon    = "[\\p{P}\\$\\+<=>\\^~\\|`]+"
	patternBloom     = ` ?[^(\s|.,!?…。，、।۔،)]+`
	// Ideographs, and what a mistaken range takes in: U+0800 to U+4E00.
	patternIdeographs = `[一-龥ࠀ-一가-퟿]+`
	patternDigits3    = `\p{N}{1,3}`
	patternCJK        = `[一-龥぀-ゟ゠-ヿ]+`
)

var knownPatterns = map[string]*patternSplit{
	patternGPT2:      {matchGPT2, true},
	patternGPT2Short: {matchGPT2, true},
	patternLlama3:    {matchLlama3, true},
	patternCL100K:    {matchLlama3, true},
	patternQwen2:     {matchQwen2, true},
	patternQwen35:    {matchQwen35, true},
	patternO200K:     {matchO200K, true},
	patternTekken:    {matchTekken, true},
	patternDeepSeek:  {matchDeepSeek, false},
	patternCLIP:      {matchCLIP, false},
	patternDigits3:   {matchDigits3, false},
	patternCJK:       {matchCJK, false},
}

// contraction is the end of an English contraction at the apostrophe s[i], or i. Under fold letters
// match in both cases, and s matches the long s, which folds to it.
func contraction(s string, i int, fold bool) int {
	if i+1 >= len(s) || s[i] != '\'' {
		return i
	}
	a, b := s[i+1], byte(0)
	if i+2 < len(s) {
		b = s[i+2]
	}
	if fold {
		if a == 0xC5 && b == 0xBF {
			return i + 3
		}
		a, b = lowerASCII(a), lowerASCII(b)
	}
	switch a {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v':
		if b == 'e' {
			return i + 3
		}
	case 'l':
		if b == 'l' {
			return i + 3
		}
	}
	return i
}

func lowerASCII(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// spaces matches white space at i as `\s+(?!\S)|\s+` does: all of a run but the character before the
// next word, and all of it at the end of the text. Under lines `\s*[\r\n]+` comes first.
func spaces(c *runeClassTable, s string, i int, lines bool) int {
	end, last, line := i, i, -1
	for end < len(s) {
		class, n := c.at(s, end)
		if class&isSpace == 0 {
			break
		}
		if s[end] == '\n' || s[end] == '\r' {
			line = end + 1
		}
		last = end
		end += n
	}
	switch {
	case lines && line > 0:
		return line
	case end < len(s) && last > i:
		return last
	}
	return end
}

func matchGPT2(c *runeClassTable, s string, i int) int {
	j := i
	switch s[i] {
	case '\'':
		if end := contraction(s, i, false); end > i {
			return end
		}
	case ' ':
		if i+1 == len(s) {
			return len(s)
		}
		j++
	}
	class, n := c.at(s, j)
	switch {
	case class&isLetter != 0:
		return c.skip(s, j+n, isLetter)
	case class&isNumber != 0:
		return c.skip(s, j+n, isNumber)
	case class&isSpace == 0:
		return c.skipNot(s, j+n, isSpace|isLetter|isNumber)
	}
	return spaces(c, s, i, false)
}

func matchLlama3(c *runeClassTable, s string, i int) int { return matchGPT4(c, s, i, 3, isLetter) }
func matchQwen2(c *runeClassTable, s string, i int) int  { return matchGPT4(c, s, i, 1, isLetter) }
func matchQwen35(c *runeClassTable, s string, i int) int {
	return matchGPT4(c, s, i, 1, isLetter|isMark)
}

func matchGPT4(c *runeClassTable, s string, i, digits int, letter uint16) int {
	if s[i] == '\'' {
		if end := contraction(s, i, true); end > i {
			return end
		}
	}
	class, n := c.at(s, i)
	j := i + n
	switch {
	case class&letter != 0:
		return c.skip(s, j, letter)
	case class&isNumber != 0:
		return skipDigits(c, s, j, digits-1)
	case s[i] == '\r' || s[i] == '\n':
		return spaces(c, s, i, true)
	}
	if j < len(s) {
		if next, m := c.at(s, j); next&letter != 0 {
			return c.skip(s, j+m, letter)
		} else if s[i] == ' ' && next&(isSpace|isNumber) == 0 {
			return lineEnds(s, c.skipNot(s, j+m, isSpace|isNumber|letter))
		}
	}
	if class&isSpace != 0 {
		return spaces(c, s, i, true)
	}
	return lineEnds(s, c.skipNot(s, j, isSpace|isNumber|letter))
}

func skipDigits(c *runeClassTable, s string, i, most int) int {
	for ; most > 0 && i < len(s); most-- {
		class, n := c.at(s, i)
		if class&isNumber == 0 {
			break
		}
		i += n
	}
	return i
}

func lineEnds(s string, i int) int {
	for i < len(s) && (s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

func matchO200K(c *runeClassTable, s string, i int) int {
	ended := func(end int) int { return contraction(s, end, true) }
	return matchCased(c, s, i, 3, ended)
}

func matchTekken(c *runeClassTable, s string, i int) int {
	return matchCased(c, s, i, 1, func(end int) int { return end })
}

// matchCased cuts words where capital letters begin; ended is where a word that ends at end does.
func matchCased(c *runeClassTable, s string, i, digits int, ended func(end int) int) int {
	class, n := c.at(s, i)
	j := i + n
	lead := class&(isLetter|isNumber) == 0 && s[i] != '\r' && s[i] != '\n'
	for _, word := range [...]func(*runeClassTable, string, int) int{wordLower, wordUpper} {
		if lead && j < len(s) {
			if end := word(c, s, j); end > j {
				return ended(end)
			}
		}
		if class&(isLetter|isMark) != 0 {
			if end := word(c, s, i); end > i {
				return ended(end)
			}
		}
	}
	if class&isNumber != 0 {
		return skipDigits(c, s, j, digits-1)
	}
	k := j
	if s[i] == ' ' && j < len(s) {
		class, n = c.at(s, j)
		k = j + n
	}
	if class&(isSpace|isLetter|isNumber) == 0 {
		k = c.skipNot(s, k, isSpace|isLetter|isNumber)
		for k < len(s) && (s[k] == '\n' || s[k] == '\r' || s[k] == '/') {
			k++
		}
		return k
	}
	return spaces(c, s, i, true)
}

// isUpperSide and isLowerSide say if a class is in [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and in
// [\p{Ll}\p{Lm}\p{Lo}\p{M}]: letters without case and marks are in both.
func isUpperSide(class uint16) bool {
	return class&isMark != 0 || class&(isLetter|isLower) == isLetter
}

func isLowerSide(class uint16) bool {
	return class&isMark != 0 || class&(isLetter|isUpper) == isLetter
}

// wordLower matches upper*lower+ with the two sides above: where no lower-case letter follows the
// upper side, the expression gives back characters up to the last that is on both sides.
func wordLower(c *runeClassTable, s string, i int) int {
	end, both := i, i
	for end < len(s) {
		class, n := c.at(s, end)
		if !isUpperSide(class) {
			break
		}
		end += n
		if isLowerSide(class) {
			both = end
		}
	}
	if low := skipLower(c, s, end); low > end {
		return low
	}
	return both
}

// wordUpper matches upper+lower*.
func wordUpper(c *runeClassTable, s string, i int) int {
	end := i
	for end < len(s) {
		class, n := c.at(s, end)
		if !isUpperSide(class) {
			break
		}
		end += n
	}
	if end == i {
		return i
	}
	return skipLower(c, s, end)
}

func skipLower(c *runeClassTable, s string, i int) int {
	for i < len(s) {
		class, n := c.at(s, i)
		if !isLowerSide(class) {
			break
		}
		i += n
	}
	return i
}

func matchDeepSeek(c *runeClassTable, s string, i int) int {
	class, n := c.at(s, i)
	j := i + n
	if s[i] < utf8.RuneSelf && class&(isPunct|isSymbol) != 0 && j < len(s) && asciiLetter(s[j]) {
		for j < len(s) && asciiLetter(s[j]) {
			j++
		}
		return j
	}
	const letter, mark = isLetter | isMark, isPunct | isSymbol
	if class&letter != 0 {
		return c.skip(s, j, letter)
	}
	next, m := uint16(0), 0
	if j < len(s) {
		next, m = c.at(s, j)
	}
	switch {
	case class&mark == 0 && s[i] != '\r' && s[i] != '\n' && next&letter != 0:
		return c.skip(s, j+m, letter)
	case class&mark != 0:
		return lineEnds(s, c.skip(s, j, mark))
	case s[i] == ' ' && next&mark != 0:
		return lineEnds(s, c.skip(s, j+m, mark))
	case class&isSpace != 0:
		return spaces(c, s, i, true)
	}
	return i
}

func asciiLetter(b byte) bool { b |= 0x20; return 'a' <= b && b <= 'z' }

func matchCLIP(c *runeClassTable, s string, i int) int {
	if end := contraction(s, i, false); end > i {
		return end
	}
	class, n := c.at(s, i)
	switch {
	case class&isLetter != 0:
		return c.skip(s, i+n, isLetter)
	case class&isNumber != 0:
		return i + n
	case class&isSpace == 0:
		return c.skipNot(s, i+n, isSpace|isLetter|isNumber)
	}
	return i
}

func matchDigits3(c *runeClassTable, s string, i int) int { return skipDigits(c, s, i, 3) }

func matchCJK(_ *runeClassTable, s string, i int) int {
	for i < len(s) && s[i] >= utf8.RuneSelf {
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r < 0x4E00 || r > 0x9FA5) && (r < 0x3040 || r > 0x30FF) {
			break
		}
		i += n
	}
	return i
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
