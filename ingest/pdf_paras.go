package ingest

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
)

// pdfPara is a block of a page before headings are told from paragraphs.
type pdfPara struct {
	kind  chunker.Kind
	text  string
	size  float64
	bold  bool
	lines int
	open  bool // may go on in the next paragraph: it does not end like one
	level int
	gap   bool // set apart from what stands above
	// Where it stands, in points from the page's top left corner; all 0 where it is set down the page or aslant.
	x0, y0, x1, y1 float64

	table  *pdfTableText // of a table
	joined bool          // goes on with the table before
}

// pdfParas builds the blocks of a page from its segments and the lines drawn across it.
func pdfParas(segs []pdfSeg, across []pdfRule, body float64) []pdfPara {
	segs = pdfSetTables(segs, across)
	var level, vertical, turned []pdfSeg
	verticalRunes, allRunes := 0, 0
	for _, s := range segs {
		allRunes += s.runes
		switch {
		case s.table != nil:
			level = append(level, s)
		case s.turned:
			turned = append(turned, s)
		case s.vertical:
			vertical = append(vertical, s)
			verticalRunes += s.runes
		default:
			level = append(level, s)
		}
	}
	var out []pdfPara
	for _, reg := range pdfOrder(level, 0) {
		out = append(out, pdfRegionParas(reg.rows, body)...)
	}
	if len(vertical) > 0 {
		// Columns from right to left; one that stops short of the others ends a paragraph.
		slices.SortStableFunc(vertical, func(a, b pdfSeg) int {
			if math.Abs(a.x0-b.x0) > 0.5*a.size {
				return cmpFloat(b.x0, a.x0)
			}
			return cmpFloat(a.y0, b.y0)
		})
		bottom := 0.0
		for _, s := range vertical {
			bottom = max(bottom, s.y1)
		}
		var b strings.Builder
		var paras []pdfPara
		for i, s := range vertical {
			b.WriteString(s.text)
			if i+1 == len(vertical) || s.y1 < bottom-3*s.size {
				paras = append(paras, pdfPara{kind: chunker.Paragraph, text: b.String(), size: s.size, lines: 2})
				b.Reset()
			}
		}
		if verticalRunes*2 > allRunes {
			out = append(paras, out...)
		} else {
			out = append(out, paras...)
		}
	}
	return append(out, pdfTurned(turned)...)
}

// pdfTurned joins segments along other directions in the order the file has them.
func pdfTurned(segs []pdfSeg) []pdfPara {
	var out []pdfPara
	for i, s := range segs {
		if n := len(out); n > 0 && i > 0 && math.Abs(segs[i-1].size-s.size) < 0.1*s.size && math.Hypot(segs[i-1].x0-s.x0, segs[i-1].y0-s.y0) < 2.5*s.size {
			out[n-1].text = joinLines(out[n-1].text, s.text)
			continue
		}
		out = append(out, pdfPara{kind: chunker.Paragraph, text: s.text, size: s.size, lines: 2})
	}
	return out
}

var (
	pdfBullet   = regexp.MustCompile(`^(?:[•●○◦▪▫■□◆◇➢➤►▶‣⁃∙·–—✓✔\x{f0b7}\x{f0a7}\x{f076}\x{f0d8}*-]\s+\S|[•●▪■◆➢►‣\x{f0b7}\x{f0a7}])`)
	pdfNumbered = regexp.MustCompile(`^(?:\(?[0-9]{1,3}[.)、）]|\(?[a-zA-Z][.)]|\(?[ivx]{1,5}[.)]|[（(][一二三四五六七八九十]{1,3}[）)]|[一二三四五六七八九十]{1,3}、|[①-⑳])\s*\S`)
	pdfMarker   = regexp.MustCompile(`^(?:[•●○◦▪▫■□◆◇➢➤►▶‣⁃∙·–—*-]|[\x{f0b7}\x{f0a7}\x{f076}\x{f0d8}]|\(?[0-9]{1,3}[.)]|\(?[a-zA-Z][.)])$`)
	dotLeader   = regexp.MustCompile(`(?:\s?[.…·‧]){4,}\s*`)
	sentenceEnd = regexp.MustCompile(`[.!?:;。！？：；…"”』」’)）]$`)
)

