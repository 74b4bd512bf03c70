package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout      = 2 * time.Minute
	defaultMaxBytes     = 512 << 20
	defaultMemoryMiB    = 512
	defaultMaxText      = 64 << 20
	defaultMaxUnpacked  = 256 << 20
	defaultPDFiumMemMiB = 256
)

// ExtractorConfig says how files are read. The zero value works: it reads in this process.
type ExtractorConfig struct {
	// Worker is the command line of a program that calls [Worker] on its standard input and output,
	// such as {"/usr/bin/docent", "parse-worker"}. Files are then read in child processes; nil reads
	// them in this process.
	Worker []string
	// Workers is how many files are read at once; 0 means the number of CPUs.
	Workers int
	// CacheDir holds the compiled PDF engine between runs, about 20 MB; empty means a folder
	// "docent" in the user's cache directory.
	CacheDir string
	// Timeout bounds the reading of one file; 0 means two minutes.
	Timeout time.Duration
	// MaxBytes is the largest file that is read; 0 means 512 MiB.
	MaxBytes int64
	// MaxText is the most text, in bytes of UTF-8, that a document may hold; 0 means 64 MiB.
	MaxText int64
	// MaxUnpacked is the most that a packed file (DOCX and its like) may unpack to; 0 means 256 MiB.
	MaxUnpacked int64
	// MemoryMiB is how much memory a child process may use beyond what it starts with, in MiB;
	// 0 means 512. It has no effect without Worker.
	MemoryMiB int
	// Password opens files that ask for one, unless File has its own.
	Password string
	// Recognizer reads pictures and the pages of scans; nil leaves them without text, and says so.
	Recognizer Recognizer
	// OCRDPI is how finely PDF pages are drawn for it, in dots an inch; 0 means 300.
	OCRDPI int
	// Logger gets one record for a child process that had to be ended; nil discards.
	Logger *slog.Logger
}

// recognizerName is empty without one.
func (c ExtractorConfig) recognizerName() string {
	if c.Recognizer == nil {
		return ""
	}
	return c.Recognizer.Name()
}

