package ingest

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/enums"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/structs"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// pdfiumEngine runs PDFium in WebAssembly. It is compiled at first use, which takes seconds, and from
// then on read from the cache folder, which takes a tenth of one. It sees no files but the one it is
// handed, and no more memory than defaultPDFiumMemMiB.
type pdfiumEngine struct {
	dir string

	mu    sync.Mutex
	pool  pdfium.Pool
	cache wazero.CompilationCache
}

func newPDFiumEngine(dir string) *pdfiumEngine { return &pdfiumEngine{dir: dir} }

func (e *pdfiumEngine) start() (pdfium.Pool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pool != nil {
		return e.pool, nil
	}
	cfg := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
		WithMemoryLimitPages(defaultPDFiumMemMiB << 20 / 65536).
		WithCloseOnContextDone(true).
		WithDebugInfoEnabled(false)
	if e.dir != "" {
		dir := filepath.Join(e.dir, "pdfium")
		if err := os.MkdirAll(dir, 0o755); err == nil {
			// A folder that cannot be written costs a slow start, nothing else.
			if cache, err := wazero.NewCompilationCacheWithDir(dir); err == nil {
				e.cache = cache
				cfg = cfg.WithCompilationCache(cache)
			}
		}
	}
	pool, err := webassembly.Init(webassembly.Config{
		MinIdle: 0, MaxIdle: 1, MaxTotal: -1, // the Extractor says how many there are
		RuntimeConfig: cfg, FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("start the PDF engine: %w", err)
	}
	e.pool = pool
	return pool, nil
}

func (e *pdfiumEngine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pool == nil {
		return nil
	}
	err := e.pool.Close()
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(context.Background()))
	}
	e.pool = nil
	return err
}

// pdfiumDoc is a document open in PDFium.
type pdfiumDoc struct {
	inst  pdfium.Pdfium
	doc   references.FPDF_DOCUMENT
	pages int
	stop  func() bool
	once  sync.Once
}

// open reads a document from r. The caller must close it.
func (e *pdfiumEngine) open(ctx context.Context, r io.ReaderAt, size int64, password string) (*pdfiumDoc, error) {
	whole := size <= pdfiumWhole
	first := ctx
	if whole {
		var cancel context.CancelFunc
		first, cancel = context.WithCancel(ctx)
		defer cancel()
		defer startWatch().after(pdfiumOpenTime, cancel)()
	}
	d, err := e.openOnce(first, ctx, io.NewSectionReader(r, 0, size), size, password, whole)
	if err != nil && whole && first.Err() != nil && ctx.Err() == nil {
		d, err = e.openOnce(ctx, ctx, io.NewSectionReader(r, 0, size), size, password, false)
	}
	return d, err
}

// openOnce opens a document within opening, which then goes on to live within ctx.
func (e *pdfiumEngine) openOnce(opening, ctx context.Context, r io.ReadSeeker, size int64, password string, whole bool) (d *pdfiumDoc, err error) {
	pool, err := e.start()
	if err != nil {
		return nil, err
	}
	inst, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the PDF engine: %w", err)
	}
	opened := &pdfiumDoc{inst: inst}
	d = opened
	kill := func() { opened.once.Do(func() { _ = inst.Kill() }) } // d is nil after an error
	stopOpening := context.AfterFunc(opening, kill)
	defer func() {
		if stopOpening() && err == nil {
			d.stop = context.AfterFunc(ctx, kill)
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			err = pdfiumFault(r)
		}
		if err != nil {
			d.close()
			d = nil
		}
	}()
	req := &requests.OpenDocument{}
	if whole {
		data := make([]byte, size)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, err
		}
		req.File = &data
	} else {
		req.FileReader, req.FileReaderSize = r, size
	}
	if password != "" {
		req.Password = &password
	}
	resp, err := inst.OpenDocument(req)
	if err != nil {
		switch {
		case errors.Is(err, pdfiumerrors.ErrPassword) && password == "":
			return nil, parseError(ErrPassword, "the PDF is encrypted; give its password to read it")
		case errors.Is(err, pdfiumerrors.ErrPassword):
			return nil, parseError(ErrPassword, "the PDF is encrypted and the password given does not open it")
		case errors.Is(err, pdfiumerrors.ErrSecurity):
			return nil, parseError(ErrUnsupported, "the PDF is encrypted by a method that cannot be read")
		case errors.Is(err, pdfiumerrors.ErrFormat), errors.Is(err, pdfiumerrors.ErrFile), errors.Is(err, pdfiumerrors.ErrPage), errors.Is(err, pdfiumerrors.ErrUnknown):
			return nil, parseError(ErrDamaged, "it is not a PDF that can be opened, or only a part of one")
		}
		return nil, pdfiumFault(err)
	}
	d.doc = resp.Document
	count, err := inst.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: d.doc})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	d.pages = count.PageCount
	return d, nil
}