// pdfRegionParas makes blocks of the rows of one region.
func pdfRegionParas(rows []pdfRow, body float64) []pdfPara {
	if len(rows) == 0 {
		return nil
	}
	left, right := math.Inf(1), math.Inf(-1)
	var gaps []float64
	for i, r := range rows {
		left, right = min(left, r.x0), max(right, r.x1)
		if i > 0 && r.size < 1.15*rows[i-1].size && rows[i-1].size < 1.15*r.size {
			if d := (r.cy() - rows[i-1].cy()) / max(r.size, 1); d > 0.5 && d < 3 {
				gaps = append(gaps, d)
			}
		}
	}
	leading := 1.25
	if len(gaps) > 0 {
		slices.Sort(gaps)
		leading = gaps[len(gaps)/3]
	}
	var out []pdfPara
	var cur []pdfRow
	curGap := true
	flush := func() {
		if len(cur) == 0 {
			return
		}
		out = append(out, pdfJoin(cur, curGap, right))
		cur = nil
	}
	// Each row may begin a table, of any number of rows. Real pages do not come near this bound.
	budget := 2000 + 50*len(rows)
	for i := 0; i < len(rows); {
		if t := rows[i].segs[0].table; t != nil {
			flush()
			if t.caption != "" {
				out = append(out, pdfPara{kind: chunker.Paragraph, text: t.caption, size: rows[i].size, lines: 2, gap: true}.over(rows[i:i+1]))
			}
			out = append(out, pdfPara{kind: chunker.Table, table: t, size: rows[i].size, lines: t.lines}.over(rows[i:i+1]))
			i++
			continue
		}
		if n, t := pdfTable(rows[i:], &budget); n > 0 {
			flush()
			out = append(out, pdfPara{kind: chunker.Table, table: t, size: rows[i].size, lines: n}.over(rows[i:i+n]))
			i += n
			continue
		}
		if n, columns := pdfTextColumns(rows[i:], &budget); n > 0 {
			flush()
			for _, c := range columns {
				out = append(out, pdfRegionParas(c, body)...)
			}
			i += n
			continue
		}
		r := rows[i]
		gap := true
		if i > 0 && rows[i-1].segs[0].table == nil {
			p := rows[i-1]
			d := (r.cy() - p.cy()) / max(min(r.size, p.size), 1)
			gap = d > 1.4*leading || d < 0
			if len(cur) > 0 && pdfNewPara(cur, r, rows[i+1:], gap, left, right) {
				flush()
			}
		}
		if len(cur) == 0 {
			curGap = gap
		}
		cur = append(cur, r)
		i++
	}
	flush()
	return out
}

// pdfNewPara tells whether row r begins another block than the rows in cur.
func pdfNewPara(cur []pdfRow, r pdfRow, after []pdfRow, gap bool, left, right float64) bool {
	p := cur[len(cur)-1]
	size := max(r.size, 1)
	text, before := r.text(), p.text()
	if r.mono && p.mono && math.Abs(r.size-p.size) < 0.1*size {
		return false
	}
	if gap || r.size > 1.12*p.size || p.size > 1.12*r.size || r.mono != p.mono {
		return true
	}
	if r.bold != p.bold && (p.bold && allBold(cur) || r.bold && p.x1 < right-4*size) {
		return true
	}
	if strings.HasSuffix(before, string(softHyphen)) {
		return false
	}
	if pdfBullet.MatchString(text) {
		return true
	}
	ended := sentenceEnd.MatchString(before)
	short := p.x1 < right-0.15*(right-left) && p.x1 < right-3*size
	if pdfNumbered.MatchString(text) && (ended || short) {
		return true
	}
	if short && (ended || isCJK(firstRune(text)) && p.x1 < right-0.3*(right-left)) {
		return true
	}
	if r.mono {
		return false
	}
	// A first line set in: the next one is back where this paragraph's lines begin.
	if in := r.x0 - p.x0; in > 0.8*size && in < 6*size && !pdfBullet.MatchString(cur[0].text()) && !pdfNumbered.MatchString(cur[0].text()) {
		if len(after) == 0 || after[0].x0 < r.x0-0.5*size {
			return ended || len(cur) > 1 || len(after) > 0 && math.Abs(after[0].x0-p.x0) < 0.5*size
		}
	}
	// The end of an entry whose further lines were set in.
	if len(cur) > 1 && r.x0 < p.x0-0.8*size && math.Abs(r.x0-cur[0].x0) < 0.5*size {
		return true
	}
	return false
}

