package ingest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
)

const softHyphen = '\u00ad' // inside the PDF reader: a hyphen at the end of a line

type outlineItem struct {
	title string
	level int
}

// pdfChar is one character of a page with its place, in points from the top left corner of the page
// as it is seen.
type pdfChar struct {
	r              rune // '\n' and '\r' end a line, ' ' stands between words
	x0, y0, x1, y1 float32
	size           float32 // of the font, on the page
	angle          float32 // of the line of writing, radians; 0 is left to right
	bold, mono     bool
}

// pdfPage is what an engine read of a page.
type pdfPage struct {
	engine        string
	width, height float64
	chars         []pdfChar
	rules         []pdfRule
	dots          [][4]float64 // small shapes: x0, y0, x1, y1
	links         []pdfLink
	blank         bool         // nothing is drawn on it
	pictured      bool         // it may hold pictures, which pictures does not list
	pictures      []pdfPicture // where they were asked for
}

// pdfSheet is a page on its way to blocks.
type pdfSheet struct {
	label         string
	engine        string
	width, height float64
	quality       float64
	segs          []pdfSeg
	across        []pdfRule // the lines that run across it
	links         []pdfAnchor
	blank         bool
	garbled       bool // its text is none, and was left out
	pictures      []pdfPicture
	err           error
}

// pdfMaxPages bounds what a page tree may claim.
const pdfMaxPages = 100_000

// read takes over what an engine read.
func (sh *pdfSheet) read(pg *pdfPage, pictures bool) {
	sh.engine, sh.width, sh.height, sh.quality = pg.engine, pg.width, pg.height, pdfQuality(pg)
	sh.blank, sh.garbled = pg.blank, pg.garbled()
	if sh.garbled {
		return
	}
	across, down := pdfJoinRules(pg.rules)
	sh.across = pdfFreeRules(across, down)
	sh.segs = pdfSegments(pg, pdfTableGrids(pg, across, down))
	pdfDrawnBullets(sh.segs, pg.dots)
	sh.links = pdfAnchors(pg)
	if pictures {
		sh.pictures = pg.readable()
	}
}

func parsePDF(p *parser, in *input, f form) (*Document, error) {
	r := &pdfReader{p: p, in: in}
	defer r.close()
	if err := r.open(); err != nil {
		return nil, err
	}
	sheets := make([]pdfSheet, 0, r.pages)
	var firstErr error
	runes := int64(0)
	for i := range r.pages {
		if err := in.ctx.Err(); err != nil {
			return nil, err
		}
		pg, err := r.page(i)
		sh := pdfSheet{label: r.label(i), err: err}
		if err != nil {
			if errors.Is(err, ErrCrashed) {
				return nil, err
			}
			if firstErr == nil {
				firstErr = err
			}
		} else {
			sh.read(pg, in.recognize)
			runes += int64(len(pg.chars))
		}
		if in.cfg.MaxText > 0 && runes > in.cfg.MaxText {
			return nil, parseError(ErrTooLarge, "it holds more than %s of text; split it, or raise --max-text", byteSize(in.cfg.MaxText))
		}
		sheets = append(sheets, sh)
	}
	b := newDocBuilder("pdf", in.cfg.MaxText)
	pdfBuild(b, sheets, r.outline())
	info := r.metadata()
	for _, kv := range [][2]string{{"Author", "author"}, {"Subject", "subject"}, {"Keywords", "keywords"}, {"Creator", "creator"}} {
		b.meta(kv[1], info[kv[0]])
	}
	b.meta("created", pdfDate(info["CreationDate"]))
	b.meta("modified", pdfDate(info["ModDate"]))
	b.meta("engine", pdfEngines(sheets))
	damaged := 0
	for _, s := range sheets {
		if s.err != nil {
			damaged++
		}
	}
	if damaged > 0 {
		if damaged == len(sheets) {
			return nil, parseError(ErrDamaged, "none of its %d pages can be read", len(sheets))
		}
		b.warn(fmt.Sprintf("%d of %d pages are damaged and were left out", damaged, len(sheets)))
	}
	pdfNoteUnread(b, sheets)
	if len(b.doc.Blocks) == 0 && !in.recognize {
		why := "it seems to be scanned or to hold pictures only"
		if n := len(b.doc.GarbledPages); n > 0 {
			why = fmt.Sprintf("the text of %d is garbled by its fonts", n)
		}
		return nil, parseError(ErrNoText, "none of its %d pages holds text; %s; %s", len(sheets), why, howToRecognize)
	}
	if !in.recognize {
		b.doc.unread = nil
	}
	doc, err := b.finish(in.name, info["Title"])
	if err != nil {
		return nil, err
	}
	pdfPlaceLinks(&doc.Document, sheets)
	return doc, nil
}