// pdfiumWhole is the size up to which a file is copied into PDFium's memory; larger ones are read
// through callbacks. Either way there are broken files in which PDFium never stops searching for the
// cross-references, not the same ones: what does not open in pdfiumOpenTime is tried the other way.
const (
	pdfiumWhole    = 64 << 20
	pdfiumOpenTime = 5 * time.Second
	pdfiumPageTime = 5 * time.Second
)

// pdfiumFault is the error for a trap inside PDFium.
func pdfiumFault(v any) error {
	s := fmt.Sprint(v)
	if strings.Contains(s, "unreachable") || strings.Contains(s, "out of bounds") || strings.Contains(s, "malloc") {
		return parseError(ErrCrashed, "the PDF engine gave up, most likely out of memory (limit %d MiB)", defaultPDFiumMemMiB)
	}
	line, _, _ := strings.Cut(s, "\n")
	return parseError(ErrDamaged, "%s", line)
}

func (d *pdfiumDoc) close() {
	defer func() { _ = recover() }()
	if d.stop != nil {
		d.stop()
	}
	// Kill drops the instance with all its memory; Close, which tidies up first, panics after a
	// document that did not open, and the pool then counts the instance as in use for ever.
	d.once.Do(func() { _ = d.inst.Kill() })
}

// metadata fills in what the document's information dictionary says and returns its title.
func (d *pdfiumDoc) metadata() (m map[string]string) {
	m = map[string]string{}
	defer func() { _ = recover() }()
	resp, err := d.inst.GetMetaData(&requests.GetMetaData{Document: d.doc})
	if err != nil {
		return m
	}
	for _, t := range resp.Tags {
		m[t.Tag] = t.Value
	}
	return m
}

// outline returns the document's outline in reading order, at most 5000 entries of it.
func (d *pdfiumDoc) outline() (items []outlineItem) {
	defer func() { _ = recover() }()
	var walk func(parent *references.FPDF_BOOKMARK, level int)
	walk = func(parent *references.FPDF_BOOKMARK, level int) {
		first, err := d.inst.FPDFBookmark_GetFirstChild(&requests.FPDFBookmark_GetFirstChild{Document: d.doc, Bookmark: parent})
		if err != nil || first.Bookmark == nil {
			return
		}
		for b := *first.Bookmark; len(items) < 5000; {
			title, err := d.inst.FPDFBookmark_GetTitle(&requests.FPDFBookmark_GetTitle{Bookmark: b})
			if err != nil {
				return
			}
			items = append(items, outlineItem{title: title.Title, level: level})
			if level < 6 {
				walk(&b, level+1)
			}
			next, err := d.inst.FPDFBookmark_GetNextSibling(&requests.FPDFBookmark_GetNextSibling{Document: d.doc, Bookmark: b})
			if err != nil || next.Bookmark == nil {
				return
			}
			b = *next.Bookmark
		}
	}
	walk(nil, 1)
	return items
}

func (d *pdfiumDoc) label(index int) string {
	defer func() { _ = recover() }()
	resp, err := d.inst.FPDF_GetPageLabel(&requests.FPDF_GetPageLabel{Document: d.doc, Page: index})
	if err != nil {
		return ""
	}
	return strings.TrimSpace(resp.Label)
}

