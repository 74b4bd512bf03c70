package ingest

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"docent/chunker"
)

// latexMaxDepth is how deep commands within arguments are followed.
const latexMaxDepth = 40

// latexMaxArgument is how far the end of an argument is looked for, in bytes: each command that opens
// one without closing it costs that much.
const latexMaxArgument = 32 << 10

type latexReader struct {
	b      *docBuilder
	title  string
	para   strings.Builder
	lists  []string // environments that are lists, with their counters
	counts []int
	marker string
}

var latexLevels = map[string]int{"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5, "subparagraph": 6}

// latexDropped are commands whose arguments are no text, with how many there are.
var latexDropped = map[string]int{
	"label": 1, "ref": 1, "pageref": 1, "eqref": 1, "autoref": 1, "cref": 1, "Cref": 1, "cite": 1, "citep": 1, "citet": 1, "citeauthor": 1, "citeyear": 1, "nocite": 1, "parencite": 1, "textcite": 1,
	"usepackage": 1, "documentclass": 1, "input": 1, "include": 1, "includegraphics": 1, "bibliography": 1, "bibliographystyle": 1, "pagestyle": 1, "thispagestyle": 1,
	"vspace": 1, "hspace": 1, "setlength": 2, "addtolength": 2, "setcounter": 2, "addtocounter": 2, "newcommand": 2, "renewcommand": 2, "providecommand": 2, "newenvironment": 3, "renewenvironment": 3,
	"DeclareMathOperator": 2, "newtheorem": 2, "hypersetup": 1, "geometry": 1, "color": 1, "fontsize": 2, "index": 1, "hypertarget": 1, "phantomsection": 0, "graphicspath": 1, "lstset": 1,
	"definecolor": 3, "addbibresource": 1, "pdfbookmark": 2, "cline": 1, "cmidrule": 1, "linespread": 1, "hyphenation": 1, "addcontentsline": 3, "markboth": 2, "markright": 1, "bibitem": 0,
	"textcolor": 1, "colorbox": 1, "resizebox": 2, "scalebox": 1, "multirow": 2, "raisebox": 1, "parbox": 1, "usetikzlibrary": 1, "tikzset": 1, "newlength": 1, "newcounter": 1, "theoremstyle": 1, "selectlanguage": 1,
	"date": 1, "def": 0, "let": 0,
}

var latexSymbols = map[string]string{
	"ldots": "…", "dots": "…", "textellipsis": "…", "textbackslash": `\`, "textasciitilde": "~", "textasciicircum": "^", "S": "§", "P": "¶", "copyright": "©", "textregistered": "®", "texttrademark": "™",
	"pounds": "£", "euro": "€", "texteuro": "€", "textdegree": "°", "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "aa": "å", "AA": "Å", "l": "ł", "L": "Ł", "i": "ı", "j": "ȷ",
	"LaTeX": "LaTeX", "TeX": "TeX", "textendash": "–", "textemdash": "—", "textbar": "|", "textless": "<", "textgreater": ">", "quad": " ", "qquad": " ", "textbullet": "•", "newline": "\n", "linebreak": "\n", "and": "; ",
	"textquotedblleft": "“", "textquotedblright": "”", "textquoteleft": "‘", "textquoteright": "’", "slash": "/", "today": "", "par": "\n\n", "bigskip": "\n\n", "medskip": "\n\n",
}

var latexAccents = map[byte]string{'\'': "\u0301", '`': "\u0300", '^': "\u0302", '"': "\u0308", '~': "\u0303", '=': "\u0304", '.': "\u0307"}
var latexLetterAccents = map[string]string{"c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a", "d": "\u0323", "b": "\u0331"}

var latexVerbatim = map[string]bool{"verbatim": true, "verbatim*": true, "lstlisting": true, "minted": true, "Verbatim": true, "alltt": true, "code": true}

var latexMath = map[string]bool{"equation": true, "equation*": true, "align": true, "align*": true, "gather": true, "gather*": true, "multline": true, "multline*": true, "displaymath": true, "eqnarray": true, "eqnarray*": true, "math": true, "alignat": true, "alignat*": true, "flalign": true, "flalign*": true}

var latexUnread = map[string]bool{"tikzpicture": true, "filecontents": true, "filecontents*": true, "comment": true, "picture": true, "pgfpicture": true, "axis": true, "CCSXML": true}

// latexAddress takes out what escapes marks in an address.
var latexAddress = strings.NewReplacer(`\%`, "%", `\#`, "#", `\&`, "&", `\_`, "_", `\~`, "~", `\{`, "{", `\}`, "}")

var latexTitle = regexp.MustCompile(`\\(title|author)\s*(?:\[[^\]]*\])?\{`)

// addLaTeX writes the blocks of a LaTeX source and returns its title. Commands are dropped and what
// they are applied to is kept; formulas stay as they are written.
func addLaTeX(b *docBuilder, text string) string {
	r := &latexReader{b: b}
	preamble := ""
	if i := strings.Index(text, `\begin{document}`); i >= 0 {
		preamble, text = text[:i], text[i+len(`\begin{document}`):]
		if j := strings.LastIndex(text, `\end{document}`); j >= 0 {
			text = text[:j]
		}
	}
	for _, part := range []string{preamble, text[:min(len(text), 20000)]} {
		for _, m := range latexTitle.FindAllStringSubmatchIndex(part, 20) {
			arg, _ := latexGroup(part, m[1]-1)
			value := withoutMarks(strings.Join(strings.Fields(r.inline(arg, 0)), " "))
			if part[m[2]:m[3]] == "author" {
				b.meta("author", value)
			} else if r.title == "" {
				r.title = value
			}
		}
	}
	if preamble != "" {
		b.add(chunker.Heading, 1, r.title)
	}
	r.run(text)
	r.flush()
	return r.title
}

func (r *latexReader) flush() {
	raw := r.para.String()
	r.para.Reset()
	text := strings.TrimSpace(latexSpace(r.inline(raw, 0)))
	if text == "" {
		return
	}
	if r.marker != "" {
		r.b.add(chunker.ListItem, min(max(len(r.lists), 1), 9), r.marker+" "+text)
		r.marker = ""
		return
	}
	r.b.add(chunker.Paragraph, 0, text)
}

func latexSpace(s string) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// run reads the body by what makes blocks, and leaves the rest to paragraphs.
func (r *latexReader) run(s string) {
	for i := 0; i < len(s) && !r.b.tooLong; {
		switch c := s[i]; {
		case c == '%':
			for i < len(s) && s[i] != '\n' {
				i++
			}
			i++
		case c == '\n':
			j := i + 1
			for j < len(s) && (s[j] == ' ' || s[j] == '\t' || s[j] == '\r') {
				j++
			}
			if j < len(s) && s[j] == '\n' {
				r.flush()
				i = j + 1
				continue
			}
			r.para.WriteByte('\n')
			i++
		case strings.HasPrefix(s[i:], "$$"):
			j := strings.Index(s[i+2:], "$$")
			if j < 0 {
				i += 2
				continue
			}
			r.flush()
			r.b.add(chunker.Code, 0, strings.TrimSpace(s[i+2:i+2+j]))
			i += j + 4
		case strings.HasPrefix(s[i:], `\[`):
			j := strings.Index(s[i:], `\]`)
			if j < 0 {
				i += 2
				continue
			}
			r.flush()
			r.b.add(chunker.Code, 0, strings.TrimSpace(s[i+2:i+j]))
			i += j + 2
		case c == '\\':
			i = r.command(s, i)
		default:
			r.para.WriteByte(c)
			i++
		}
	}
}

func latexName(s string, i int) (string, int) {
	j := i + 1
	for j < len(s) && (s[j]|0x20 >= 'a' && s[j]|0x20 <= 'z') {
		j++
	}
	if j == i+1 && j < len(s) {
		j++
	}
	name := s[i+1 : j]
	if j < len(s) && s[j] == '*' && len(name) > 1 {
		j++
	}
	return name, j
}

// command reads one that may begin a block; what it is not known for stays in the paragraph.
func (r *latexReader) command(s string, i int) int {
	name, j := latexName(s, i)
	if level, ok := latexLevels[name]; ok {
		r.flush()
		j = latexOption(s, j)
		arg, end := latexGroup(s, j)
		r.b.add(chunker.Heading, level, latexSpace(r.inline(arg, 0)))
		return end
	}
	switch name {
	case "begin":
		env, end := latexGroup(s, j)
		return r.environment(s, strings.TrimSpace(env), end)
	case "end":
		r.flush()
		env, end := latexGroup(s, j)
		if n := len(r.lists); n > 0 && r.lists[n-1] == strings.TrimSpace(env) {
			r.lists, r.counts = r.lists[:n-1], r.counts[:n-1]
		}
		return end
	case "item", "bibitem":
		r.flush()
		end := latexOption(s, j)
		label := ""
		if end > j {
			label = strings.TrimSpace(r.inline(strings.Trim(s[j:end], "[] \n"), 0))
		}
		if name == "bibitem" {
			_, end = latexGroup(s, end)
		}
		r.marker = "-"
		if n := len(r.lists); n > 0 && r.lists[n-1] == "enumerate" {
			r.counts[n-1]++
			r.marker = strconv.Itoa(r.counts[n-1]) + "."
		}
		if label != "" {
			r.marker = "- " + label
			if name == "item" && len(r.lists) > 0 && r.lists[len(r.lists)-1] == "description" {
				r.marker += ":"
			}
		}
		return end
	case "caption":
		end := latexOption(s, j)
		arg, end := latexGroup(s, end)
		r.flush()
		r.b.add(chunker.Paragraph, 0, latexSpace(r.inline(arg, 0)))
		return end
	case "title", "author", "maketitle", "tableofcontents", "newpage", "clearpage", "appendix":
		if name == "title" || name == "author" {
			_, end := latexGroup(s, latexOption(s, j))
			return end
		}
		r.flush()
		return j
	}
	r.para.WriteString(s[i:j])
	return j
}

// environment reads one that is no text, or opens one that is.
func (r *latexReader) environment(s, env string, i int) int {
	r.flush()
	closing := `\end{` + env + `}`
	whole := func() (string, int) {
		j := strings.Index(s[i:], closing)
		if j < 0 {
			return s[i:], len(s)
		}
		return s[i : i+j], i + j + len(closing)
	}
	switch {
	case latexVerbatim[env]:
		body, end := whole()
		at := latexOption(body, 0)
		if env == "minted" {
			_, at = latexGroup(body, at)
		}
		r.b.add(chunker.Code, 0, strings.Trim(body[at:], "\n"))
		return end
	case latexMath[env]:
		body, end := whole()
		r.b.add(chunker.Code, 0, strings.TrimSpace(latexLabels.ReplaceAllString(body, "")))
		return end
	case latexUnread[env]:
		_, end := whole()
		return end
	case env == "tabular" || env == "tabular*" || env == "tabularx" || env == "longtable" || env == "tabulary" || env == "array":
		body, end := whole()
		at := latexOption(body, 0)
		_, at = latexGroup(body, at)
		if env == "tabular*" || env == "tabularx" || env == "tabulary" {
			_, at = latexGroup(body, at)
		}
		r.table(body[at:])
		return end
	case env == "itemize" || env == "enumerate" || env == "description" || env == "thebibliography":
		if len(r.lists) < 100 {
			r.lists, r.counts = append(r.lists, env), append(r.counts, 0)
		}
		end := latexOption(s, i)
		if env == "thebibliography" {
			_, end = latexGroup(s, end)
		}
		return end
	case env == "abstract":
		r.b.add(chunker.Heading, 2, "Abstract")
	case env == "figure" || env == "table" || env == "figure*" || env == "table*" || env == "theorem" || env == "proof" || env == "lemma" || env == "definition":
		return latexOption(s, i)
	case env == "minipage" || env == "multicols" || env == "wrapfigure" || env == "adjustbox":
		_, end := latexGroup(s, latexOption(s, i))
		return end
	}
	return i
}

var (
	latexLabels = regexp.MustCompile(`\\(?:label|nonumber|notag)(?:\{[^}]*\})?`)
	latexRules  = regexp.MustCompile(`\\(?:hline|toprule|midrule|bottomrule|endhead|endfirsthead|endfoot|endlastfoot|cline\{[^}]*\}|cmidrule(?:\([^)]*\))?\{[^}]*\}|addlinespace(?:\[[^\]]*\])?)`)
	latexSpan   = regexp.MustCompile(`\\multicolumn\{(\d{1,2})\}\{[^{}]*\}`)
	latexBreak  = regexp.MustCompile(`\\\\(?:\s*\[[^\]]*\])?|\\tabularnewline`)
)

func (r *latexReader) table(body string) {
	body = latexRules.ReplaceAllString(latexComments.ReplaceAllString(body, "$1"), "")
	var rows [][]string
	for _, line := range latexBreak.Split(body, -1) {
		var row []string
		for _, cell := range strings.Split(strings.ReplaceAll(line, `\&`, "\x00"), "&") {
			span := 1
			if m := latexSpan.FindStringSubmatch(cell); m != nil {
				span, _ = strconv.Atoi(m[1])
				cell = latexSpan.ReplaceAllString(cell, "")
			}
			row = append(row, strings.TrimSpace(latexSpace(r.inline(strings.ReplaceAll(cell, "\x00", `\&`), 0))))
			for range span - 1 {
				row = append(row, "")
			}
		}
		rows = append(rows, row)
	}
	r.b.add(chunker.Table, 0, markdownTable(rows))
}

var latexComments = regexp.MustCompile(`(^|[^\\])%[^\n]*`)

// latexGroup is the content of the braces at i, past white space, and where they end. Without braces
// it is empty and ends where it began.
func latexGroup(s string, i int) (string, int) {
	at := i
	for at < len(s) && (s[at] == ' ' || s[at] == '\n' || s[at] == '\t') {
		at++
	}
	if at >= len(s) || s[at] != '{' {
		return "", i
	}
	depth := 0
	for j := at; j < len(s) && j-at < latexMaxArgument; j++ {
		switch s[j] {
		case '\\':
			j++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[at+1 : j], j + 1
			}
		}
	}
	return "", at + 1
}

// latexOption is where the optional argument at i ends; i when there is none.
func latexOption(s string, i int) int {
	at := i
	for at < len(s) && (s[at] == ' ' || s[at] == '\t') {
		at++
	}
	if at >= len(s) || s[at] != '[' {
		return i
	}
	depth := 0
	for j := at; j < len(s) && j-at < 10000; j++ {
		switch s[j] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	return i
}

// inline takes the commands out of a run of text.
func (r *latexReader) inline(s string, depth int) string {
	if depth > latexMaxDepth {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '\\':
			i = r.inlineCommand(&b, s, i, depth)
		case '{', '}':
			i++
		case '~':
			b.WriteByte(' ')
			i++
		case '%':
			for i < len(s) && s[i] != '\n' {
				i++
			}
			i++
		case '$':
			j := strings.IndexByte(s[i+1:], '$')
			if j < 0 {
				b.WriteByte(c)
				i++
				continue
			}
			b.WriteString(s[i+1 : i+1+j])
			i += j + 2
		case '-':
			n := 0
			for i+n < len(s) && s[i+n] == '-' {
				n++
			}
			b.WriteString(map[int]string{2: "–", 3: "—"}[n])
			if n != 2 && n != 3 {
				b.WriteString(s[i : i+n])
			}
			i += n
		case '`', '\'':
			switch {
			case strings.HasPrefix(s[i:], "``"):
				b.WriteString("“")
				i += 2
			case strings.HasPrefix(s[i:], "''"):
				b.WriteString("”")
				i += 2
			default:
				b.WriteString(map[byte]string{'`': "‘", '\'': "'"}[c])
				i++
			}
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

func (r *latexReader) inlineCommand(b *strings.Builder, s string, i, depth int) int {
	name, j := latexName(s, i)
	if name == "" {
		return len(s)
	}
	if len(name) == 1 {
		c := name[0]
		if mark, ok := latexAccents[c]; ok {
			return latexAccent(b, s, j, mark)
		}
		switch c {
		case '\\':
			b.WriteByte('\n')
			return latexOption(s, j)
		case '%', '&', '_', '#', '$', '{', '}':
			b.WriteByte(c)
			return j
		case '(', ')', '[', ']', '/', '-', '@', '*':
			return j
		case ' ', ',', ';', ':', '!', '\n':
			b.WriteByte(' ')
			return j
		}
	}
	if mark, ok := latexLetterAccents[name]; ok && j < len(s) && (s[j] == '{' || s[j] == ' ') {
		return latexAccent(b, s, j, mark)
	}
	if v, ok := latexSymbols[name]; ok {
		b.WriteString(v)
		if j < len(s) && s[j] == ' ' && !strings.HasSuffix(v, "X") {
			j++
		}
		if strings.HasPrefix(s[j:], "{}") {
			j += 2
		}
		return j
	}
	switch name {
	case "verb", "lstinline":
		if j < len(s) {
			if k := strings.IndexByte(s[j+1:], s[j]); k >= 0 {
				b.WriteString(s[j+1 : j+1+k])
				return j + k + 2
			}
		}
		return j
	case "path":
		arg, end := latexGroup(s, j)
		b.WriteString(arg)
		return end
	case "url":
		arg, end := latexGroup(s, j)
		b.WriteString(r.b.link(latexAddress.Replace(arg), latexAddress.Replace(arg)))
		return end
	case "href":
		target, end := latexGroup(s, latexOption(s, j))
		text, end := latexGroup(s, end)
		b.WriteString(r.b.link(latexAddress.Replace(target), r.inline(text, depth+1)))
		return end
	case "footnote", "thanks", "marginpar":
		arg, end := latexGroup(s, latexOption(s, j))
		b.WriteString(" (" + strings.TrimSpace(r.inline(arg, depth+1)) + ")")
		return end
	case "frac":
		num, end := latexGroup(s, j)
		den, end := latexGroup(s, end)
		b.WriteString(r.inline(num, depth+1) + "/" + r.inline(den, depth+1))
		return end
	}
	end := latexOption(s, j)
	if n, ok := latexDropped[name]; ok {
		for range n {
			for k := latexOption(s, end); k != end; k = latexOption(s, end) {
				end = k
			}
			_, end = latexGroup(s, end)
		}
		return end
	}
	if arg, after := latexGroup(s, end); after > end {
		b.WriteString(r.inline(arg, depth+1))
		if after < len(s) && s[after] == '{' { // a further argument
			b.WriteByte(' ')
		}
		return after
	}
	if j < len(s) && s[j] == ' ' {
		return j + 1
	}
	return j
}

// latexAccent puts an accent on the letter at j.
func latexAccent(b *strings.Builder, s string, j int, mark string) int {
	arg, end := latexGroup(s, j)
	if end == j {
		for j < len(s) && s[j] == ' ' {
			j++
		}
		if j >= len(s) {
			return j
		}
		if s[j] == '\\' { // \'\i
			_, end = latexName(s, j)
			arg = strings.TrimPrefix(s[j:end], `\`)
		} else {
			_, n := utf8.DecodeRuneInString(s[j:])
			arg, end = s[j:j+n], j+n
		}
	}
	arg = strings.TrimPrefix(strings.TrimSpace(arg), `\`)
	if arg == "" {
		return end
	}
	_, n := utf8.DecodeRuneInString(arg)
	b.WriteString(norm.NFC.String(arg[:n]+mark) + arg[n:])
	return end
}
