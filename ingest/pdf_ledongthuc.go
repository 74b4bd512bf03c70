package ingest

import (
	"context"
	"io"
	"math"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/ledongthuc/pdf"
)

// ledongDoc is a document open in ledongthuc/pdf. The library panics on broken files, loops on some
// and may ask for any amount of memory, so it runs only in a process that may be lost, within a time
// of its own; once that is over the document is left to the other engine.
type ledongDoc struct {
	r     *pdf.Reader
	pages int
	left  time.Duration // of the time it may take, by a stopwatch
	gone  *atomic.Bool  // set when a call was abandoned
}

const (
	ledongTime     = 1500 * time.Millisecond
	ledongMaxBytes = 64 << 20
)

// guarded runs fn, which may panic or never return, and reports whether it did neither.
func (d *ledongDoc) guarded(ctx context.Context, fn func()) bool {
	if d.left <= 0 {
		return false
	}
	watch := startWatch()
	done := make(chan bool, 1)
	go func() {
		ok := false
		defer func() {
			_ = recover()
			done <- ok
		}()
		fn()
		ok = true
	}()
	spent := make(chan struct{})
	stop := watch.after(d.left, func() { close(spent) })
	defer stop()
	select {
	case ok := <-done:
		d.left -= watch.elapsed()
		return ok
	case <-spent:
	case <-ctx.Done():
	}
	d.left = 0
	d.gone.Store(true)
	return false
}

// openLedong opens a document that needs no password, or returns nil.
func openLedong(ctx context.Context, f io.ReaderAt, size int64, gone *atomic.Bool) *ledongDoc {
	if size > ledongMaxBytes {
		return nil
	}
	d := &ledongDoc{left: ledongTime, gone: gone}
	opened := false
	ok := d.guarded(ctx, func() {
		r, err := pdf.NewReader(f, size)
		if err != nil || r.Trailer().Key("Encrypt").Kind() != pdf.Null {
			return
		}
		n := r.NumPage()
		if n < 1 || n > pdfMaxPages {
			return
		}
		d.r, d.pages, opened = r, n, true
	})
	if !ok || !opened {
		return nil
	}
	return d
}

// page reads a page. plain tells that nothing on it is known to come out wrong; nil that it cannot be
// read at all.
func (d *ledongDoc) page(ctx context.Context, index int) (pg *pdfPage, plain bool) {
	var out *pdfPage
	var good bool
	ok := d.guarded(ctx, func() {
		p := d.r.Page(index + 1)
		if p.V.IsNull() {
			return
		}
		good = ledongPlain(p)
		box := ledongInherited(p, "CropBox")
		if box.Len() != 4 {
			box = ledongInherited(p, "MediaBox")
		}
		if box.Len() != 4 {
			return
		}
		x0, y0, x1, y1 := box.Index(0).Float64(), box.Index(1).Float64(), box.Index(2).Float64(), box.Index(3).Float64()
		pg := &pdfPage{engine: "ledongthuc", width: x1 - x0, height: y1 - y0}
		if pg.width <= 0 || pg.height <= 0 {
			return
		}
		pg.links = ledongLinks(p, x0, y1)
		t := &ledongText{page: p, pg: pg, x0: x0, y1: y1, fonts: map[string]*ledongFont{}}
		t.run()
		good = good && !t.odd
		pg.pictured = ledongPictured(p)
		out = pg
	})
	if !ok {
		return nil, false
	}
	return out, good
}

// ledongPictured tells whether a page has pictures that are no icons.
func ledongPictured(p pdf.Page) bool {
	objects := ledongInherited(p, "Resources").Key("XObject")
	for _, k := range objects.Keys() {
		o := objects.Key(k)
		if o.Key("Subtype").Name() == "Image" && o.Key("Width").Int64() >= leastPictureWidth && o.Key("Height").Int64() >= 1 {
			return true // of any height: it may be a strip of one
		}
	}
	return false
}

