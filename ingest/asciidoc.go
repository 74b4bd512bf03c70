package ingest

import (
	"regexp"
	"strings"

	"docent/chunker"
)

var (
	adocHeading   = regexp.MustCompile(`^(={1,6}|#{1,6})\s+(\S.*)$`)
	adocAttr      = regexp.MustCompile(`^:(!?[\w-]+!?):(?:\s+(.*))?$`)
	adocItem      = regexp.MustCompile(`^(\*{1,5}|\.{1,5}|-|\d{1,4}\.)\s+(\S.*)$`)
	adocTerm      = regexp.MustCompile(`^(\S.*?)(:{2,4}|;;)(?:\s+(.*))?$`)
	adocMacro     = regexp.MustCompile(`^(image|video|audio|include|toc|ifdef|ifndef|ifeval|endif|tag|end)::`)
	adocLink      = regexp.MustCompile(`(?:link:|mailto:|xref:)?((?:https?|ftp|irc)://[^\s\[\]<>]+|[^\s\[\]<>:]+)\[([^\]]*)\]|\b(?:https?|ftp)://[^\s\[\]<>]+`)
	adocXref      = regexp.MustCompile(`<<([^,<>]+)(?:,\s*([^<>]+))?>>`)
	adocImageLink = regexp.MustCompile(`\blink=("[^"]*"|[^,\]]*)`)
	adocFootnote  = regexp.MustCompile(`footnote(?:ref)?:[\w-]*\[([^\]]*)\]`)
	adocInlined   = regexp.MustCompile(`(?:kbd|btn|menu|icon|image|stem|latexmath|asciimath|pass|indexterm2?):[^\s\[]*\[([^\]]*)\]`)
	adocRef       = regexp.MustCompile(`\{([\w-]+)\}`)
	adocAnchor    = regexp.MustCompile(`\[\[[^\]]*\]\]|\(\(\([^)]*\)\)\)`)
	adocMarks     = regexp.MustCompile("(\\*\\*|__|``|##|\\+\\+\\+?)(\\S.*?\\S|\\S)(\\*\\*|__|``|##|\\+\\+\\+?)")
	adocMark      = regexp.MustCompile("(^|[\\x{fdd0}-\\x{fdef}\\s(\\[\"'“‘—,;:])[*_`#+]([^\\s*_`#+](?:[^*_`#+]*[^\\s*_`#+])?)[*_`#+]([\\x{fdd0}-\\x{fdef}\\s.,;:!?)\\]\"'”’—]|$)")
)

type adocReader struct {
	b     *docBuilder
	attrs map[string]string
}

// addAsciiDoc writes the blocks of an AsciiDoc document and returns its title.
func addAsciiDoc(b *docBuilder, text string) string {
	r := &adocReader{b: b, attrs: map[string]string{}}
	title := ""
	lines := strings.Split(text, "\n")
	var para []string
	level, continued := 0, false
	marker := ""
	source := false
	flush := func() {
		if len(para) > 0 {
			t := r.inline(strings.Join(para, "\n"))
			if marker != "" {
				b.add(chunker.ListItem, max(level, 1), marker+" "+strings.ReplaceAll(t, "\n", " "))
			} else {
				b.add(chunker.Paragraph, 0, t)
			}
		}
		para, marker = nil, ""
	}
	for i := 0; i < len(lines) && !b.tooLong; i++ {
		line := strings.TrimRight(lines[i], " \t")
		t := strings.TrimSpace(line)
		fence := adocFence(t)
		switch {
		case t == "":
			flush()
			continued = false
		case fence != "":
			flush()
			j := i + 1
			for j < len(lines) && strings.TrimRight(lines[j], " \t") != t {
				j++
			}
			switch {
			case fence == "////":
				i = j
			case fence == "|===":
				r.table(lines[i+1 : min(j, len(lines))])
				i = j
			case fence == "----" || fence == "...." || fence == "```" || fence == "++++" || source:
				b.add(chunker.Code, 0, strings.Join(lines[i+1:min(j, len(lines))], "\n"))
				i = j
			}
			source = false // of the other fences only the lines themselves are dropped
		case strings.HasPrefix(t, "//") && !strings.HasPrefix(t, "///"):
		case adocAttr.MatchString(t) && len(para) == 0:
			if m := adocAttr.FindStringSubmatch(t); len(r.attrs) < 1000 {
				r.attrs[strings.Trim(m[1], "!")] = m[2]
			}
		case adocHeading.MatchString(line) && len(para) == 0:
			m := adocHeading.FindStringSubmatch(line)
			h := r.inline(m[2])
			if len(m[1]) == 1 && title == "" {
				title = h
				b.add(chunker.Heading, 1, h)
				// Author and revision follow the title at once.
				for i+1 < len(lines) && !blank(lines[i+1]) && !adocAttr.MatchString(strings.TrimSpace(lines[i+1])) && !strings.HasPrefix(lines[i+1], "//") {
					if b.doc.Metadata["author"] == "" {
						b.meta("author", lines[i+1])
					}
					i++
				}
				continue
			}
			b.add(chunker.Heading, len(m[1]), h)
		case adocMacro.MatchString(t):
			if alt := t[strings.IndexByte(t, '[')+1:]; strings.HasPrefix(t, "image::") && len(alt) < len(t) {
				if l := adocImageLink.FindStringSubmatch(alt); l != nil {
					b.pictureLink(strings.Trim(l[1], `"`))
				}
				alt, _, _ = strings.Cut(strings.TrimSuffix(alt, "]"), ",")
				if !strings.Contains(alt, "=") {
					b.add(chunker.Paragraph, 0, strings.Trim(alt, `"`))
				}
			}
		case strings.HasPrefix(t, "[") && strings.HasSuffix(t, "]") && len(para) == 0:
			source = strings.HasPrefix(t, "[source") || strings.HasPrefix(t, "[listing") || strings.HasPrefix(t, "[literal")
			if q, ok := strings.CutPrefix(t, "[quote,"); ok {
				para = append(para, strings.TrimSpace(strings.TrimSuffix(q, "]"))+":")
				flush()
			}
		case t == "+" && len(para) > 0, t == "+":
			flush()
			continued = true
		case t == "'''" || t == "<<<" || t == "---" || t == "***":
			flush()
		case strings.HasPrefix(t, ".") && len(t) > 1 && t[1] != '.' && t[1] != ' ' && len(para) == 0:
			b.add(chunker.Paragraph, 0, r.inline(t[1:]))
		case adocItem.MatchString(t) && (len(para) == 0 || marker != ""):
			flush()
			m := adocItem.FindStringSubmatch(t)
			marker, level = "-", 1
			if m[1][0] == '*' || m[1][0] == '.' {
				level = len(m[1])
			}
			if m[1][0] != '*' && m[1][0] != '-' {
				marker = "1."
				if m[1][0] != '.' {
					marker = m[1]
				}
			}
			para = []string{m[2]}
		case len(para) == 0 && adocTerm.MatchString(t) && !strings.Contains(t, "://"):
			m := adocTerm.FindStringSubmatch(t)
			if m[3] == "" {
				for i+1 < len(lines) && blank(lines[i+1]) {
					i++
				}
				para = []string{m[1] + ":"}
			} else {
				para = []string{m[1] + ": " + m[3]}
			}
		case (line[0] == ' ' || line[0] == '\t') && len(para) == 0 && !continued:
			j := i
			for j < len(lines) && !blank(lines[j]) {
				j++
			}
			b.add(chunker.Code, 0, outdent(lines[i:j]))
			i = j - 1
		default:
			para = append(para, t)
		}
	}
	flush()
	return title
}

