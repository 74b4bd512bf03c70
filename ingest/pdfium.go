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
	// pictures asks for those of the pages.
	pictures bool
	stop     func() bool
	once     sync.Once
}

// open reads a document from r. The caller must close it.
func (e *pdfiumEngine) open(ctx context.Context, r io.ReaderAt, size int64, password string) (*pdfiumDoc, error) {
	if _, err := e.start(); err != nil { // before the time for opening begins: the first start compiles the engine
		return nil, err
	}
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
		switch inTime := stopOpening(); {
		case err != nil:
		case inTime:
			d.stop = context.AfterFunc(ctx, kill)
		default: // ended at the very moment it had opened
			d, err = nil, context.Cause(opening)
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

// draw draws a page in shades of grey at dpi dots an inch, fewer where that would be too many for the
// engine's memory.
func (d *pdfiumDoc) draw(index, dpi int) (img image.Image, err error) {
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
