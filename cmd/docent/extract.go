package main

import (
	"context"
	"fmt"
	"strings"

	"docent/chunker"
	"docent/ingest"
)

type extractCmd struct {
	Password string `placeholder:"TEXT" env:"DOCENT_FILE_PASSWORD" help:"Opens an encrypted file."`
	File     string `arg:"" help:"The file."`
}

// A span is a structural part of a text, as byte range and in words.
type span struct {
	Level int    `json:"level,omitempty"` // of a heading, 1 to 6
	Page  int    `json:"page,omitempty"`  // from 1; absent when the format has no pages
	Start int    `json:"start"`
	End   int    `json:"end"`
	Text  string `json:"text"`
}

// A linkJSON is a part of a text that leads to an address.
type linkJSON struct {
	span
	Target string `json:"target"`
}

type extractJSON struct {
	Path             string             `json:"path"`
	Title            string             `json:"title"`
	Format           string             `json:"format"`
	Language         string             `json:"language"`
	Metadata         map[string]string  `json:"metadata"`
	Warnings         []string           `json:"warnings"`
	PagesWithoutText []int              `json:"pages_without_text"`
	NeedsOCR         []int              `json:"needs_ocr"`
	NeedsOCRIn       []ingest.FilePages `json:"needs_ocr_in"`
	GarbledPages     []int              `json:"garbled_pages"`
	Pages            []chunker.Page     `json:"pages"`
	Headings         []span             `json:"headings"`
	Tables           []span             `json:"tables"`
	Links            []linkJSON         `json:"links"`
	Blocks           []chunker.Block    `json:"blocks"`
	Text             string             `json:"text"`
}

func (c *extractCmd) Run(ctx context.Context, a *app) error {
	doc, err := a.read(ctx, c.File, c.Password)
	if err != nil {
		return err
	}
	if !a.JSON {
		for _, w := range doc.Warnings {
			a.notice("%s: %s", c.File, w)
		}
		fmt.Fprintln(a.stdout, strings.TrimRight(doc.Text, "\n"))
		return nil
	}
	out := extractJSON{
		Path: c.File, Title: doc.Title, Format: doc.Format, Language: doc.Language,
		Metadata: doc.Metadata, Warnings: list(doc.Warnings), PagesWithoutText: list(doc.PagesWithoutText),
		NeedsOCR: list(doc.NeedsOCR), NeedsOCRIn: list(doc.NeedsOCRIn), GarbledPages: list(doc.GarbledPages),
		Pages: list(doc.Pages), Headings: []span{}, Tables: []span{}, Links: []linkJSON{}, Blocks: list(doc.Blocks), Text: doc.Text,
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	for _, b := range doc.Blocks {
		s := span{Level: b.Level, Page: pageAt(doc.Pages, b.Start), Start: b.Start, End: b.End, Text: doc.Text[b.Start:b.End]}
		switch b.Kind {
		case chunker.Heading:
			out.Headings = append(out.Headings, s)
		case chunker.Table:
			out.Tables = append(out.Tables, s)
		}
	}
	for _, l := range doc.Links {
		out.Links = append(out.Links, linkJSON{span: span{Page: pageAt(doc.Pages, l.Start), Start: l.Start, End: l.End, Text: doc.Text[l.Start:l.End]}, Target: l.Target})
	}
	return a.printJSON(out)
}

// pageAt is the number of the page that holds the byte at, 0 without pages.
func pageAt(pages []chunker.Page, at int) int {
	n := 0
	for _, p := range pages {
		if p.Start > at {
			break
		}
		n = p.Number
	}
	return n
}

type chunkCmd struct {
	Password string `placeholder:"TEXT" env:"DOCENT_FILE_PASSWORD" help:"Opens an encrypted file."`
	chunkFlags
	File string `arg:"" help:"The file."`
}

// chunkFlags say how text is cut into chunks.
type chunkFlags struct {
	Strategy string `enum:"structure,sentence,parent,semantic" default:"structure" help:"Where text is cut: ${enum}."`
	Size     int    `default:"0" placeholder:"TOKENS" help:"The most tokens in a chunk; 0 means the default."`
	Overlap  int    `default:"0" placeholder:"TOKENS" help:"The most tokens repeated from the chunk before; 0 means the default, -1 none."`
	Read     int    `default:"0" placeholder:"TOKENS" help:"The most tokens read around a sentence or small piece; 0 means the default."`
}

func (c chunkFlags) config() chunker.Config {
	return chunker.Config{
		Strategy:        chunker.Strategy(c.Strategy),
		RecursiveConfig: chunker.RecursiveConfig{MaxTokens: c.Size, Overlap: c.Overlap}, ReadTokens: c.Read,
	}
}

type chunkJSON struct {
	N int `json:"n"` // from 1
	chunker.Chunk
}

func (c *chunkCmd) Run(ctx context.Context, a *app) error {
	enc, err := a.encoder(ctx, a.Encoder)
	if err != nil {
		return err
	}
	name := "approximate"
	if enc != nil {
		name = enc.Name()
	}
	split, err := splitter(enc, c.config())
	if err != nil {
		return err
	}
	doc, err := a.read(ctx, c.File, c.Password)
	if err != nil {
		return err
	}
	chunks, err := split.Split(ctx, doc.Document)
	if err != nil {
		return fmt.Errorf("chunk %q: %w", c.File, err)
	}
	if a.JSON {
		out := make([]chunkJSON, len(chunks))
		for i, ch := range chunks {
			out[i] = chunkJSON{N: i + 1, Chunk: ch}
		}
		return a.printJSON(struct {
			Path      string      `json:"path"`
			Title     string      `json:"title"`
			Tokenizer string      `json:"tokenizer"`
			Chunks    []chunkJSON `json:"chunks"`
		}{c.File, doc.Title, name, out})
	}
	for i, ch := range chunks {
		head := fmt.Sprintf("#%d  bytes %d-%d  %s", i+1, ch.Start, ch.End, count(ch.Tokens, "token"))
		if p := pages(ch.FirstPage, ch.LastPage); p != "" {
			head += "  " + p
		}
		if len(ch.Headings) > 0 {
			head += "  " + strings.Join(ch.Headings, " > ")
		}
		if len(ch.Labels) > 0 {
			head += "  " + strings.Join(ch.Labels, ", ")
		}
		fmt.Fprintf(a.stdout, "%s\n%s\n\n", head, ch.Text)
	}
	return nil
}

// read extracts one file.
func (a *app) read(ctx context.Context, file, password string) (*ingest.Document, error) {
	ex, err := a.extractor(ctx, password)
	if err != nil {
		return nil, err
	}
	defer ex.Close()
	return ex.Extract(ctx, ingest.File{Path: file, Name: file})
}

// pages is "page 3" or "pages 3-4", or nothing where the format has none.
func pages(first, last int) string {
	switch {
	case first == 0:
		return ""
	case last <= first:
		return fmt.Sprintf("page %d", first)
	}
	return fmt.Sprintf("pages %d-%d", first, last)
}

// list is s, never nil, so that JSON has a list there.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