// pageWithin is page with a limit on the time it takes, after which the document is not to be used any more.
func (d *pdfiumDoc) pageWithin(index int) (*pdfPage, error) {
	stop := startWatch().after(pdfiumPageTime, func() { d.once.Do(func() { _ = d.inst.Kill() }) })
	pg, err := d.page(index)
	if !stop() {
		return nil, parseError(ErrTimeout, "page %d took more than %v", index+1, pdfiumPageTime)
	}
	return pg, err
}

// picture draws a page in shades of grey at dpi dots an inch, fewer where that would be too many for the
// engine's memory.
func (d *pdfiumDoc) picture(index, dpi int) (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, pdfiumFault(r)
		}
	}()
	if size, err := d.inst.FPDF_GetPageSizeByIndex(&requests.FPDF_GetPageSizeByIndex{Document: d.doc, Index: index}); err == nil {
		if most := math.Sqrt(maxPixels/max(size.Width*size.Height, 1)) * 72; float64(dpi) > most {
			dpi = max(int(most), 1)
		}
	}
	resp, err := d.inst.RenderPageInDPI(&requests.RenderPageInDPI{
		Page: requests.Page{ByIndex: &requests.PageByIndex{Document: d.doc, Index: index}},
		DPI:  dpi, ImageFormat: requests.RenderImageFormatGrayscale, RenderFlags: enums.FPDF_RENDER_FLAG_ANNOT,
	})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	defer resp.Cleanup()
	gray, ok := resp.Result.RenderedImage.(*image.Gray)
	if !ok {
		return nil, errNoPicture
	}
	own := image.NewGray(image.Rect(0, 0, gray.Rect.Dx(), gray.Rect.Dy())) // the engine's memory goes with it
	for y := range own.Rect.Dy() {
		copy(own.Pix[y*own.Stride:(y+1)*own.Stride], gray.Pix[y*gray.Stride:])
	}
	return own, nil
}

