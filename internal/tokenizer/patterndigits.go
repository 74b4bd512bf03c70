package tokenizer

import "unicode/utf8"

func matchDigits3(c *runeClassTable, s string, i int) int { return skipDigits(c, s, i, 3) }

// A groupSplit cuts numbers into groups of three digits, counted from the last. Like every splitter it is stateless,
// and reads each number a bounded number of times: a border within a number is a multiple of three from its end.
type groupSplit struct {
	digit uint16 // class of digits
	word  bool   // only of numbers that end a word
}

func (g *groupSplit) next(s string, at int) (int, int) {
	c := runeClasses()
	end := at
	for end < len(s) {
		if class, n := c.at(s, end); class&g.digit == 0 {
			end += n
			continue
		}
		within := false
		if end == at && at > 0 {
			class, _ := c.before(s, at)
			within = class&g.digit != 0
		}
		if within {
			return at, skipRunes(s, at, 3)
		}
		last, count := endOfRun(c, s, end, g.digit)
		if g.word && last < len(s) {
			if class, _ := c.at(s, last); class&isRegexWord != 0 {
				end = last // not at the end of a word: text like other text
				continue
			}
		}
		if end > at {
			return at, end
		}
		return at, skipRunes(s, at, (count-1)%3+1)
	}
	return at, end
}

// matchBorders is the end of the piece that starts at i: the next place that a multiple of three digits follows, and
// no more of them.
func matchBorders(c *runeClassTable, s string, i int) int {
	for at := i; at < len(s); {
		class, n := c.at(s, at)
		if class&isDigit == 0 {
			at += n
			continue
		}
		if at == i && i > 0 {
			if class, _ := c.before(s, i); class&isDigit != 0 { // a border, so threes are left
				end := skipRunes(s, i, 3)
				if end == len(s) {
					return end
				}
				if class, _ := c.at(s, end); class&isDigit != 0 {
					return end
				}
				at = end
				continue
			}
		}
		last, count := endOfRun(c, s, at, isDigit)
		first := count % 3
		if first == 0 && at == i {
			first = 3
		}
		if first < count {
			return skipRunes(s, at, first)
		}
		at = last
	}
	return len(s)
}

// endOfRun is where the characters of a class end that start at i, and how many they are.
func endOfRun(c *runeClassTable, s string, i int, any uint16) (end, count int) {
	for i < len(s) {
		class, n := c.at(s, i)
		if class&any == 0 {
			break
		}
		i += n
		count++
	}
	return i, count
}

// skipRunes is the place n characters after i, of which there are as many.
func skipRunes(s string, i, n int) int {
	for ; n > 0; n-- {
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return i
}