func allBold(rows []pdfRow) bool {
	for _, r := range rows {
		if !r.bold {
			return false
		}
	}
	return true
}

// over is p with the place of rows.
func (p pdfPara) over(rows []pdfRow) pdfPara {
	p.x0, p.y0, p.x1, p.y1 = rows[0].x0, rows[0].y0, rows[0].x1, rows[0].y1
	for _, r := range rows[1:] {
		p.x0, p.y0, p.x1, p.y1 = min(p.x0, r.x0), min(p.y0, r.y0), max(p.x1, r.x1), max(p.y1, r.y1)
	}
	return p
}

// pdfJoin makes one block of rows.
func pdfJoin(rows []pdfRow, gap bool, right float64) pdfPara {
	p := pdfPara{kind: chunker.Paragraph, size: rows[0].size, bold: allBold(rows), lines: len(rows), gap: gap}.over(rows)
	mono, runes := true, 0
	for _, r := range rows {
		mono = mono && r.mono
		runes += r.runes
	}
	if mono && len(rows) >= 2 {
		p.kind = chunker.Code
		left := rows[0].x0
		for _, r := range rows {
			left = min(left, r.x0)
		}
		for i, r := range rows {
			if i > 0 {
				p.text += "\n"
			}
			if in := int((r.x0-left)/(0.6*max(r.size, 1)) + 0.5); in > 0 && in < 80 {
				p.text += strings.Repeat(" ", in)
			}
			p.text += strings.ReplaceAll(r.text(), string(softHyphen), "-")
		}
		return p
	}
	for i, r := range rows {
		if i == 0 {
			p.text = r.text()
			continue
		}
		p.text = joinLines(p.text, r.text())
	}
	if dotLeader.MatchString(p.text) {
		p.text = dotLeader.ReplaceAllString(p.text, " … ")
	}
	if pdfBullet.MatchString(p.text) {
		p.kind, p.level = chunker.ListItem, 1
		_, n := utf8.DecodeRuneInString(p.text)
		p.text = "- " + strings.TrimSpace(p.text[n:])
	}
	last := rows[len(rows)-1]
	p.open = !sentenceEnd.MatchString(p.text) && (len(rows) > 1 || runes > 30) && last.x1 > right-6*last.size || strings.HasSuffix(p.text, string(softHyphen))
	return p
}

// joinLines joins two lines of a paragraph, undoing a hyphen at the end of the first.
func joinLines(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	if s, ok := strings.CutSuffix(a, string(softHyphen)); ok {
		return s + b
	}
	if s, ok := strings.CutSuffix(a, "-"); ok {
		l, _ := utf8.DecodeLastRuneInString(s)
		f, _ := utf8.DecodeRuneInString(b)
		if unicode.IsLetter(l) && unicode.IsLower(f) {
			return s + b
		}
		if unicode.IsLetter(l) || unicode.IsDigit(l) {
			return a + b
		}
	}
	l, _ := utf8.DecodeLastRuneInString(a)
	f, _ := utf8.DecodeRuneInString(b)
	if isCJK(l) && isCJK(f) {
		return a + b
	}
	return a + " " + b
}