// page reads a page's characters. A page that cannot be loaded is an error; the document goes on.
func (d *pdfiumDoc) page(index int) (pg *pdfPage, err error) {
	defer func() {
		if r := recover(); r != nil {
			pg, err = nil, pdfiumFault(r)
		}
	}()
	loaded, err := d.inst.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d.doc, Index: index})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	ref := loaded.Page
	defer func() { _, _ = d.inst.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: ref}) }()
	page := requests.Page{ByReference: &ref}
	links := d.links(page) // before they are flattened away

	// Form fields and notes are drawn over the page; flattened, their text is part of it.
	if n, err := d.inst.FPDFPage_GetAnnotCount(&requests.FPDFPage_GetAnnotCount{Page: page}); err == nil && n.Count > 0 && n.Count < 5000 {
		if flat, err := d.inst.FPDFPage_Flatten(&requests.FPDFPage_Flatten{Page: page}); err == nil && flat.Result == 1 {
			if again, err := d.inst.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d.doc, Index: index}); err == nil {
				_, _ = d.inst.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: ref})
				ref = again.Page
			}
		}
	}
	pg = &pdfPage{engine: "pdfium"}
	size, err := d.inst.FPDF_GetPageSizeByIndex(&requests.FPDF_GetPageSizeByIndex{Document: d.doc, Index: index})
	if err == nil {
		pg.width, pg.height = size.Width, size.Height
	}
	rotation := 0
	if rot, err := d.inst.FPDFPage_GetRotation(&requests.FPDFPage_GetRotation{Page: page}); err == nil {
		rotation = int(rot.PageRotation)
	}
	text, err := d.inst.GetPageTextStructured(&requests.GetPageTextStructured{Page: page, Mode: requests.GetPageTextStructuredModeChars})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	if len(text.Chars) == 0 {
		return pg, nil
	}
	tp, err := d.inst.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: page})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	defer func() { _, _ = d.inst.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: tp.TextPage}) }()

	left, bottom := 0.0, 0.0
	if box, err := d.inst.FPDFPage_GetCropBox(&requests.FPDFPage_GetCropBox{Page: page}); err == nil {
		left, bottom = float64(box.Left), float64(box.Bottom)
	} else if box, err := d.inst.FPDFPage_GetMediaBox(&requests.FPDFPage_GetMediaBox{Page: page}); err == nil {
		left, bottom = float64(box.Left), float64(box.Bottom)
	}
	// turn brings a box from PDF's user space, y upward, to the page as it is seen, y downward.
	turn := func(l, t, r, b float64) (x0, y0, x1, y1 float64) {
		l, r, t, b = l-left, r-left, t-bottom, b-bottom
		switch rotation {
		case 1:
			return b, l, t, r
		case 2:
			return pg.width - r, b, pg.width - l, t
		case 3:
			return pg.width - t, pg.height - r, pg.width - b, pg.height - l
		}
		return l, pg.height - t, r, pg.height - b
	}
	for _, l := range links {
		for i, b := range l.boxes {
			x0, y0, x1, y1 := turn(b[0], b[3], b[2], b[1])
			l.boxes[i] = [4]float64{min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)}
		}
	}
	pg.links = links
	d.rules(pg, page, turn)
	var size1 float64
	var bold, mono bool
	names := map[string][2]bool{}
	pg.chars = make([]pdfChar, 0, len(text.Chars))
	wordStart := true
	for i, c := range text.Chars {
		r := rune(0)
		for _, r = range c.Text {
			break
		}
		switch r {
		case 0:
			continue
		case 0xfffe, 0xffff, 2:
			r = softHyphen // PDFium marks a hyphen at the end of a line so
		case '\r', '\n', ' ', '\t', 0xa0:
			wordStart = true
			if r != '\n' && r != '\r' {
				r = ' '
			}
		default:
			if r < 0x20 {
				r = 0xfffd
			}
		}
		ch := pdfChar{r: r}
		p := c.PointPosition
		x0, y0, x1, y1 := turn(p.Left, p.Top, p.Right, p.Bottom)
		ch.angle = float32(normalAngle(c.Angle + float64(rotation)*math.Pi/2))
		if wordStart && r != ' ' && r != '\n' && r != '\r' || len(pg.chars) == 0 {
			wordStart = false
			if loose, err := d.inst.FPDFText_GetLooseCharBox(&requests.FPDFText_GetLooseCharBox{TextPage: tp.TextPage, Index: i}); err == nil {
				_, ly0, _, ly1 := turn(float64(loose.Rect.Left), float64(loose.Rect.Top), float64(loose.Rect.Right), float64(loose.Rect.Bottom))
				if math.Abs(math.Sin(float64(ch.angle))) > 0.7 {
					lx0, _, lx1, _ := turn(float64(loose.Rect.Left), float64(loose.Rect.Top), float64(loose.Rect.Right), float64(loose.Rect.Bottom))
					ly0, ly1 = lx0, lx1
				}
				size1 = math.Abs(ly1 - ly0)
			}
			if info, err := d.inst.FPDFText_GetFontInfo(&requests.FPDFText_GetFontInfo{TextPage: tp.TextPage, Index: i}); err == nil {
				style, ok := names[info.FontName]
				if !ok {
					low := strings.ToLower(info.FontName)
					style = [2]bool{
						strings.Contains(low, "bold") || strings.Contains(low, "black") || strings.Contains(low, "heavy") || strings.Contains(low, "demi") || strings.Contains(low, "cmbx") ||
							strings.HasSuffix(low, "-medi") || strings.Contains(low, "mediital") || info.Flags&(1<<18) != 0,
						strings.Contains(low, "mono") || strings.Contains(low, "courier") || strings.Contains(low, "consol") || strings.Contains(low, "cmtt") || strings.Contains(low, "menlo"),
					}
					names[info.FontName] = style
				}
				bold, mono = style[0], style[1]
			}
		}
		ch.x0, ch.y0, ch.x1, ch.y1 = float32(min(x0, x1)), float32(min(y0, y1)), float32(max(x0, x1)), float32(max(y0, y1))
		ch.size, ch.bold, ch.mono = float32(size1), bold, mono
		pg.chars = append(pg.chars, ch)
	}
	return pg, nil
}

