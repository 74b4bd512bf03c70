package chunker

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/internal/prose"
)

// headingText is a heading as shown in a path: one line, without Markdown's marks.
func headingText(s string) string {
	s = strings.TrimSpace(s)
	if hashes := strings.TrimLeft(s, "#"); len(s)-len(hashes) <= 6 && (hashes == "" || hashes[0] == ' ' || hashes[0] == '\t') {
		if len(hashes) < len(s) {
			s = strings.TrimRight(hashes, "# \t")
		}
	}
	if line, rule, ok := strings.Cut(s, "\n"); ok && (strings.Trim(rule, "=\r") == "" || strings.Trim(rule, "-\r") == "") {
		s = line // setext
	}
	if strings.HasPrefix(s, "**") && strings.HasSuffix(s, "**") && len(s) > 4 {
		s = s[2 : len(s)-2]
	}
	return strings.Join(strings.Fields(s), " ")
}

// context is the Context of the chunk [start, end): the document's title, the headings above it and,
// when it begins inside a table, the table's header row, each on a line of its own, without what the
// chunk shows itself. The header row comes first when room is short, then the innermost headings.
func (f *finisher) context(s span, start, end int, path []heading) string {
	if f.contextMax <= 0 {
		return ""
	}
	type part struct {
		text  string
		order int // in the context
	}
	var parts []part // by importance
	if a := f.atoms[s.lap]; a.kind == tableRow {
		blk := f.blocks[a.block]
		if head := tableHeadEnd(f.doc.Text, blk); head > blk.Start && head <= start {
			row, _, _ := strings.Cut(f.doc.Text[blk.Start:head], "\n")
			parts = append(parts, part{strings.TrimSpace(row), len(path) + 1})
		}
	}
	if a := f.atoms[s.lap]; a.kind == codeLine {
		if in := enclosing(f.doc.Text, f.units[a.block], start); len(in) > 0 {
			parts = append(parts, part{strings.Join(in, " > "), len(path) + 1})
		}
	}
	title := strings.Join(strings.Fields(f.doc.Title), " ")
	titled := title == ""
	for i := len(path) - 1; i >= 0; i-- {
		h := path[i]
		if strings.EqualFold(h.text, title) {
			titled = true
		}
		if h.start >= start && h.end <= end || h.text == "" {
			continue
		}
		if i > 0 && strings.EqualFold(h.text, path[i-1].text) {
			continue
		}
		parts = append(parts, part{h.text, i + 1})
	}
	if !titled && !hasPrefixFold(f.doc.Text[start:end], title) {
		// The title says what all is about: after the innermost heading, before the others.
		at := len(parts)
		for i, p := range parts {
			if p.order <= len(path) {
				at = i + 1
				break
			}
		}
		parts = append(parts, part{})
		copy(parts[at+1:], parts[at:])
		parts[at] = part{title, 0}
	}
	lines := make([]string, len(path)+2)
	room := f.contextMax
	for _, p := range parts {
		text, n := f.fit(p.text, room)
		lines[p.order] = text
		room -= n
	}
	var sb strings.Builder
	for _, l := range lines {
		if l == "" {
			continue
		}
		if sb.Len() > 0 {
			sb.WriteByte('\n')
		}
		sb.WriteString(l)
	}
	return sb.String()
}

// fit cuts s at a word to at most room tokens and counts them. A line of which less than 4 tokens
// would be left is dropped.
func (f *finisher) fit(s string, room int) (string, int) {
	n, ok := f.counted[s]
	if !ok {
		n = f.count(s)
		if f.counted == nil || len(f.counted) > 4096 {
			f.counted = make(map[string]int)
		}
		f.counted[s] = n
	}
	if n <= room {
		return s, n
	}
	for k := room; k >= 4; k-- {
		f.buf = f.tok.TokenStarts(f.buf[:0], s)
		if k >= len(f.buf) {
			continue
		}
		at := runeBorder(s, f.buf[k])
		if prev, _ := utf8.DecodeLastRuneInString(s[:at]); !unicode.IsSpace(prev) && !prose.Wide(prev) {
			if i := strings.LastIndexFunc(s[:at], func(r rune) bool { return unicode.IsSpace(r) || prose.Wide(r) }); i > 0 {
				_, size := utf8.DecodeRuneInString(s[i:])
				at = i + size
			}
		}
		cut := strings.TrimSpace(s[:at])
		if n := f.count(cut); n <= room {
			return cut, n
		}
	}
	return "", 0
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
