package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"docent/chunker"
)

// A Recognizer reads the text in pictures (optical character recognition). It is safe for concurrent
// use. [Tesseract] and [VisionModel] are the ones there are.
type Recognizer interface {
	// Recognize returns what is written in a picture, a PNG file: paragraphs parted by blank lines, and
	// no text, without an error, where nothing is.
	Recognize(ctx context.Context, png []byte) (string, error)
	// Name says what it is, for people: "tesseract 5.3.0 (eng+chi_sim)".
	Name() string
}

// The values of File.OCR.
const (
	OCRAuto = ""    // pages without text, and pages whose text is plainly wrong
	OCROff  = "off" // none
	OCRAll  = "all" // every page of a PDF, whatever text it comes with
)

const (
	defaultOCRDPI = 300 // what Tesseract is made for
	maxOCRPages   = 2000
	// After so many pages in a row that could not be recognised the others are not tried.
	maxOCRFailures = 3
)

// howToRecognize ends the notes on what was not read for want of a Recognizer.
const howToRecognize = "install Tesseract (with the language packs eng and chi_sim), or name a vision model, to read them"

// recognize reads the pages of doc that its parser could not, in pictures of them, and puts what they
// say in their place; and the pictures within it, whose text it puts where they are.
func (e *Extractor) recognize(ctx context.Context, f File, doc *Document) error {
	todo := doc.unread
	if f.OCR == OCRAll && doc.Format == "pdf" {
		todo = nil
		for _, p := range doc.Pages {
			todo = append(todo, p.Number)
		}
	}
	if len(todo) > maxOCRPages {
		doc.Warnings = append(doc.Warnings, fmt.Sprintf("only the first %d of %d pages without text were put through text recognition", maxOCRPages, len(todo)))
		todo = todo[:maxOCRPages]
	}
	pictures := doc.pictures
	if f.OCR == OCRAll && doc.Format == "pdf" {
		pictures = nil // they are on the pages
	}
	parts := make([]unreadPart, 0, len(todo)+len(pictures))
	for _, page := range todo {
		parts = append(parts, unreadPart{page: page, ref: pageRef(page)})
	}
	for _, p := range pictures {
		parts = append(parts, unreadPart{ref: p.Ref})
	}
	if len(parts) == 0 {
		return nil
	}
	read, err := e.recognizeParts(ctx, f, doc, parts)
	if err != nil {
		return err
	}
	if len(pictures) > 0 { // first, as they are noted by the blocks of now
		texts, seen := make([]string, len(pictures)), make(map[[32]byte]bool)
		failed := make(map[int]bool) // pages with one that could not be read
		type filePage struct {
			file string
			page int
		}
		failedIn := make(map[filePage]bool)
		for i, r := range read[len(todo):] {
			if !seen[r.sum] {
				texts[i], seen[r.sum] = r.text, true
			}
			p := pictures[i]
			if p.Page > 0 {
				failed[p.Page] = failed[p.Page] || !r.done
			}
			if p.File != "" {
				at := filePage{p.File, p.FilePage}
				failedIn[at] = failedIn[at] || !r.done || p.Garbled && r.text == ""
			}
		}
		for at, fail := range failedIn {
			if !fail {
				doc.filePageRead(at.file, at.page)
			}
		}
		doc.NeedsOCR = slices.DeleteFunc(doc.NeedsOCR, func(n int) bool { fail, ok := failed[n]; return ok && !fail })
		if slices.ContainsFunc(texts, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			insertPictures(doc, texts)
			doc.RecognizedBy = e.cfg.Recognizer.Name()
		}
	}
	if len(todo) > 0 {
		pages := make(map[int]string, len(todo))
		for i, page := range todo {
			pages[page] = read[i].text
			// Garbled text is text: where none is recognised, recognition failed.
			if read[i].done && (read[i].text != "" || !slices.Contains(doc.GarbledPages, page)) {
				doc.NeedsOCR = slices.DeleteFunc(doc.NeedsOCR, func(n int) bool { return n == page })
			}
		}
		replacePages(doc, pages)
	}
	if len(doc.RecognizedPages) > 0 {
		doc.RecognizedBy = e.cfg.Recognizer.Name()
	}
	doc.Language = language(doc.Text)
	return nil
}