// links are those of a page that lead out of the document, their boxes in PDF's user space: left, bottom,
// right, top.
func (d *pdfiumDoc) links(page requests.Page) (links []pdfLink) {
	for at, n := 0, 0; n < maxLinks; n++ {
		next, err := d.inst.FPDFLink_Enumerate(&requests.FPDFLink_Enumerate{Page: page, StartPos: at})
		if err != nil || next.Link == nil || next.NextStartPos == nil || *next.NextStartPos <= at {
			return links
		}
		at = *next.NextStartPos
		action, err := d.inst.FPDFLink_GetAction(&requests.FPDFLink_GetAction{Link: *next.Link})
		if err != nil || action.Action == nil {
			continue
		}
		uri, err := d.inst.FPDFAction_GetURIPath(&requests.FPDFAction_GetURIPath{Document: d.doc, Action: *action.Action})
		if err != nil || uri.URIPath == nil {
			continue
		}
		l := pdfLink{target: linkTarget(*uri.URIPath)}
		if l.target == "" {
			continue
		}
		if quads, err := d.inst.FPDFLink_CountQuadPoints(&requests.FPDFLink_CountQuadPoints{Link: *next.Link}); err == nil {
			for i := range min(quads.Count, 100) {
				q, err := d.inst.FPDFLink_GetQuadPoints(&requests.FPDFLink_GetQuadPoints{Link: *next.Link, QuadIndex: i})
				if err != nil || q.Points == nil {
					break
				}
				p := q.Points
				l.boxes = append(l.boxes, [4]float64{float64(min(p.X1, p.X2, p.X3, p.X4)), float64(min(p.Y1, p.Y2, p.Y3, p.Y4)),
					float64(max(p.X1, p.X2, p.X3, p.X4)), float64(max(p.Y1, p.Y2, p.Y3, p.Y4))})
			}
		}
		if len(l.boxes) == 0 {
			r, err := d.inst.FPDFLink_GetAnnotRect(&requests.FPDFLink_GetAnnotRect{Link: *next.Link})
			if err != nil || r.Rect == nil {
				continue
			}
			l.boxes = [][4]float64{{float64(r.Rect.Left), float64(r.Rect.Bottom), float64(r.Rect.Right), float64(r.Rect.Top)}}
		}
		links = append(links, l)
	}
	return links
}

// pdfiumMaxObjects is how many objects of a page, and points of its lines, are looked at for tables.
const pdfiumMaxObjects = 50_000

// rules notes the straight lines of a page. Those of a page that holds too many objects or points are left out: it is a drawing. Faults inside PDFium are the caller's to recover from.
func (d *pdfiumDoc) rules(pg *pdfPage, page requests.Page, turn func(l, t, r, b float64) (x0, y0, x1, y1 float64)) {
	count, err := d.inst.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil || count.Count > pdfiumMaxObjects {
		return
	}
	left := pdfiumMaxObjects
	spent := func() bool {
		left--
		return left < 0
	}
	over := false
	var walk func(n int, get func(int) (references.FPDF_PAGEOBJECT, error), m ledongMatrix, depth int)
	walk = func(n int, get func(int) (references.FPDF_PAGEOBJECT, error), m ledongMatrix, depth int) {
		for i := 0; i < n && !over; i++ {
			if over = spent(); over {
				return
			}
			obj, err := get(i)
			if err != nil {
				continue
			}
			kind, err := d.inst.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: obj})
			if err != nil {
				continue
			}
			switch kind.Type {
			case enums.FPDF_PAGEOBJ_FORM:
				own, err := d.inst.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: obj})
				inner, err2 := d.inst.FPDFFormObj_CountObjects(&requests.FPDFFormObj_CountObjects{PageObject: obj})
				if err != nil || err2 != nil || depth > 6 {
					continue
				}
				walk(inner.Count, func(i int) (references.FPDF_PAGEOBJECT, error) {
					o, err := d.inst.FPDFFormObj_GetObject(&requests.FPDFFormObj_GetObject{PageObject: obj, Index: uint64(i)})
					if err != nil {
						return "", err
					}
					return o.PageObject, nil
				}, pdfiumMatrix(own.Matrix).mul(m), depth+1)
			case enums.FPDF_PAGEOBJ_PATH:
				over = d.pathRules(pg, obj, m, turn, spent)
			}
		}
	}
	walk(count.Count, func(i int) (references.FPDF_PAGEOBJECT, error) {
		o, err := d.inst.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: page, Index: i})
		if err != nil {
			return "", err
		}
		return o.PageObject, nil
	}, ledongMatrix{1, 0, 0, 1, 0, 0}, 0)
	if over {
		pg.rules = nil
	}
}

