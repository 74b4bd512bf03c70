package ingest

import (
	"strconv"
	"strings"
)

type docxLevel struct {
	format, text string
	start        int
}

func (r *docxReader) readNumbering(part string) error {
	root, err := r.p.tree(part)
	if err != nil {
		return err
	}
	num := root.child("numbering")
	if num == nil {
		return nil
	}
	for _, n := range num.kids {
		switch n.name {
		case "abstractNum":
			levels := map[int]docxLevel{}
			for _, l := range n.kids {
				if l.name == "lvl" {
					i, _ := strconv.Atoi(l.attr["ilvl"])
					start, err := strconv.Atoi(l.val("start"))
					if err != nil {
						start = 1
					}
					levels[i] = docxLevel{l.val("numFmt"), l.val("lvlText"), start}
				}
			}
			r.numFormats[n.attr["abstractNumId"]] = levels
		case "num":
			r.abstract[n.attr["numId"]] = n.val("abstractNumId")
		}
	}
	return nil
}

// marker is what stands before a paragraph of a list, and counts it.
func (r *docxReader) marker(num string, level int) string {
	if level < 0 || level > 8 {
		level = 0
	}
	abstract := r.abstract[num]
	levels := r.numFormats[abstract]
	lv, ok := levels[level]
	if !ok || lv.format == "bullet" || lv.format == "none" {
		return "-"
	}
	counts := r.counts[abstract+"/"+num]
	if counts == nil {
		counts = make([]int, 9)
		r.counts[abstract+"/"+num] = counts
	}
	if counts[level] == 0 {
		counts[level] = lv.start
	} else {
		counts[level]++
	}
	for i := level + 1; i < 9; i++ {
		counts[i] = 0
	}
	text := lv.text
	if text == "" {
		text = "%" + strconv.Itoa(level+1) + "."
	}
	for i := range 9 {
		n := counts[i]
		if n == 0 {
			n = max(levels[i].start, 1)
		}
		text = strings.ReplaceAll(text, "%"+strconv.Itoa(i+1), docxNumber(n, levels[i].format))
	}
	return strings.TrimSpace(text)
}

func docxNumber(n int, format string) string {
	switch format {
	case "lowerLetter", "upperLetter":
		s := strings.Repeat(string(rune('a'+(n-1)%26)), min((n-1)/26+1, 20))
		if format == "upperLetter" {
			s = strings.ToUpper(s)
		}
		return s
	case "lowerRoman", "upperRoman":
		if n > 3999 {
			break
		}
		var b strings.Builder
		for _, v := range []struct {
			n int
			s string
		}{{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"}, {40, "xl"}, {10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"}} {
			for ; n >= v.n; n -= v.n {
				b.WriteString(v.s)
			}
		}
		if format == "upperRoman" {
			return strings.ToUpper(b.String())
		}
		return b.String()
	case "chineseCounting", "chineseCountingThousand", "ideographTraditional", "japaneseCounting", "taiwaneseCountingThousand":
		return chineseNumber(n)
	}
	return strconv.Itoa(n)
}

// chineseNumber writes 1 to 99 in Chinese numerals, and others in digits.
func chineseNumber(n int) string {
	digits := []rune("零一二三四五六七八九")
	switch {
	case n < 1 || n > 99:
		return strconv.Itoa(n)
	case n < 10:
		return string(digits[n])
	}
	s := "十"
	if n >= 20 {
		s = string(digits[n/10]) + s
	}
	if n%10 > 0 {
		s += string(digits[n%10])
	}
	return s
}