// pdfNoteUnread notes the pages whose text is not in the document, and those that recognition may read better.
func pdfNoteUnread(b *docBuilder, sheets []pdfSheet) {
	without := b.doc.PagesWithoutText
	for i, s := range sheets {
		number := i + 1
		empty := len(without) > 0 && without[0] == number
		if empty {
			without = without[1:]
		}
		if s.garbled {
			b.doc.GarbledPages = append(b.doc.GarbledPages, number)
		}
		if empty && !s.blank {
			b.doc.NeedsOCR = append(b.doc.NeedsOCR, number)
		}
		if empty && !s.blank || s.err == nil && s.quality < pdfDoubtful && !s.blank {
			b.doc.unread = append(b.doc.unread, number)
		}
	}
}

func pdfEngines(sheets []pdfSheet) string {
	var names []string
	for _, s := range sheets {
		if s.engine != "" && !slices.Contains(names, s.engine) {
			names = append(names, s.engine)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// pdfDate turns "D:20240131120000+01'00'" into "2024-01-31".
func pdfDate(s string) string {
	s = strings.TrimPrefix(s, "D:")
	if len(s) >= 8 && strings.Trim(s[:8], "0123456789") == "" {
		return s[:4] + "-" + s[4:6] + "-" + s[6:8]
	}
	return ""
}

// pdfReader reads a document with ledongthuc/pdf where that can be trusted, and with PDFium where not.
// PDFium is not started for a document of which the first reads every page well.
type pdfReader struct {
	p      *parser
	in     *input
	pages  int
	first  *ledongDoc
	second *pdfiumDoc
	tried  bool
	slow   int   // pages that took too long
	err    error // why there is no second
}

func (r *pdfReader) open() error {
	if r.in.cfg.Isolated && !r.in.careful && r.in.password == "" {
		r.first = openLedong(r.in.ctx, r.in.file, r.in.size, &r.p.unclean)
	}
	if r.first != nil {
		r.pages = r.first.pages
		if r.first.labelled(r.in.ctx) {
			_, _ = r.pdfium()
		}
		return nil
	}
	d, err := r.pdfium()
	if err != nil {
		return err
	}
	r.pages = min(d.pages, pdfMaxPages)
	return nil
}

func (r *pdfReader) pdfium() (*pdfiumDoc, error) {
	if !r.tried {
		r.tried = true
		if r.second, r.err = r.p.pdfium.open(r.in.ctx, r.in.file, r.in.size, r.in.password); r.err == nil {
			r.second.pictures = r.in.recognize
		}
	}
	return r.second, r.err
}

func (r *pdfReader) close() {
	if r.second != nil {
		r.second.close()
	}
}

func (r *pdfReader) page(i int) (*pdfPage, error) {
	var first *pdfPage
	quality := 0.0
	if r.first != nil {
		pg, plain := r.first.page(r.in.ctx, i)
		if pg != nil {
			quality = pdfQuality(pg)
			if plain && quality >= pdfGood {
				r.addPictures(pg, i)
				return pg, nil
			}
			first = pg
		}
	}
	d, err := r.pdfium()
	if err != nil {
		if first != nil && quality >= pdfGood {
			return first, nil
		}
		return nil, err
	}
	second, err := d.pageWithin(i)
	if errors.Is(err, ErrTimeout) && r.slow < 3 {
		// The engine was ended in the middle of it; start it again for the other pages.
		r.slow++
		r.second.close()
		r.tried = false
		if _, err := r.pdfium(); err != nil {
			return nil, err
		}
	}
	if err != nil {
		if errors.Is(err, ErrCrashed) || first == nil || quality < pdfGood {
			return nil, err
		}
		return first, nil
	}
	// PDFium reads most pages better; only where its text is plainly wrong does the other one count.
	if q := pdfQuality(second); first != nil && q < pdfDoubtful && quality > q+0.2 {
		first.pictures, first.blank = second.pictures, false
		return first, nil
	}
	return second, nil
}

// addPictures has PDFium find the pictures of a page that the other engine read.
func (r *pdfReader) addPictures(pg *pdfPage, i int) {
	if !r.in.recognize || !pg.pictured {
		return
	}
	d, err := r.pdfium()
	if err != nil {
		return
	}
	if second, err := d.pageWithin(i); err == nil {
		pg.pictures = second.pictures
	} else if errors.Is(err, ErrTimeout) {
		r.second.close()
		r.tried = false
	}
}

func (r *pdfReader) label(i int) string {
	if r.second == nil {
		return ""
	}
	return r.second.label(i)
}

func (r *pdfReader) outline() []outlineItem {
	if r.second != nil {
		return r.second.outline()
	}
	return r.first.outline(r.in.ctx)
}

func (r *pdfReader) metadata() map[string]string {
	if r.second != nil {
		return r.second.metadata()
	}
	return r.first.metadata(r.in.ctx)
}

// pdfBuild writes the pages into b: margins dropped, blocks in reading order, headings found.
func pdfBuild(b *docBuilder, sheets []pdfSheet, outline []outlineItem) {
	dropMargins(sheets)
	body := pdfBodySize(sheets)
	pages := make([][]pdfPara, len(sheets))
	for i := range sheets {
		pages[i] = pdfParas(sheets[i].segs, sheets[i].across, body)
	}
	pdfHeadings(pages, body, outline)
	pdfJoinTables(pages)
	var last *pdfPara
	for i := range sheets {
		label := sheets[i].label
		if label == fmt.Sprint(i+1) {
			label = ""
		}
		b.startPage(i+1, label)
		before := len(b.doc.Blocks)
		extended := false
		pictures := newPagePictures(sheets[i].pictures, pages[i], i+1)
		for j := range pages[i] {
			para := &pages[i][j]
			if para.joined && len(b.doc.Blocks) > 0 {
				b.movePictures()
				b.extend("\n", para.text)
				extended = true
				last = para
				continue
			}
			if j == 0 && last != nil && last.open && para.kind == chunker.Paragraph && pdfContinues(last, para) {
				sep, text := pdfSeam(b, last.text, para.text)
				b.movePictures()
				b.extend(sep, text)
				extended = true
				last = para
				continue
			}
			pictures.note(b, j)
			text := strings.ReplaceAll(para.text, string(softHyphen), "-")
			if para.open && j == len(pages[i])-1 && strings.HasSuffix(para.text, string(softHyphen)) {
				text = para.text // decided when the next page is seen; cleanText drops it
			}
			b.add(para.kind, para.level, text)
			last = para
		}
		pictures.note(b, len(pages[i]))
		if len(b.doc.Blocks) == before && !extended && sheets[i].err == nil {
			b.doc.PagesWithoutText = append(b.doc.PagesWithoutText, i+1)
		}
	}
}

// pdfContinues tells whether a page's first paragraph goes on with the last of the page before.
func pdfContinues(last, next *pdfPara) bool {
	if last.kind != chunker.Paragraph && last.kind != chunker.ListItem || math.Abs(last.size-next.size) > 0.1*next.size {
		return false
	}
	f := firstRune(next.text)
	return unicode.IsLower(f) || isCJK(f) && unicode.IsLetter(f) && next.lines > 1 || strings.HasSuffix(last.text, string(softHyphen))
}

// pdfSeam is what goes between two halves of a paragraph on either side of a page's end.
func pdfSeam(b *docBuilder, last, next string) (sep, text string) {
	if strings.HasSuffix(last, string(softHyphen)) {
		return "", next
	}
	l, _ := utf8.DecodeLastRuneInString(last)
	if isCJK(l) && isCJK(firstRune(next)) {
		return "", next
	}
	return " ", next
}

// pdfBodySize is the size that most characters have.
func pdfBodySize(sheets []pdfSheet) float64 {
	count := map[int]int{}
	for i := range sheets {
		for _, s := range sheets[i].segs {
			if !s.turned {
				count[int(math.Round(s.size*2))] += s.runes
			}
		}
	}
	best, most := 0, 0
	for size, n := range count {
		if n > most || n == most && size < best {
			best, most = size, n
		}
	}
	return float64(best) / 2
}

var (
	pageNumber      = regexp.MustCompile(`^(?i)(?:[-–—·•|]\s*)?(?:page|p\.|pg\.?|第|seite)?\s*(?:#|[ivxlc]{1,7})\s*(?:页|頁)?\s*(?:(?:/|of|von|共|,)\s*(?:共)?\s*#\s*(?:页|頁)?)?(?:\s*[-–—·•|])?$`)
	numberedHeading = regexp.MustCompile(`^(?:[0-9]{1,2}(?:\.[0-9]{1,2}){0,4}\.?\s+\p{Lu}|第[0-9一二三四五六七八九十百]{1,4}[章节節条條]|[一二三四五六七八九十]{1,3}、)`)
	digitsInRow     = regexp.MustCompile(`[0-9０-９]+`)
)

// dropMargins removes what repeats at the top and at the bottom of pages: running titles and page
// numbers.
func dropMargins(sheets []pdfSheet) {
	if len(sheets) < 2 {
		return
	}
	type key struct {
		text string
		y    int
	}
	type place struct{ sheet, seg int }
	seen := map[key][]place{}
	for i := range sheets {
		sh := &sheets[i]
		if sh.height <= 0 {
			continue
		}
		first, last := sh.height, 0.0
		for j := range sh.segs {
			if s := &sh.segs[j]; !s.turned {
				first, last = min(first, s.cy()), max(last, s.cy())
			}
		}
		for j := range sh.segs {
			s := &sh.segs[j]
			// Within an eighth of the page's height of its edges, or the outermost line within a quarter.
			top := s.cy() < 0.125*sh.height || s.cy() < 0.25*sh.height && s.cy()-first < 1.2*s.size
			bottom := s.cy() > 0.875*sh.height || s.cy() > 0.75*sh.height && last-s.cy() < 1.2*s.size
			if s.grid != nil && s.grid.ys[len(s.grid.ys)-1]-s.grid.ys[0] > 0.15*sh.height {
				continue // the header of a table that begins a page
			}
			if !top && !bottom || s.turned || utf8.RuneCountInString(s.text) > 150 {
				continue
			}
			k := key{strings.TrimSpace(digitsInRow.ReplaceAllString(s.text, "#")), int(math.Round(s.cy() / sh.height * 50))}
			// A segment near the border of two cells counts in both.
			for d := -1; d <= 1; d++ {
				k2 := k
				k2.y += d
				seen[k2] = append(seen[k2], place{i, j})
			}
		}
	}
	drop := map[place]bool{}
	for k, places := range seen {
		pages := map[int]bool{}
		for _, p := range places {
			pages[p.sheet] = true
		}
		n := len(pages)
		number := pageNumber.MatchString(k.text)
		switch {
		case number && n >= 2 && n*10 >= len(sheets)*3:
		case n >= 3 && n*10 >= len(sheets)*3:
		case n >= 3 && runOfPages(pages) >= 3:
		default:
			continue
		}
		if !number && strings.Contains(k.text, "#") && strings.Trim(k.text, "#., %$-") == "" && n*10 < len(sheets)*5 {
			continue // figures of a table that happen to reach the margin
		}
		for _, p := range places {
			drop[p] = true
		}
	}
	dropped, total := 0, 0
	for i := range sheets {
		for j, s := range sheets[i].segs {
			total += s.runes
			if drop[place{i, j}] {
				dropped += s.runes
			}
		}
	}
	if dropped*4 > total {
		return // pages that are mostly alike: what repeats is what they say
	}
	for i := range sheets {
		kept := sheets[i].segs[:0:0]
		for j, s := range sheets[i].segs {
			if !drop[place{i, j}] {
				kept = append(kept, s)
			}
		}
		// Pages with nothing else are forms or slides with one line: their text is what they say.
		if len(kept) > 0 {
			sheets[i].segs = kept
		}
	}
}

// runOfPages is the longest run of pages, at most one left out between two.
func runOfPages(pages map[int]bool) int {
	best := 0
	for p := range pages {
		if pages[p-1] || pages[p-2] {
			continue
		}
		n := 1
		for q := p; ; {
			switch {
			case pages[q+1]:
				q++
			case pages[q+2]:
				q += 2
			default:
				q = -1
			}
			if q < 0 {
				break
			}
			n++
		}
		best = max(best, n)
	}
	return best
}

// pdfHeadings marks headings: what the outline names, what is set larger than the text, and what is
// set in bold and apart.
func pdfHeadings(pages [][]pdfPara, body float64, outline []outlineItem) {
	named := map[string]int{}
	for _, o := range outline {
		if k := headingKey(o.title); k != "" {
			if _, ok := named[k]; !ok {
				named[k] = min(o.level, 6)
			}
		}
	}
	var sizes []int
	isHeading := func(p *pdfPara) (large, bold bool) {
		n := utf8.RuneCountInString(p.text)
		if p.kind != chunker.Paragraph && p.kind != chunker.ListItem || n > 160 || n < 2 || p.lines > 3 || body <= 0 {
			return false, false
		}
		if p.kind == chunker.ListItem && !p.bold {
			return false, false
		}
		letters := 0
		for _, r := range p.text {
			if unicode.IsLetter(r) {
				letters++
			}
		}
		if letters*2 < n {
			return false, false
		}
		if p.size > 1.15*body || p.size > 1.06*body && p.lines == 1 && p.gap && n <= 80 && numberedHeading.MatchString(p.text) {
			return true, false
		}
		end, _ := utf8.DecodeLastRuneInString(p.text)
		return false, p.bold && p.size > 0.95*body && n <= 100 && p.lines <= 2 && !strings.ContainsRune(".,;:。，；：、", end)
	}
	for _, page := range pages {
		for i := range page {
			if large, _ := isHeading(&page[i]); large {
				if s := int(math.Round(page[i].size * 2)); !slices.Contains(sizes, s) {
					sizes = append(sizes, s)
				}
			}
		}
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	// Sizes that differ by less than a tenth are one level.
	level := map[int]int{}
	at, from := 0, 0
	for _, s := range sizes {
		if at == 0 || float64(s) < 0.92*float64(from) {
			at, from = min(at+1, 5), s
		}
		level[s] = at
	}
	for _, page := range pages {
		for i := range page {
			p := &page[i]
			if l, ok := named[headingKey(p.text)]; ok && p.lines <= 4 && p.kind != chunker.Table && p.kind != chunker.Code {
				p.kind, p.level, p.open = chunker.Heading, l, false
				continue
			}
			switch large, bold := isHeading(p); {
			case large:
				p.kind, p.level, p.open = chunker.Heading, level[int(math.Round(p.size*2))], false
			case bold:
				p.kind, p.level, p.open = chunker.Heading, min(at+1, 6), false
			}
		}
	}
}

// headingKey is what of a heading's text outlines and pages agree on.
func headingKey(s string) string {
	var b strings.Builder
	for _, r := range cleanText(s, false) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	if b.Len() > 300 {
		return ""
	}
	return b.String()
}