// An unreadPart of a file is read in a picture of it.
type unreadPart struct {
	page int // its number; 0 for a picture
	ref  string
}

// A reading is what came of a part.
type reading struct {
	text string
	sum  [32]byte // of the picture
	done bool     // recognition did not fail
}

// recognizeParts returns what is written on each part; a part that fails costs a warning. Equal pictures are
// recognised once.
func (e *Extractor) recognizeParts(ctx context.Context, f File, doc *Document, parts []unreadPart) ([]reading, error) {
	if f.OnOCR != nil {
		f.OnOCR(0, len(parts))
	}
	readings := make([]reading, len(parts))
	var mu sync.Mutex
	done, failures := 0, 0
	var pages []int // that failed
	pictures := 0   // that failed
	var firstErr error
	known := sharedReadings{texts: make(map[[32]byte]func() (string, error))}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(e.cfg.Workers, 1))
	for i, part := range parts {
		mu.Lock()
		hopeless := failures >= maxOCRFailures
		mu.Unlock()
		if hopeless || gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			r, err := e.recognizePart(gctx, f, part, &known)
			mu.Lock()
			defer mu.Unlock()
			done++
			if f.OnOCR != nil {
				f.OnOCR(done, len(parts))
			}
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				failures++
				if part.page > 0 {
					pages = append(pages, part.page)
				} else {
					pictures++
				}
				if firstErr == nil {
					firstErr = err
				}
				e.cfg.Logger.WarnContext(ctx, "not recognised", "file", f.Name, "part", part.ref, "error", err)
			default:
				failures = 0
				readings[i] = r
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if firstErr != nil {
		slices.Sort(pages)
		where := "page " + Ranges(pages)
		switch {
		case len(pages) == 0 && pictures == 1:
			where = "a picture in it"
		case len(pages) == 0:
			where = fmt.Sprintf("%d pictures in it", pictures)
		}
		doc.Warnings = append(doc.Warnings, fmt.Sprintf("text recognition failed on %s: %s", where, plainError(firstErr)))
	}
	return readings, nil
}

// sharedReadings has the texts of the pictures of a document, each of which is recognised once.
type sharedReadings struct {
	mu    sync.Mutex
	texts map[[32]byte]func() (string, error)
}

// recognizePart reads the text in a picture of a part.
func (e *Extractor) recognizePart(ctx context.Context, f File, part unreadPart, known *sharedReadings) (reading, error) {
	select {
	case e.pages <- struct{}{}:
		defer func() { <-e.pages }()
	case <-ctx.Done():
		return reading{}, ctx.Err()
	}
	picture, err := e.render(ctx, f, part)
	if err != nil || picture == nil {
		return reading{done: err == nil}, err // nothing is to be seen on it
	}
	r := reading{sum: sha256.Sum256(picture), done: true}
	known.mu.Lock()
	read := known.texts[r.sum]
	if read == nil {
		read = sync.OnceValues(func() (string, error) {
			text, err := e.cfg.Recognizer.Recognize(ctx, picture)
			return cleanText(text, false), err
		})
		known.texts[r.sum] = read
	}
	known.mu.Unlock()
	if r.text, err = read(); err != nil {
		return reading{}, err
	}
	return r, nil
}

