package ingest

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
)

// parseMarkup reads text in one of the light markup languages: reStructuredText, AsciiDoc or LaTeX.
func parseMarkup(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, enc := decodeText(raw, "")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	b := newDocBuilder(f.format, in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	title := ""
	switch f.format {
	case "rst":
		r := &rstReader{b: b, lines: strings.Split(text, "\n"), targets: map[string]string{}}
		r.findTargets()
		r.blocks(0, len(r.lines), 0, 0)
	case "asciidoc":
		title = addAsciiDoc(b, text)
	case "latex":
		title = addLaTeX(b, text)
	}
	if err := in.ctx.Err(); err != nil {
		return nil, err
	}
	return b.finish(in.name, title)
}

type rstReader struct {
	b      *docBuilder
	lines  []string
	levels []string // adornments in the order they came, "=" or, with a line above, "=="

	targets   map[string]string // addresses by their names
	anonymous []string          // those without names, in order
}

var (
	rstBullet    = regexp.MustCompile(`^([-*+•]|(?:\d{1,4}|#|[a-zA-Z]|[ivxlc]{1,6})[.)]|\((?:\d{1,4}|#|[a-zA-Z])\))(\s+)\S`)
	rstDirective = regexp.MustCompile(`^\.\.\s+(?:\|[^|]+\|\s+)?([\w:-]+?)\s?::\s*(.*)$`)
	rstField     = regexp.MustCompile(`^:([^:\s][^:]*):(?:\s+(.*))?$`)
	rstRole      = regexp.MustCompile(`:[a-zA-Z][\w:+.-]*:` + "`([^`]*)`")
	rstLink      = regexp.MustCompile("`([^`<]*?)\\s*<([^`>]*)>`_{0,2}")
	rstLiteral   = regexp.MustCompile("``(.+?)``")
	rstQuoted    = regexp.MustCompile("`([^`]+)`_{0,2}")
	rstStrong    = regexp.MustCompile(`\*\*([^*\s](?:[^*]*[^*\s])?)\*\*`)
	rstEmphasis  = regexp.MustCompile(`\*([^*\s](?:[^*]*[^*\s])?)\*`)
	rstReference = regexp.MustCompile(`\b(\w+)__?(\s|[.,;:)]|$)`)
	rstAddress   = regexp.MustCompile("^\\s*(?:\\.\\.\\s+_(`[^`]+`|[^:]*):|__)\\s+(\\S+)\\s*$")
	rstTarget    = regexp.MustCompile(`^(.*?)\s*<[^<>]*>$`)
)

// inline takes the marks out of a run of text, and keeps links.
func (r *rstReader) inline(s string) string {
	s = rstRole.ReplaceAllStringFunc(s, func(m string) string {
		t := rstRole.FindStringSubmatch(m)[1]
		if g := rstTarget.FindStringSubmatch(t); g != nil && g[1] != "" {
			t = g[1]
		}
		return strings.TrimPrefix(t, "~")
	})
	s = rstLiteral.ReplaceAllString(s, "$1")
	s = rstLink.ReplaceAllStringFunc(s, func(m string) string {
		g := rstLink.FindStringSubmatch(m)
		text, target := g[1], g[2]
		if text == "" {
			text = target
		}
		if name, ok := strings.CutSuffix(target, "_"); ok && r.targets[rstName(name)] != "" {
			target = r.targets[rstName(name)]
		}
		return r.b.link(target, text)
	})
	s = rstQuoted.ReplaceAllStringFunc(s, func(m string) string {
		text := rstQuoted.FindStringSubmatch(m)[1]
		if n := len(m) - len(strings.TrimRight(m, "_")); n > 0 {
			return r.reference(text, n == 2)
		}
		return text
	})
	s = rstStrong.ReplaceAllString(s, "$1")
	s = rstEmphasis.ReplaceAllString(s, "$1")
	s = rstReference.ReplaceAllStringFunc(s, func(m string) string {
		g := rstReference.FindStringSubmatch(m)
		return r.reference(g[1], strings.HasPrefix(m[len(g[1]):], "__")) + g[2]
	})
	return strings.ReplaceAll(s, `\`, "")
}

// reference is the text of a reference to a target that the document names elsewhere, or of an anonymous one,
// which leads to the next target without a name.
func (r *rstReader) reference(text string, anonymous bool) string {
	target := r.targets[rstName(text)]
	if anonymous {
		if target = ""; len(r.anonymous) > 0 {
			target, r.anonymous = r.anonymous[0], r.anonymous[1:]
		}
	}
	return r.b.link(target, text)
}

// rstName is a reference name as names are compared.
func rstName(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// findTargets notes the addresses that names stand for.
func (r *rstReader) findTargets() {
	for _, l := range r.lines {
		m := rstAddress.FindStringSubmatch(l)
		switch {
		case m == nil:
		case m[1] == "" || m[1] == "_":
			r.anonymous = append(r.anonymous, m[2])
		default:
			r.targets[rstName(strings.Trim(m[1], "`"))] = m[2]
		}
	}
}

