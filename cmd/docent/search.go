package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"docent/retriever"
)

type searchCmd struct {
	Collection string `short:"c" default:"default" placeholder:"NAME" help:"The collection."`
	K          int    `short:"k" default:"10" help:"How many passages."`
	retrievalFlags
	modelFlags
	Question []string `arg:"" help:"The question, or keywords."`
}

func (c *searchCmd) Run(ctx context.Context, a *app) error {
	question, err := oneText(c.Question, "question")
	if err != nil {
		return err
	}
	if c.K < 1 {
		return fmt.Errorf("-k is %d, want at least 1", c.K)
	}
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.collection(ctx, c.Collection); err != nil {
		return err
	}
	settings, err := l.retrieval(ctx, c.Collection, c.retrievalFlags)
	if err != nil {
		return err
	}
	opts, err := settings.Options(l.parts(a.model(c.modelFlags, l.encoder)))
	if err != nil {
		return err
	}
	var notes []retriever.Note
	opts = append(opts, retriever.TopK(c.K), retriever.Where(c.Where.Filter), retriever.OnNote(func(n retriever.Note) { notes = append(notes, n) }))
	hits, err := l.store.Search(ctx, c.Collection, question, opts...)
	if err != nil {
		return err
	}
	for _, n := range notes {
		a.notice("%s", n)
	}
	if a.JSON {
		return a.printJSON(struct {
			Question   string             `json:"question"`
			Collection string             `json:"collection"`
			Mode       string             `json:"mode"`
			Settings   retriever.Settings `json:"settings"`
			Hits       []retriever.Hit    `json:"hits"`
		}{question, c.Collection, settings.Mode, settings, list(hits)})
	}
	if len(hits) == 0 {
		a.notice("Nothing found in collection %q.", c.Collection)
	}
	for i, h := range hits {
		fmt.Fprintf(a.stdout, "%2d. %s  (%.4f)\n", i+1, place(shown(h.Document.Path), h.Chunk.FirstPage, h.Chunk.LastPage, h.Chunk.Headings, h.Chunk.Labels), h.Score)
		fmt.Fprintf(a.stdout, "    %s\n\n", clip(strings.Join(strings.Fields(h.Chunk.Text), " "), 300))
	}
	return nil
}

// place says where a passage stands.
func place(path string, first, last int, headings, labels []string) string {
	parts := []string{path}
	if p := pages(first, last); p != "" {
		parts = append(parts, p)
	}
	if len(headings) > 0 {
		parts = append(parts, strings.Join(headings, " > "))
	}
	return strings.Join(append(parts, labels...), ", ")
}

// shown is a path as a person here would name it: files below the working directory by their relative
// path. JSON always has paths as they are recorded.
func shown(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return path
	}
	return rel
}

// oneText joins the words of an argument, so that a question needs no quotes.
func oneText(words []string, what string) (string, error) {
	text := strings.TrimSpace(strings.Join(words, " "))
	if text == "" {
		return "", errors.New("the " + what + " is empty")
	}
	return text, nil
}