// ledongLinks are the links of a page that lead out of the document; x0 and y1 are its top left corner in
// PDF's user space.
func ledongLinks(p pdf.Page, x0, y1 float64) (links []pdfLink) {
	annots := p.V.Key("Annots")
	for i := range min(annots.Len(), maxLinks) {
		a := annots.Index(i)
		action := a.Key("A")
		if a.Key("Subtype").Name() != "Link" || action.Key("S").Name() != "URI" {
			continue
		}
		l := pdfLink{target: linkTarget(action.Key("URI").RawString())}
		if l.target == "" {
			continue
		}
		points := a.Key("QuadPoints") // eight numbers for each line
		if n := points.Len(); n < 8 || n%8 != 0 || n > 800 {
			points = a.Key("Rect")
		}
		step := 8
		if points.Len() == 4 {
			step = 4
		}
		for at := 0; at+step <= points.Len(); at += step {
			b := [4]float64{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
			for k := at; k < at+step; k += 2 {
				x, y := points.Index(k).Float64()-x0, y1-points.Index(k+1).Float64()
				b = [4]float64{min(b[0], x), min(b[1], y), max(b[2], x), max(b[3], y)}
			}
			l.boxes = append(l.boxes, b)
		}
		links = append(links, l)
	}
	return links
}

func ledongInherited(p pdf.Page, key string) pdf.Value {
	v := p.V
	for range 32 {
		if x := v.Key(key); x.Kind() != pdf.Null {
			return x
		}
		if v = v.Key("Parent"); v.Kind() != pdf.Dict {
			break
		}
	}
	return pdf.Value{}
}

// ledongPlain tells whether a page uses only what the library reads right: no turned page, no forms
// drawn into it, nothing drawn over it, and only fonts whose codes and widths are known. The library
// passes over ToUnicode where a font has an encoding of its own, and over all but three of the
// predefined encodings.
func ledongPlain(p pdf.Page) bool {
	if ledongInherited(p, "Rotate").Int64()%360 != 0 {
		return false
	}
	annots := p.V.Key("Annots")
	for i := range annots.Len() {
		if annots.Index(i).Key("Subtype").Name() != "Link" {
			return false
		}
	}
	res := ledongInherited(p, "Resources")
	objects := res.Key("XObject")
	for _, k := range objects.Keys() {
		if objects.Key(k).Key("Subtype").Name() != "Image" {
			return false
		}
	}
	fonts := res.Key("Font")
	for _, k := range fonts.Keys() {
		if !ledongPlainFont(fonts.Key(k)) {
			return false
		}
	}
	return len(fonts.Keys()) > 0
}

type ledongMatrix [6]float64

// mul is m applied before n.
func (m ledongMatrix) mul(n ledongMatrix) ledongMatrix {
	return ledongMatrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// ledongState is the graphics state of PDF 32000-1, 8.4, as far as text needs it.
type ledongState struct {
	ctm                           ledongMatrix
	font                          *ledongFont
	size, char, word, scale, rise float64
	leading                       float64
	line                          float64 // width of lines
}

// ledongText runs a page's content. The library's own Page.Content has no word spacing and no widths
// of composite fonts, and adds a character that is not there after every TJ operator.
type ledongText struct {
	page   pdf.Page
	pg     *pdfPage
	x0, y1 float64
	fonts  map[string]*ledongFont
	odd    bool // something was met that is not read right
	st     ledongState
	stack  []ledongState
	tm, lm ledongMatrix
	path   []ledongSub
	points int // in path
}

// ledongSub is a part of a path that is drawn in one go, its points on the page.
type ledongSub struct {
	points [][2]float64
	curved bool
}

func (t *ledongText) run() {
	contents := t.page.V.Key("Contents")
	if contents.Kind() == pdf.Null {
		return
	}
	id := ledongMatrix{1, 0, 0, 1, 0, 0}
	t.st = ledongState{ctm: id, scale: 1, line: 1}
	t.tm, t.lm = id, id
	pdf.Interpret(contents, func(stk *pdf.Stack, op string) {
		n := stk.Len()
		args := make([]pdf.Value, n)
		for i := n - 1; i >= 0; i-- {
			args[i] = stk.Pop()
		}
		t.op(op, args)
	})
}

func (t *ledongText) op(op string, args []pdf.Value) {
	num := func(i int) float64 {
		if i >= 0 && i < len(args) {
			return args[i].Float64()
		}
		return 0
	}
	matrix := func() ledongMatrix { return ledongMatrix{num(0), num(1), num(2), num(3), num(4), num(5)} }
	newLine := func(x, y float64) {
		t.lm = ledongMatrix{1, 0, 0, 1, x, y}.mul(t.lm)
		t.tm = t.lm
	}
	switch op {
	case "q":
		if len(t.stack) < 1000 {
			t.stack = append(t.stack, t.st)
		}
	case "Q":
		if n := len(t.stack); n > 0 {
			t.st, t.stack = t.stack[n-1], t.stack[:n-1]
		}
	case "cm":
		t.st.ctm = matrix().mul(t.st.ctm)
	case "BT":
		t.tm = ledongMatrix{1, 0, 0, 1, 0, 0}
		t.lm = t.tm
	case "Tf":
		if len(args) == 2 {
			name := args[0].Name()
			f, ok := t.fonts[name]
			if !ok {
				f = newLedongFont(t.page, name)
				t.fonts[name] = f
			}
			t.st.font, t.st.size = f, num(1)
		}
	case "Tc":
		t.st.char = num(0)
	case "Tw":
		t.st.word = num(0)
	case "Tz":
		t.st.scale = num(0) / 100
	case "TL":
		t.st.leading = num(0)
	case "Ts":
		t.st.rise = num(0)
	case "Td":
		newLine(num(0), num(1))
	case "TD":
		t.st.leading = -num(1)
		newLine(num(0), num(1))
	case "Tm":
		t.tm = matrix()
		t.lm = t.tm
	case "T*":
		newLine(0, -t.st.leading)
	case "Tj":
		if len(args) > 0 {
			t.show(args[0].RawString())
		}
	case "'":
		newLine(0, -t.st.leading)
		if len(args) > 0 {
			t.show(args[0].RawString())
		}
	case "\"":
		t.st.word, t.st.char = num(0), num(1)
		newLine(0, -t.st.leading)
		if len(args) > 2 {
			t.show(args[2].RawString())
		}
	case "TJ":
		if len(args) == 0 {
			return
		}
		for i := range args[0].Len() {
			if v := args[0].Index(i); v.Kind() == pdf.String {
				t.show(v.RawString())
			} else {
				t.advance(-v.Float64() / 1000 * t.st.size * t.st.scale)
			}
		}
	case "w":
		t.st.line = num(0)
	case "m":
		t.path = append(t.path, ledongSub{})
		t.to(num(0), num(1))
	case "l":
		t.to(num(0), num(1))
	case "c", "v", "y":
		if n := len(t.path); n > 0 {
			t.path[n-1].curved = true
		}
		t.to(num(len(args)-2), num(len(args)-1))
	case "h":
		t.closePath()
	case "re":
		t.path = append(t.path, ledongSub{})
		x, y, w, h := num(0), num(1), num(2), num(3)
		t.to(x, y)
		t.to(x+w, y)
		t.to(x+w, y+h)
		t.to(x, y+h)
		t.to(x, y)
	case "S", "B", "B*":
		t.paint(true)
	case "s", "b", "b*":
		t.closePath()
		t.paint(true)
	case "f", "F", "f*":
		t.paint(false)
	case "n":
		t.path, t.points = t.path[:0], 0
	case "BI", "gs", "Do":
		// Inline images hold bytes that may read like text; a graphics state may name a font.
		t.odd = t.odd || op == "BI"
	}
}

// to adds a point to the path.
func (t *ledongText) to(x, y float64) {
	if t.points++; t.points > pdfMaxRules || len(t.path) == 0 {
		return
	}
	m := t.st.ctm
	s := &t.path[len(t.path)-1]
	s.points = append(s.points, [2]float64{x*m[0] + y*m[2] + m[4] - t.x0, t.y1 - x*m[1] - y*m[3] - m[5]})
}

func (t *ledongText) closePath() {
	if n := len(t.path); n > 0 && len(t.path[n-1].points) > 0 {
		s := &t.path[n-1]
		s.points = append(s.points, s.points[0])
	}
}

// paint notes the straight lines of the path, which begins anew.
func (t *ledongText) paint(stroke bool) {
	m := t.st.ctm
	thin := t.st.line*math.Sqrt(math.Abs(m[0]*m[3]-m[1]*m[2])) <= 2*pdfRuleWidth
	for _, s := range t.path {
		t.pg.addPath(s.points, s.curved, stroke && thin)
	}
	t.path, t.points = t.path[:0], 0
}

func (t *ledongText) advance(x float64) { t.tm = ledongMatrix{1, 0, 0, 1, x, 0}.mul(t.tm) }

func (t *ledongText) show(s string) {
	f := t.st.font
	if f == nil {
		t.odd = true
		return
	}
	step := 1
	if f.wide {
		step = 2
	}
	for i := 0; i+step <= len(s); i += step {
		code := int(s[i])
		if f.wide {
			code = code<<8 | int(s[i+1])
		}
		text, w := f.decode(code, s[i:i+step])
		move := (w/1000*t.st.size + t.st.char) * t.st.scale
		if code == ' ' && step == 1 {
			move += t.st.word * t.st.scale
		}
		m := ledongMatrix{t.st.size * t.st.scale, 0, 0, t.st.size, 0, t.st.rise}.mul(t.tm).mul(t.st.ctm)
		t.put(text, m, w/1000)
		t.advance(move)
		if len(t.pg.chars) > 2_000_000 {
			panic("too much text on a page")
		}
	}
}

// put places what one code stands for: m is from a unit of the font to the page.
func (t *ledongText) put(text string, m ledongMatrix, w float64) {
	if m[0] <= 0 || m[3] <= 0 || math.Abs(m[1]) > 0.01*m[0] || math.Abs(m[2]) > 0.5*m[3] {
		t.odd = true // turned or mirrored
		return
	}
	if w <= 0 && text != "" && text != " " {
		t.odd = true
	}
	size := float32(m[3])
	x, y := float32(m[4]-t.x0), float32(t.y1-m[5])
	width := float32(w*m[0]) / float32(max(1, utf8.RuneCountInString(text)))
	for _, r := range text {
		switch {
		case r == ' ' || r == 0xa0 || r == '\t':
			t.pg.chars = append(t.pg.chars, pdfChar{r: ' '})
			x += width
			continue
		case r < ' ':
			r = 0xfffd
		}
		c := pdfChar{r: r, size: size, x0: x, x1: x + width, y0: y - 0.8*size, y1: y + 0.2*size, bold: t.st.font.bold, mono: t.st.font.mono}
		if n := len(t.pg.chars); n > 0 {
			if p := t.pg.chars[n-1]; p.r != ' ' && abs32(c.y1-p.y1) < 0.5*size && c.x0-p.x1 > 0.17*size && !(isCJK(r) && isCJK(p.r)) {
				t.pg.chars = append(t.pg.chars, pdfChar{r: ' '})
			}
		}
		t.pg.chars = append(t.pg.chars, c)
		x += width
	}
}

// metadata and outline are read like PDFium's.
func (d *ledongDoc) metadata(ctx context.Context) map[string]string {
	m := map[string]string{}
	d.guarded(ctx, func() {
		info := d.r.Trailer().Key("Info")
		for _, k := range []string{"Title", "Author", "Subject", "Keywords", "Creator", "CreationDate", "ModDate"} {
			if v := info.Key(k); v.Kind() == pdf.String {
				m[k] = v.Text()
			}
		}
	})
	return m
}

func (d *ledongDoc) outline(ctx context.Context) (items []outlineItem) {
	var walk func(v pdf.Value, level int)
	walk = func(v pdf.Value, level int) {
		for c := v.Key("First"); c.Kind() == pdf.Dict && len(items) < 5000; c = c.Key("Next") {
			items = append(items, outlineItem{title: c.Key("Title").Text(), level: level})
			if level < 6 {
				walk(c, level+1)
			}
		}
	}
	d.guarded(ctx, func() { walk(d.r.Trailer().Key("Root").Key("Outlines"), 1) })
	return items
}

// labelled tells whether the document names its pages, which is left to the other engine.
func (d *ledongDoc) labelled(ctx context.Context) (has bool) {
	d.guarded(ctx, func() { has = d.r.Trailer().Key("Root").Key("PageLabels").Kind() != pdf.Null })
	return has
}