// replacePages puts texts, by page number, in the place of what the pages held. Pages that were
// recognised as empty keep their text, if they had any. Links on what is replaced go with it.
func replacePages(doc *Document, texts map[int]string) {
	old := doc.Document
	var b strings.Builder
	var blocks []chunker.Block
	var links []chunker.Link
	pages := make([]chunker.Page, len(old.Pages))
	next := 0 // the first block that is not written yet
	write := func(kind chunker.Kind, level int, text string) {
		if b.Len() > 0 {
			sep := "\n\n"
			if n := len(blocks); kind == chunker.ListItem && blocks[n-1].Kind == chunker.ListItem {
				sep = "\n"
			}
			b.WriteString(sep)
		}
		start := b.Len()
		b.WriteString(text)
		blocks = append(blocks, chunker.Block{Kind: kind, Start: start, End: b.Len(), Level: level})
	}
	doc.PagesWithoutText, doc.RecognizedPages = nil, nil
	for i, p := range old.Pages {
		pages[i] = chunker.Page{Number: p.Number, Label: p.Label, Start: -1}
		begin := len(blocks)
		replaced := strings.TrimSpace(texts[p.Number]) != ""
		end := len(old.Text)
		if i+1 < len(old.Pages) {
			end = old.Pages[i+1].Start
		}
		for next < len(old.Blocks) && old.Blocks[next].Start < end {
			if bl := old.Blocks[next]; !replaced {
				write(bl.Kind, bl.Level, old.Text[bl.Start:bl.End])
				links = moveLinks(links, old.Links, bl, blocks[len(blocks)-1].Start)
			}
			next++
		}
		if replaced {
			for para := range strings.SplitSeq(texts[p.Number], "\n\n") {
				if para = strings.TrimSpace(para); para != "" {
					write(chunker.Paragraph, 0, para)
				}
			}
			doc.RecognizedPages = append(doc.RecognizedPages, p.Number)
		}
		if begin < len(blocks) {
			pages[i].Start = blocks[begin].Start
		} else {
			pages[i].Start = b.Len()
			if p.End == p.Start { // else a block of the page before runs over it
				doc.PagesWithoutText = append(doc.PagesWithoutText, p.Number)
			}
		}
		pages[i].End = b.Len()
	}
	doc.Text, doc.Blocks, doc.Pages, doc.Links = b.String(), blocks, pages, links
}

// unreadNotes are the warnings for the pages that have no text in the end. Those of files within the document were
// warned of when they were met, unless recognition was still to come.
func unreadNotes(doc *Document, tried bool) []string {
	var notes []string
	if len(doc.PagesWithoutText) > 0 {
		notes = append(notes, unreadNote(doc, tried))
	}
	if !tried {
		return notes
	}
	for _, f := range doc.NeedsOCRIn {
		where := ""
		if len(f.Pages) > 0 {
			where = " on page " + Ranges(f.Pages)
		}
		notes = append(notes, fmt.Sprintf("%s: no text was recognised%s", f.Name, where))
	}
	return notes
}

// unreadNote is the warning for the pages of the document itself, of which some have no text.
func unreadNote(doc *Document, tried bool) string {
	n := len(doc.PagesWithoutText)
	note := fmt.Sprintf("%d of %d pages have no text", n, len(doc.Pages))
	garbled := slices.DeleteFunc(slices.Clone(doc.GarbledPages), func(p int) bool { return !slices.Contains(doc.PagesWithoutText, p) })
	switch {
	case len(garbled) == 1:
		note += fmt.Sprintf(" (that of page %d is garbled by its font)", garbled[0])
	case len(garbled) > 1:
		note += fmt.Sprintf(" (that of pages %s is garbled by their fonts)", Ranges(garbled))
	case !tried && len(doc.NeedsOCR) > 0:
		note += " (scanned?)"
	}
	switch {
	case tried:
		note += "; none was recognised on them"
	case len(doc.NeedsOCR) > 0:
		note += "; " + howToRecognize
	}
	return note
}

// unspaceCJK takes out the spaces that recognition puts between the characters of scripts written
// without them.
func unspaceCJK(s string) string {
	runes := []rune(s)
	out := runes[:0]
	for i, r := range runes {
		if r == ' ' && i > 0 && i+1 < len(runes) && isCJK(runes[i-1]) && isCJK(runes[i+1]) {
			continue
		}
		out = append(out, r)
	}
	return string(out)
}

// errNoPicture is returned for a page of a format that has no pictures of its pages.
var errNoPicture = errors.New("there is no picture of it")