func (c ExtractorConfig) withDefaults() ExtractorConfig {
	if c.Workers <= 0 {
		c.Workers = runtime.NumCPU()
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MaxText <= 0 {
		c.MaxText = defaultMaxText
	}
	if c.MaxUnpacked <= 0 {
		c.MaxUnpacked = defaultMaxUnpacked
	}
	if c.MemoryMiB <= 0 {
		c.MemoryMiB = defaultMemoryMiB
	}
	if c.OCRDPI <= 0 {
		c.OCRDPI = defaultOCRDPI
	}
	if c.CacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			c.CacheDir = filepath.Join(dir, "docent")
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A File is what an [Extractor] reads.
type File struct {
	Path string // where the bytes are
	// Name is shown in errors and hints at the format by its extension; empty means the base of Path.
	Name string
	// URL is where the file was fetched from, which the links of a page are relative to.
	URL string
	// Password opens the file if it asks for one; empty means ExtractorConfig.Password.
	Password string
	// OCR says which pages go to the Recognizer: OCRAuto, OCROff or OCRAll.
	OCR string
	// KeepBoilerplate keeps all of a web page, not only its article.
	KeepBoilerplate bool
	// OnOCR, unless nil, is called before the first page that does and after each, one call at a time.
	OnOCR func(done, total int)
}

// An Extractor reads files. It is safe for concurrent use; calls beyond ExtractorConfig.Workers wait.
type Extractor struct {
	cfg   ExtractorConfig
	pool  *workerPool   // nil: in process
	slots chan struct{} // in process only
	pages chan struct{} // one for each page at the Recognizer, of all files
	local *parser
}

// NewExtractor returns an Extractor. It starts nothing until the first file comes. The caller must
// call Close.
func NewExtractor(cfg ExtractorConfig) (*Extractor, error) {
	cfg = cfg.withDefaults()
	e := &Extractor{cfg: cfg, pages: make(chan struct{}, cfg.Workers)}
	if len(cfg.Worker) > 0 {
		e.pool = newWorkerPool(cfg)
		return e, nil
	}
	e.slots = make(chan struct{}, cfg.Workers)
	e.local = newParser(parserConfig{
		CacheDir: cfg.CacheDir, MaxText: cfg.MaxText, MaxUnpacked: cfg.MaxUnpacked,
	})
	return e, nil
}

// Close ends the child processes. Calls of Extract under way fail.
func (e *Extractor) Close() error {
	if e.pool != nil {
		return e.pool.close()
	}
	return e.local.close()
}

// Extract reads a file. Its errors are [*FileError] values that name the file, or the context's
// error when ctx ended first.
func (e *Extractor) Extract(ctx context.Context, f File) (*Document, error) {
	if f.Name == "" {
		f.Name = filepath.Base(f.Path)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := os.Stat(f.Path)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, &FileError{Name: f.Name, Err: err}
	}
	switch {
	case st.IsDir():
		return nil, &FileError{Name: f.Name, Err: ErrUnsupported, Detail: "it is a folder"}
	case !st.Mode().IsRegular():
		return nil, &FileError{Name: f.Name, Err: ErrUnsupported, Detail: "it is not a regular file"}
	case st.Size() == 0:
		return nil, &FileError{Name: f.Name, Err: ErrEmptyFile, Detail: "it has 0 bytes"}
	case st.Size() > e.cfg.MaxBytes:
		return nil, tooLarge(f.Name, st.Size(), e.cfg.MaxBytes)
	}
	if f.Password == "" {
		f.Password = e.cfg.Password
	}
	doc, err := e.read(ctx, f)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, nameError(f.Name, err)
	}
	return doc, nil
}

// read parses a file and has what it left unread recognised.
func (e *Extractor) read(ctx context.Context, f File) (*Document, error) {
	req := parseRequest{Path: f.Path, Name: f.Name, URL: f.URL, Password: f.Password, KeepBoilerplate: f.KeepBoilerplate, Recognize: e.cfg.Recognizer != nil && f.OCR != OCROff}
	reply, err := e.do(ctx, req)
	if err != nil {
		return nil, err
	}
	doc := reply.Document
	doc.unread, doc.pictures = reply.Unread, reply.Pictures
	if req.Recognize {
		if err := e.recognize(ctx, f, doc); err != nil {
			return nil, err
		}
		if doc.Text == "" {
			why := "nothing was recognised on its pages"
			if n := len(doc.Warnings); n > 0 {
				why = doc.Warnings[n-1]
			}
			return nil, parseError(ErrNoText, "%s", why)
		}
	}
	doc.Warnings = append(doc.Warnings, unreadNotes(doc, req.Recognize)...)
	return doc, nil
}

// render returns a picture of a part of a file; nil when nothing is to be seen on it.
func (e *Extractor) render(ctx context.Context, f File, part unreadPart) ([]byte, error) {
	reply, err := e.do(ctx, parseRequest{Path: f.Path, Name: f.Name, Password: f.Password, Picture: part.ref, DPI: e.cfg.OCRDPI})
	return reply.Picture, err
}

// do has a request answered, in a child process or here.
func (e *Extractor) do(ctx context.Context, req parseRequest) (workerReply, error) {
	if e.pool != nil {
		return e.pool.do(ctx, req)
	}
	return e.doHere(ctx, req)
}

// doHere answers in this process. A parser that ignores the deadline is left behind, holding its slot
// until it ends.
func (e *Extractor) doHere(ctx context.Context, req parseRequest) (workerReply, error) {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return workerReply{}, ctx.Err()
	}
	type result struct {
		reply workerReply
		err   error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.cfg.Timeout, parseError(ErrTimeout, "the limit is %v", e.cfg.Timeout))
	defer cancel()
	done := make(chan result, 1)
	go func() {
		defer func() { <-e.slots }()
		reply, err := e.local.answer(ctx, req)
		done <- result{reply, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			return workerReply{}, context.Cause(ctx)
		}
		return r.reply, r.err
	case <-ctx.Done():
		return workerReply{}, context.Cause(ctx)
	}
}

// parserConfig is what a parser needs to know; it travels to worker processes.
type parserConfig struct {
	CacheDir    string `json:"cache_dir"`
	MaxText     int64  `json:"max_text"`
	MaxUnpacked int64  `json:"max_unpacked"`
	MemoryMiB   int    `json:"memory_mib"`
	Isolated    bool   `json:"isolated"` // in a process of its own, which may be lost
}