// adornment is the character that a line consists of, if it is one that underlines titles.
func adornment(s string) byte {
	s = strings.TrimRightFunc(s, unicode.IsSpace)
	if len(s) < 2 || !strings.ContainsRune(`=-~^"'#*+.:_<>`+"`", rune(s[0])) || strings.Trim(s, s[:1]) != "" {
		return 0
	}
	return s[0]
}

func indentOf(s string) int {
	n := 0
	for _, c := range s {
		switch c {
		case ' ':
			n++
		case '\t':
			n += 8 - n%8
		default:
			return n
		}
	}
	return n
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// body is where the indented lines after i end.
func (r *rstReader) body(i, end, indent int) int {
	last := i
	for ; i < end; i++ {
		if blank(r.lines[i]) {
			continue
		}
		if indentOf(r.lines[i]) <= indent {
			break
		}
		last = i + 1
	}
	return last
}

// outdent joins lines without the indentation they share.
func outdent(lines []string) string {
	shared := 1 << 20
	for _, l := range lines {
		if !blank(l) {
			shared = min(shared, len(l)-len(strings.TrimLeft(l, " \t")))
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[min(shared, len(l)):]
		if blank(l) {
			out[i] = ""
		}
	}
	return strings.Trim(strings.Join(out, "\n"), "\n")
}

func (r *rstReader) level(key string) int {
	for i, l := range r.levels {
		if l == key {
			return min(i+1, 6)
		}
	}
	r.levels = append(r.levels, key)
	return min(len(r.levels), 6)
}

func (r *rstReader) blocks(i, end, list, depth int) {
	if depth > 50 {
		r.b.add(chunker.Paragraph, 0, outdent(r.lines[i:end]))
		return
	}
	for i < end && !r.b.tooLong {
		line := r.lines[i]
		t := strings.TrimSpace(line)
		indent := indentOf(line)
		switch {
		case t == "":
			i++
		case i+2 < end && indent == 0 && adornment(line) != 0 && !blank(r.lines[i+1]) && adornment(r.lines[i+1]) == 0 && adornment(r.lines[i+2]) == line[0]:
			r.b.add(chunker.Heading, r.level(t[:1]+t[:1]), r.inline(r.lines[i+1]))
			i += 3
		case i+1 < end && indent == 0 && adornment(r.lines[i+1]) != 0 && adornment(line) == 0 && len(strings.TrimSpace(r.lines[i+1])) >= min(utf8.RuneCountInString(t), 4) && (i == 0 || blank(r.lines[i-1]) || adornment(r.lines[i-1]) == 0):
			r.b.add(chunker.Heading, r.level(string(adornment(r.lines[i+1]))), r.inline(t))
			i += 2
		case strings.HasPrefix(t, "+-") && strings.Trim(t, "+-=") == "":
			i = r.gridTable(i, end)
		case adornment(strings.ReplaceAll(t, " ", "")) == '=' && strings.Contains(t, " "):
			i = r.simpleTable(i, end)
		case adornment(line) != 0 && len(t) >= 4:
			i++ // a rule
		case strings.HasPrefix(t, "__ "):
			i++ // the target of an anonymous reference
		case t == ".." || strings.HasPrefix(t, ".. "):
			i = r.explicit(i, end, list, depth)
		case strings.HasPrefix(t, ">>> "):
			j := i
			for j < end && !blank(r.lines[j]) {
				j++
			}
			r.b.add(chunker.Code, 0, outdent(r.lines[i:j]))
			i = j
		case rstBullet.MatchString(t):
			m := rstBullet.FindStringSubmatch(t)
			marker := m[1]
			if strings.Contains("-*+•", marker) {
				marker = "-"
			}
			j := r.body(i+1, end, indent)
			k := i + 1
			text := strings.TrimSpace(t[len(m[1]):])
			for k < j && !blank(r.lines[k]) && !rstBullet.MatchString(strings.TrimSpace(r.lines[k])) {
				text += " " + strings.TrimSpace(r.lines[k])
				k++
			}
			literal := strings.HasSuffix(text, "::")
			r.b.add(chunker.ListItem, min(list+1, 9), marker+" "+r.inline(strings.TrimSuffix(text, ":")))
			if literal && k < j {
				r.b.add(chunker.Code, 0, outdent(r.lines[k:j]))
			} else {
				r.blocks(k, j, list+1, depth+1)
			}
			i = max(j, k)
		default:
			j := i
			for j < end && !blank(r.lines[j]) && (j == i || indentOf(r.lines[j]) == indent) {
				j++
			}
			var para []string
			fields := true
			for _, l := range r.lines[i:j] {
				l = strings.TrimSpace(l)
				if m := rstField.FindStringSubmatch(l); m != nil && depth == 0 {
					if m[2] != "" {
						para = append(para, m[1]+": "+r.inline(m[2]))
					}
					continue
				}
				fields = false
				para = append(para, strings.TrimPrefix(l, "| "))
			}
			text := strings.Join(para, "\n")
			literal := strings.HasSuffix(text, "::")
			if literal {
				text = strings.TrimSuffix(text, ":")
				if text = strings.TrimSuffix(text, " :"); text == ":" {
					text = ""
				}
			}
			if !fields {
				text = r.inline(text)
			}
			r.b.add(chunker.Paragraph, 0, text)
			i = j
			if literal {
				j = r.body(i, end, indent)
				r.b.add(chunker.Code, 0, outdent(r.lines[i:j]))
				i = max(i, j)
			}
		}
	}
}

// explicit reads a directive, a footnote, a target or a comment.
func (r *rstReader) explicit(i, end, list, depth int) int {
	line := r.lines[i]
	t := strings.TrimSpace(line)
	j := max(r.body(i+1, end, indentOf(line)), i+1)
	if strings.HasPrefix(t, ".. [") {
		if _, rest, ok := strings.Cut(t, "] "); ok {
			more := strings.Join(strings.Fields(strings.Join(r.lines[i+1:j], " ")), " ")
			r.b.add(chunker.Paragraph, 0, r.inline(strings.TrimSpace(t[3:len(t)-len(rest)]+rest+" "+more)))
		}
		return j
	}
	m := rstDirective.FindStringSubmatch(t)
	if m == nil {
		return j // a comment or a target
	}
	// Options come first, up to a blank line.
	k := i + 1
	for k < j && rstField.MatchString(strings.TrimSpace(r.lines[k])) {
		k++
	}
	if m[1] == "image" || m[1] == "figure" {
		for _, l := range r.lines[i+1 : k] {
			if f := rstField.FindStringSubmatch(strings.TrimSpace(l)); f != nil && f[1] == "target" {
				r.b.pictureLink(strings.TrimSuffix(f[2], "_"))
			}
		}
	}
	switch name := m[1]; name {
	case "code", "code-block", "sourcecode", "highlight", "literalinclude", "parsed-literal", "prompt", "productionlist", "doctest", "testcode", "math":
		r.b.add(chunker.Code, 0, outdent(append([]string{m[2]}[:b2i(name == "math" || name == "productionlist")], r.lines[k:j]...)))
	case "image", "toctree", "contents", "include", "raw", "index", "meta", "role", "default-role", "sectnum", "highlightlang", "autosummary", "automodule", "autoclass", "autofunction", "currentmodule", "module", "only-skip", "tocdepth":
	case "replace":
	case "csv-table":
		r.b.add(chunker.Paragraph, 0, r.inline(m[2]))
		addTable(r.b, "", csvRows(outdent(r.lines[k:j]), ','), false)
	case "list-table":
		r.b.add(chunker.Paragraph, 0, r.inline(m[2]))
		r.listTable(r.lines[k:j])
	case "figure":
		r.blocks(k, j, list, depth+1)
	default:
		// Admonitions, topics, versions and what Sphinx describes: argument and content are text.
		head := r.inline(m[2])
		switch name {
		case "note", "warning", "tip", "important", "caution", "danger", "hint", "attention", "error", "seealso", "deprecated", "versionadded", "versionchanged":
			head = strings.TrimSpace(strings.ToUpper(name[:1]) + name[1:] + ": " + head)
		}
		if k < j && !blank(r.lines[k]) && k == i+1 { // the argument goes on
			for k < j && !blank(r.lines[k]) {
				head += " " + r.inline(strings.TrimSpace(r.lines[k]))
				k++
			}
		}
		r.b.add(chunker.Paragraph, 0, strings.TrimSuffix(head, ": "))
		r.blocks(k, j, list, depth+1)
	}
	return j
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *rstReader) gridTable(i, end int) int {
	j := i
	for j < end && (strings.HasPrefix(strings.TrimSpace(r.lines[j]), "+") || strings.HasPrefix(strings.TrimSpace(r.lines[j]), "|")) {
		j++
	}
	var rows [][]string
	var row []string
	for _, l := range r.lines[i:j] {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "+") {
			if row != nil {
				rows = append(rows, row)
			}
			row = nil
			continue
		}
		cells := strings.Split(strings.Trim(l, "|"), "|")
		for c, cell := range cells {
			for len(row) <= c {
				row = append(row, "")
			}
			if cell = strings.TrimSpace(cell); cell != "" {
				row[c] = strings.TrimSpace(row[c] + " " + r.inline(cell))
			}
		}
	}
	if row != nil {
		rows = append(rows, row)
	}
	r.b.add(chunker.Table, 0, markdownTable(rows))
	return max(j, i+1)
}

// simpleTable reads a table whose columns are marked by lines of "=".
func (r *rstReader) simpleTable(i, end int) int {
	rule := []rune(r.lines[i])
	var starts []int
	for c := range rule {
		if rule[c] == '=' && (c == 0 || rule[c-1] != '=') {
			starts = append(starts, c)
		}
	}
	var rows [][]string
	rules, j := 1, i+1
	for ; j < end; j++ {
		t := strings.TrimSpace(r.lines[j])
		if t != "" && strings.Trim(t, "= ") == "" {
			rules++
			if j+1 >= end || blank(r.lines[j+1]) {
				j++
				break
			}
			continue
		}
		if strings.Trim(t, "- ") == "" {
			if t == "" && rules > 2 {
				break
			}
			continue
		}
		runes := []rune(r.lines[j])
		row := make([]string, len(starts))
		for c, s := range starts {
			e := len(runes)
			if c+1 < len(starts) {
				e = min(e, starts[c+1])
			}
			if s < e {
				row[c] = r.inline(strings.TrimSpace(string(runes[s:e])))
			}
		}
		if row[0] == "" && len(rows) > 0 { // the row above goes on
			for c := range row {
				rows[len(rows)-1][c] = strings.TrimSpace(rows[len(rows)-1][c] + " " + row[c])
			}
			continue
		}
		rows = append(rows, row)
	}
	r.b.add(chunker.Table, 0, markdownTable(rows))
	return j
}

func (r *rstReader) listTable(lines []string) {
	var rows [][]string
	for _, l := range lines {
		t := strings.TrimSpace(l)
		if rest, ok := strings.CutPrefix(t, "* -"); ok {
			rows = append(rows, []string{r.inline(strings.TrimSpace(rest))})
			continue
		}
		if len(rows) == 0 || t == "" {
			continue
		}
		last := &rows[len(rows)-1]
		if rest, ok := strings.CutPrefix(t, "-"); ok && (rest == "" || rest[0] == ' ') {
			*last = append(*last, r.inline(strings.TrimSpace(rest)))
		} else {
			(*last)[len(*last)-1] += " " + r.inline(t)
		}
	}
	r.b.add(chunker.Table, 0, markdownTable(rows))
}
