package ingest

import (
	"context"
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
	parts := make([]unreadPart, 0, len(todo)+len(doc.pictures))
	for _, page := range todo {
		parts = append(parts, unreadPart{page: page})
	}
	for _, p := range doc.pictures {
		parts = append(parts, unreadPart{picture: p.Ref})
	}
	if len(parts) == 0 {
		return nil
	}
	texts, err := e.recognizeParts(ctx, f, doc, parts)
	if err != nil {
		return err
	}
	if len(todo) > 0 {
		pages := make(map[int]string, len(todo))
		for i, page := range todo {
			pages[page] = texts[i]
		}
		replacePages(doc, pages)
	}
	read := texts[len(todo):]
	if slices.ContainsFunc(read, func(s string) bool { return strings.TrimSpace(s) != "" }) {
		insertPictures(doc, read)
		doc.RecognizedBy = e.cfg.Recognizer.Name()
	}
	if len(doc.RecognizedPages) > 0 {
		doc.RecognizedBy = e.cfg.Recognizer.Name()
	}
	doc.Language = language(doc.Text)
	return nil
}

// An unreadPart of a file is read in a picture of it: a page, from 1, or a picture by its ref.
type unreadPart struct {
	page    int
	picture string
}

// recognizeParts returns what is written on each part; a part that fails costs a warning.
func (e *Extractor) recognizeParts(ctx context.Context, f File, doc *Document, parts []unreadPart) ([]string, error) {
	if f.OnOCR != nil {
		f.OnOCR(0, len(parts))
	}
	texts := make([]string, len(parts))
	var mu sync.Mutex
	done, failures := 0, 0
	var pages []int // that failed
	pictures := 0   // that failed
	var firstErr error
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
			text, err := e.recognizePart(gctx, f, part)
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
				e.cfg.Logger.WarnContext(ctx, "not recognised", "file", f.Name, "page", part.page, "picture", part.picture, "error", err)
			default:
				failures = 0
				texts[i] = text
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if firstErr != nil {
		slices.Sort(pages)
		where := "page " + ranges(pages)
		switch {
		case len(pages) == 0 && pictures == 1:
			where = "a picture in it"
		case len(pages) == 0:
			where = fmt.Sprintf("%d pictures in it", pictures)
		}
		doc.Warnings = append(doc.Warnings, fmt.Sprintf("text recognition failed on %s: %s", where, plainError(firstErr)))
	}
	return texts, nil
}

// recognizePart returns the text in a picture of a part.
func (e *Extractor) recognizePart(ctx context.Context, f File, part unreadPart) (string, error) {
	select {
	case e.pages <- struct{}{}:
		defer func() { <-e.pages }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	picture, err := e.render(ctx, f, part)
	if err != nil || picture == nil {
		return "", err // nothing is to be seen on it
	}
	text, err := e.cfg.Recognizer.Recognize(ctx, picture)
	if err != nil {
		return "", err
	}
	return cleanText(text, false), nil
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

// unreadNote is the warning for the pages that have no text in the end; empty when all have.
func unreadNote(doc *Document, tried bool) string {
	n := len(doc.PagesWithoutText)
	switch {
	case n == 0:
		return ""
	case tried:
		return fmt.Sprintf("%d of %d pages have no text; none was recognised on them", n, len(doc.Pages))
	}
	return fmt.Sprintf("%d of %d pages have no text (scanned?); %s", n, len(doc.Pages), howToRecognize)
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