type parseRequest struct {
	Path     string `json:"path"`
	Name     string `json:"name"`
	URL      string `json:"url,omitempty"`
	Password string `json:"password,omitempty"`
	// Careful asks for the engines that cannot take the process down, after it was lost once.
	Careful bool `json:"careful,omitempty"`
	// KeepBoilerplate asks for all of a web page.
	KeepBoilerplate bool `json:"keep_boilerplate,omitempty"`
	// Recognize says that the pages left without text will be asked for as pictures.
	Recognize bool `json:"recognize,omitempty"`
	// Picture asks for the picture with that ref, drawn at DPI dots an inch where it is a page, and not for
	// the text.
	Picture string `json:"picture,omitempty"`
	DPI     int    `json:"dpi,omitempty"`
}

// A parser reads files in this process.
type parser struct {
	cfg     parserConfig
	pdfium  *pdfiumEngine
	unclean atomic.Bool // a parser was left running in this process
}

func newParser(cfg parserConfig) *parser {
	return &parser{cfg: cfg, pdfium: newPDFiumEngine(cfg.CacheDir)}
}

func (p *parser) close() error { return p.pdfium.close() }

// answer does what a request asks for.
func (p *parser) answer(ctx context.Context, req parseRequest) (reply workerReply, err error) {
	if req.Picture != "" {
		reply.Picture, err = p.render(ctx, req)
		return reply, err
	}
	if reply.Document, err = p.parse(ctx, req); err == nil {
		reply.Unread, reply.Pictures = reply.Document.unread, reply.Document.pictures
	}
	return reply, err
}

func (p *parser) parse(ctx context.Context, req parseRequest) (doc *Document, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, parseError(ErrCrashed, "%v (%s)", r, panicPlace())
		}
	}()
	in, closeFile, err := p.open(ctx, req)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	return p.parseInput(in)
}

func (p *parser) open(ctx context.Context, req parseRequest) (in *input, closeFile func() error, err error) {
	f, err := os.Open(req.Path)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &input{
		ctx: ctx, file: f, size: st.Size(), name: req.Name, url: req.URL, password: req.Password, careful: req.Careful, whole: req.KeepBoilerplate, recognize: req.Recognize,
		cfg: p.cfg, nested: newNesting(p.cfg),
	}, f.Close, nil
}

// parseInput tells what a file is and reads it.
func (p *parser) parseInput(in *input) (*Document, error) {
	form, err := detect(in)
	if err != nil {
		return nil, err
	}
	parse, ok := parsers[form.format]
	if !ok {
		return nil, parseError(ErrUnsupported, "it seems to be %s; formats that can be read: %s", withArticle(form.what), supportedFormats)
	}
	doc, err := parse(p, in, form)
	if err != nil {
		return nil, err
	}
	if !in.recognize {
		doc.pictures = nil
	} else if doc.morePictures > 0 {
		doc.Warnings = append(doc.Warnings, fmt.Sprintf("%d pictures in it were not put through text recognition; the limit is %d", doc.morePictures, maxPictures))
	}
	if doc.Text == "" && len(doc.unread)+len(doc.pictures) == 0 {
		why := ""
		if n := len(doc.Warnings); n > 0 {
			why = "; " + doc.Warnings[0]
		}
		return nil, parseError(ErrNoText, "the %s holds no text%s", form.what, why)
	}
	return doc, nil
}

// panicPlace is the first frame of this module below a panic, for error messages.
func panicPlace() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		fr, more := frames.Next()
		if fr.Function != "" && fr.Line > 0 && filepath.Base(filepath.Dir(fr.File)) != "runtime" {
			return fmt.Sprintf("%s:%d", filepath.Base(fr.File), fr.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}

func byteSize(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// withArticle puts "a" or "an" before the name of a kind of file, where one belongs.
func withArticle(what string) string {
	first, _, _ := strings.Cut(what, " ")
	switch {
	case strings.Contains(first, "/"):
		return "of type " + what
	case what == "" || first == "plain" || first == "binary" || first == "source" || first == "lines" || strings.HasSuffix(what, " data") || strings.HasSuffix(what, "subtitles"):
		return what
	case strings.ContainsRune("AEIOaeio", rune(what[0])), strings.HasPrefix(what, "X"), strings.HasPrefix(what, "RTF"), strings.HasPrefix(what, "HTML"):
		return "an " + what // by sound: X, R and H are spelled out
	}
	return "a " + what
}