func pdfiumMatrix(m structs.FPDF_FS_MATRIX) ledongMatrix {
	return ledongMatrix{float64(m.A), float64(m.B), float64(m.C), float64(m.D), float64(m.E), float64(m.F)}
}

// pathRules notes the lines of a path; it reports whether there is no time left.
func (d *pdfiumDoc) pathRules(pg *pdfPage, obj references.FPDF_PAGEOBJECT, m ledongMatrix, turn func(l, t, r, b float64) (x0, y0, x1, y1 float64), spent func() bool) bool {
	mode, err := d.inst.FPDFPath_GetDrawMode(&requests.FPDFPath_GetDrawMode{PageObject: obj})
	if err != nil || !mode.Stroke && mode.FillMode == enums.FPDF_FILLMODE_NONE {
		return false
	}
	at := func(x, y float64) [2]float64 {
		x, y = x*m[0]+y*m[2]+m[4], x*m[1]+y*m[3]+m[5]
		x0, y0, _, _ := turn(x, y, x, y)
		return [2]float64{x0, y0}
	}
	box, err := d.inst.FPDFPageObj_GetBounds(&requests.FPDFPageObj_GetBounds{PageObject: obj})
	if err != nil {
		return false
	}
	corners := [][2]float64{at(float64(box.Left), float64(box.Bottom)), at(float64(box.Right), float64(box.Top))}
	w, h := math.Abs(corners[0][0]-corners[1][0]), math.Abs(corners[0][1]-corners[1][1])
	if w <= pdfRuleWidth || h <= pdfRuleWidth || w < 9 && h < 9 {
		pg.addPath(corners, false, false)
		return false
	}
	segments, err := d.inst.FPDFPath_CountSegments(&requests.FPDFPath_CountSegments{PageObject: obj})
	if err != nil || !mode.Stroke && segments.Count < 8 {
		return false // an area
	}
	if width, err := d.inst.FPDFPageObj_GetStrokeWidth(&requests.FPDFPageObj_GetStrokeWidth{PageObject: obj}); err == nil && width.StrokeWidth > 2*pdfRuleWidth {
		return false
	}
	own, err := d.inst.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: obj})
	if err != nil {
		return false
	}
	inner := pdfiumMatrix(own.Matrix)
	var points [][2]float64
	curved := false
	flush := func() {
		pg.addPath(points, curved, mode.Stroke)
		points, curved = nil, false
	}
	for i := range segments.Count {
		if spent() {
			return true
		}
		seg, err := d.inst.FPDFPath_GetPathSegment(&requests.FPDFPath_GetPathSegment{PageObject: obj, Index: i})
		if err != nil {
			break
		}
		kind, err := d.inst.FPDFPathSegment_GetType(&requests.FPDFPathSegment_GetType{PathSegment: seg.PathSegment})
		if err != nil {
			break
		}
		p, err := d.inst.FPDFPathSegment_GetPoint(&requests.FPDFPathSegment_GetPoint{PathSegment: seg.PathSegment})
		if err != nil {
			break
		}
		switch kind.Type {
		case enums.FPDF_SEGMENT_MOVETO:
			flush()
		case enums.FPDF_SEGMENT_BEZIERTO:
			curved = true
		}
		x, y := float64(p.X), float64(p.Y)
		points = append(points, at(x*inner[0]+y*inner[2]+inner[4], x*inner[1]+y*inner[3]+inner[5]))
		if closed, err := d.inst.FPDFPathSegment_GetClose(&requests.FPDFPathSegment_GetClose{PathSegment: seg.PathSegment}); err == nil && closed.IsClose {
			points = append(points, points[0])
		}
	}
	flush()
	return false
}

func normalAngle(a float64) float64 {
	a = math.Mod(a, 2*math.Pi)
	if a > math.Pi {
		a -= 2 * math.Pi
	}
	if a < -math.Pi {
		a += 2 * math.Pi
	}
	return a
}
