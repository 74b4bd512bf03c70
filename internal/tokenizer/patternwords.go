package tokenizer

import (
	"math"
	"strings"
	"unicode/utf8"
)

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

func asciiLetter(b byte) bool { b |= 0x20; return 'a' <= b && b <= 'z' }

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

func lineSpaces(c *runeClassTable, s string, i int) int { return spaces(c, s, i, true) }

// halvedSpaces matches as Jais 2 does: `\s*[\r\n]+`, then the largest of 512, 256, 128, 64, 32, 16, 8, 4, 2 and 1 of
// white space that no word follows.
func halvedSpaces(c *runeClassTable, s string, i int) int {
	// Where the character before is white space, but not the end of a line, no line ends in what follows of the run:
	// the expression would have taken it.
	within := false
	if i > 0 {
		class, n := c.before(s, i)
		within = class&isSpace != 0 && s[i-n] != '\n' && s[i-n] != '\r'
	}
	const most = 512
	var ends [most + 1]int // by number of characters
	end, count, line := i, 0, -1
	for end < len(s) && !(within && count > most) {
		class, n := c.at(s, end)
		if class&isSpace == 0 {
			break
		}
		end += n
		if s[end-n] == '\n' || s[end-n] == '\r' {
			line = end
		}
		if count++; count <= most {
			ends[count] = end
		}
	}
	if line > 0 {
		return line
	}
	if end < len(s) {
		count-- // the last of the run has a word behind it
	}
	for _, size := range [...]int{512, 256, 128, 64, 32, 16, 8, 4, 2, 1} {
		if size <= count {
			return ends[size]
		}
	}
	return ends[1]
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

// gpt4Words are the expressions of GPT-4's kind: contractions, words with the character before them, numbers,
// other characters, white space.
type gpt4Words struct {
	digits  int    // of a number in one piece
	letter  uint16 // classes that words are of
	whole   bool   // contractions are not cut off
	phrases bool   // words go on after a space, and with the marks of their letters
	tail    func(s string, i int) int
	spaces  func(c *runeClassTable, s string, i int) int
}

const anyDigits = math.MaxInt

func (w *gpt4Words) match(c *runeClassTable, s string, i int) int {
	if s[i] == '\'' && !w.whole {
		if end := contraction(s, i, true); end > i {
			return end
		}
	}
	class, n := c.at(s, i)
	j := i + n
	switch {
	case class&w.letter != 0:
		return w.word(c, s, j)
	case class&isNumber != 0:
		return skipDigits(c, s, j, w.digits-1)
	case s[i] == '\r' || s[i] == '\n':
		return w.spaces(c, s, i)
	}
	if j < len(s) {
		if next, m := c.at(s, j); next&w.letter != 0 {
			return w.word(c, s, j+m)
		} else if s[i] == ' ' && next&(isSpace|isNumber) == 0 {
			return w.tail(s, c.skipNot(s, j+m, isSpace|isNumber|w.letter))
		}
	}
	if class&isSpace != 0 {
		return w.spaces(c, s, i)
	}
	return w.tail(s, c.skipNot(s, j, isSpace|isNumber|w.letter))
}

// word is the end of a word that goes on at i.
func (w *gpt4Words) word(c *runeClassTable, s string, i int) int {
	for i = c.skip(s, i, w.letter); w.phrases; i = c.skip(s, i, w.letter|isMark) {
		if i+1 >= len(s) {
			break
		}
		class, n := c.at(s, i)
		switch {
		case class&isMark != 0:
			i += n
			continue
		case s[i] != ' ':
			return i
		}
		if class, n = c.at(s, i+1); class&w.letter == 0 {
			return i
		}
		i += 1 + n
	}
	return i
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

// What follows other characters, at i, in the same piece.

func noTail(_ string, i int) int { return i }

func lineEnds(s string, i int) int {
	for i < len(s) && (s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

func slashes(s string, i int) int {
	for i < len(s) && (s[i] == '\n' || s[i] == '\r' || s[i] == '/') {
		i++
	}
	return i
}

func oneLineEnd(s string, i int) int {
	if i < len(s) && (s[i] == '\n' || s[i] == '\r' || s[i] == '/') {
		i++
	}
	return i
}

// casedWords are the expressions of GPT-4o's kind, which cut words where capital letters begin.
type casedWords struct {
	digits     int
	contracted bool   // an English contraction belongs to its word
	apart      uint16 // classes of characters that are words of their own
	tail       func(s string, i int) int
}

func (w *casedWords) match(c *runeClassTable, s string, i int) int {
	class, n := c.at(s, i)
	if class&w.apart != 0 {
		return c.skip(s, i+n, w.apart)
	}
	j := i + n
	lead := class&(isLetter|isNumber) == 0 && s[i] != '\r' && s[i] != '\n'
	for _, word := range [...]func(*runeClassTable, string, int) int{w.lower, w.upper} {
		if lead && j < len(s) {
			if end := word(c, s, j); end > j {
				return w.ended(s, end)
			}
		}
		if class&(isLetter|isMark) != 0 {
			if end := word(c, s, i); end > i {
				return w.ended(s, end)
			}
		}
	}
	if class&isNumber != 0 {
		return skipDigits(c, s, j, w.digits-1)
	}
	k := j
	if s[i] == ' ' && j < len(s) {
		class, n = c.at(s, j)
		k = j + n
	}
	if class&(isSpace|isLetter|isNumber) == 0 {
		return w.tail(s, c.skipNot(s, k, isSpace|isLetter|isNumber))
	}
	return spaces(c, s, i, true)
}

func (w *casedWords) ended(s string, end int) int {
	if w.contracted {
		return contraction(s, end, true)
	}
	return end
}

// isUpper and isLower say if a class is in [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and in [\p{Ll}\p{Lm}\p{Lo}\p{M}], but for
// what is apart: letters without case and marks are in both.
func (w *casedWords) isUpper(class uint16) bool {
	return (class&isMark != 0 || class&(isLetter|isLower) == isLetter) && class&w.apart == 0
}

func (w *casedWords) isLower(class uint16) bool {
	return (class&isMark != 0 || class&(isLetter|isUpper) == isLetter) && class&w.apart == 0
}

// lower matches upper*lower+ with the two sides above: where no lower-case letter follows the upper side, the
// expression gives back characters up to the last that is on both sides.
func (w *casedWords) lower(c *runeClassTable, s string, i int) int {
	end, both := i, i
	for end < len(s) {
		class, n := c.at(s, end)
		if !w.isUpper(class) {
			break
		}
		end += n
		if w.isLower(class) {
			both = end
		}
	}
	if low := w.skipLower(c, s, end); low > end {
		return low
	}
	return both
}

// upper matches upper+lower*.
func (w *casedWords) upper(c *runeClassTable, s string, i int) int {
	end := i
	for end < len(s) {
		class, n := c.at(s, end)
		if !w.isUpper(class) {
			break
		}
		end += n
	}
	if end == i {
		return i
	}
	return w.skipLower(c, s, end)
}

func (w *casedWords) skipLower(c *runeClassTable, s string, i int) int {
	for i < len(s) {
		class, n := c.at(s, i)
		if !w.isLower(class) {
			break
		}
		i += n
	}
	return i
}

func matchDeepSeek(c *runeClassTable, s string, i int) int { return matchMarked(c, s, i, true) }
func matchSpark(c *runeClassTable, s string, i int) int    { return matchMarked(c, s, i, false) }

// matchMarked matches words with the character or the ASCII mark before them, marks, and white space. Under lines
// the ends of lines go with what is before them, else each is on its own.
func matchMarked(c *runeClassTable, s string, i int, lines bool) int {
	tail := noTail
	if lines {
		tail = lineEnds
	}
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
	newline := s[i] == '\r' || s[i] == '\n'
	switch {
	case class&mark == 0 && !newline && next&letter != 0:
		return c.skip(s, j+m, letter)
	case class&mark != 0:
		return tail(s, c.skip(s, j, mark))
	case s[i] == ' ' && next&mark != 0:
		return tail(s, c.skip(s, j+m, mark))
	case newline && !lines:
		return j
	case class&isSpace != 0:
		return spaces(c, s, i, lines)
	}
	return i
}

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

// classRun is a run of characters of some classes.
type classRun struct {
	class  uint16
	also   string // ASCII characters
	one    bool   // each character by itself
	spaced bool   // with the white space before it, one character
	bert   bool   // marks are those of BERT, as Hugging Face's Punctuation has them
}

func (r *classRun) match(c *runeClassTable, s string, i int) int {
	if r.bert {
		c = punctuation()
	}
	start := i
	if r.spaced {
		if class, n := c.at(s, i); class&isSpace != 0 {
			start += n
		}
	}
	end := start
	for end < len(s) {
		class, n := c.at(s, end)
		if class&r.class == 0 && strings.IndexByte(r.also, s[end]) < 0 {
			break
		}
		if end += n; r.one {
			break
		}
	}
	if end == start {
		return i
	}
	return end
}

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

func matchLines(_ *runeClassTable, s string, i int) int {
	newline := s[i] == '\n'
	for i < len(s) && (s[i] == '\n') == newline {
		i++
	}
	return i
}