// adocFence is the kind of a line that opens and closes a block.
func adocFence(t string) string {
	if strings.HasPrefix(t, "```") {
		return "```"
	}
	switch t {
	case "|===", "!===", ",===", ":===":
		return "|==="
	case "--":
		return "--"
	}
	if len(t) < 4 || strings.Trim(t, t[:1]) != "" {
		return ""
	}
	switch t[0] {
	case '-', '.', '/', '+', '=', '*', '_':
		return strings.Repeat(t[:1], 4)
	}
	return ""
}

func (r *adocReader) inline(s string) string {
	s = adocAnchor.ReplaceAllString(s, "")
	s = adocRef.ReplaceAllStringFunc(s, func(m string) string {
		switch k := m[1 : len(m)-1]; k {
		case "nbsp", "sp", "empty", "blank":
			return " "
		default:
			if v := r.attrs[k]; v != "" && len(v) < 500 {
				return v
			}
			return m
		}
	})
	s = adocFootnote.ReplaceAllString(s, " ($1)")
	s = adocInlined.ReplaceAllString(s, "$1")
	s = adocXref.ReplaceAllStringFunc(s, func(m string) string {
		g := adocXref.FindStringSubmatch(m)
		if g[2] != "" {
			return g[2]
		}
		return strings.TrimPrefix(g[1], "#")
	})
	s = adocLink.ReplaceAllStringFunc(s, r.link)
	s = adocMarks.ReplaceAllString(s, "$2")
	for range 2 { // neighbours share the blank between them
		s = adocMark.ReplaceAllString(s, "$1$2$3")
	}
	return strings.TrimSuffix(s, " +")
}

// link is the text of a link macro, or of an address with a text or without, with marks for where it leads.
func (r *adocReader) link(m string) string {
	g := adocLink.FindStringSubmatch(m)
	target := g[1]
	switch {
	case target == "":
		end := len(strings.TrimRight(m, ".,;:!?)\"'"))
		return r.b.link(m[:end], m[:end]) + m[end:]
	case strings.HasPrefix(m, "mailto:"):
		target = "mailto:" + target
	case !strings.Contains(target, "://") && !strings.HasPrefix(m, "link:") && !strings.HasPrefix(m, "xref:"):
		return m
	}
	text, _, _ := strings.Cut(g[2], ",")
	if text = strings.TrimSuffix(text, "^"); text == "" {
		text = g[1]
	}
	return r.b.link(target, text)
}

// table reads the rows between two lines of "|===". A row is a line of cells; where cells stand on
// lines of their own, the first line tells how many make a row.
func (r *adocReader) table(lines []string) {
	var rows [][]string
	columns := 0
	var cells []string
	for _, l := range lines {
		t := strings.TrimSpace(l)
		if t == "" || strings.HasPrefix(t, "//") {
			continue
		}
		at := strings.IndexByte(t, '|')
		if at < 0 || at > 8 {
			if n := len(cells); n > 0 {
				cells[n-1] += " " + r.inline(t)
			}
			continue
		}
		n := 0
		for i, c := range strings.Split(strings.ReplaceAll(t, `\|`, "\x00"), "|") {
			if i == 0 {
				continue // before the first bar: how the cell is shown
			}
			cells = append(cells, r.inline(strings.TrimSpace(strings.ReplaceAll(c, "\x00", "|"))))
			n++
		}
		columns = max(columns, n)
	}
	if columns == 1 {
		columns = 2 // one cell to a line: the number of columns was stated elsewhere
		for _, c := range []int{2, 3, 4, 5} {
			if len(cells)%c == 0 {
				columns = c
				break
			}
		}
	}
	for len(cells) > 0 && columns > 0 {
		n := min(columns, len(cells))
		rows = append(rows, cells[:n])
		cells = cells[n:]
	}
	r.b.add(chunker.Table, 0, markdownTable(rows))
}
