package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"docent/retriever"
)

type collectionsCmd struct {
	List   collectionsListCmd   `cmd:"" default:"1" help:"List the collections."`
	Create collectionsCreateCmd `cmd:"" help:"Make an empty collection."`
	Show   collectionsShowCmd   `cmd:"" help:"Show the settings of a collection."`
	Set    collectionsSetCmd    `cmd:"" help:"Change settings of a collection."`
	Rm     collectionsRmCmd     `cmd:"" help:"Remove a collection with all it holds."`
	Export collectionsExportCmd `cmd:"" help:"Write a collection to one file, with its vectors."`
	Import collectionsImportCmd `cmd:"" help:"Make a collection of an exported one; nothing is embedded again."`
}

type collectionsListCmd struct{}

func (collectionsListCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	all, err := l.store.Collections(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(struct {
			Collections []retriever.Collection `json:"collections"`
		}{list(all)})
	}
	if len(all) == 0 {
		a.notice("No collections yet. Make one with: docent ingest PATH")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDOCUMENTS\tCHUNKS\tENCODER")
	for _, c := range all {
		enc := c.Encoder
		if enc == "" {
			enc = "none (keywords only)"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", c.Name, c.Documents, c.Chunks, enc)
	}
	return w.Flush()
}

type collectionsCreateCmd struct {
	Name string `arg:"" help:"Its name."`
}

func (c *collectionsCreateCmd) Run(ctx context.Context, a *app) error {
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	col, err := l.store.CreateCollection(ctx, c.Name)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(col)
	}
	fmt.Fprintf(a.stdout, "created %s\n", col.Name)
	return nil
}

type collectionsRmCmd struct {
	Name []string `arg:"" help:"The collections."`
}

func (c *collectionsRmCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, name := range c.Name { // all of them are there, or none is removed
		if _, err := l.collection(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range c.Name {
		if err := l.store.DeleteCollection(ctx, name); err != nil {
			return err
		}
		if a.JSON {
			if err := a.printJSON(map[string]string{"name": name, "status": "removed"}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "removed %s\n", name)
	}
	return nil
}

type documentsCmd struct {
	Collection string `short:"c" default:"default" placeholder:"NAME" help:"The collection."`
	Report     string `placeholder:"PATH" xor:"what" help:"Show what became of a file: what was read, what cleaning did, how long it took."`
	Failed     bool   `xor:"what" help:"Show the reports on files that failed."`
}

func (c *documentsCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.collection(ctx, c.Collection); err != nil {
		return err
	}
	switch {
	case c.Report != "":
		return a.showReport(ctx, l, c.Collection, c.Report)
	case c.Failed:
		return a.showFailed(ctx, l, c.Collection)
	}
	docs, err := l.store.Documents(ctx, c.Collection)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(struct {
			Documents []retriever.Document `json:"documents"`
		}{list(docs)})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tFORMAT\tPAGES\tCHUNKS\tBYTES\tPATH")
	for _, d := range docs {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", d.ID, d.Format, d.Pages, d.Chunks, d.Bytes, shown(d.Path))
	}
	return w.Flush()
}

type rmCmd struct {
	Collection string   `short:"c" default:"default" placeholder:"NAME" help:"The collection."`
	Document   []string `arg:"" help:"Paths or ids, as 'docent documents' lists them."`
}

func (c *rmCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.collection(ctx, c.Collection); err != nil {
		return err
	}
	failed := false
	for _, name := range c.Document {
		d, err := l.document(ctx, c.Collection, name)
		if err == nil {
			err = l.store.DeleteDocument(ctx, d.ID)
		}
		if err != nil && !errors.Is(err, retriever.ErrNotFound) {
			return err
		}
		res := fileResult{Path: d.Path, Status: "removed", DocumentID: d.ID}
		if err != nil {
			failed = true
			res = fileResult{Path: name, Status: "failed", Error: fmt.Sprintf("no such document in collection %q; docent documents -c %s lists them", c.Collection, c.Collection)}
		}
		switch {
		case a.JSON:
			if err := a.printJSON(res); err != nil {
				return err
			}
		case res.Error != "":
			a.notice("%s: %s", res.Path, res.Error)
		default:
			fmt.Fprintf(a.stdout, "removed %s\n", shown(res.Path))
		}
	}
	if failed {
		return errReported
	}
	return nil
}

// document finds a document of a collection by its path as recorded, by the path of its file as seen
// from here, or by its id.
func (l *library) document(ctx context.Context, collection, name string) (retriever.Document, error) {
	paths := []string{name}
	if abs, err := filepath.Abs(name); err == nil && abs != name {
		paths = append(paths, abs)
	}
	for _, p := range paths {
		d, err := l.store.DocumentByPath(ctx, collection, p)
		if !errors.Is(err, retriever.ErrNotFound) {
			return d, err
		}
	}
	d, err := l.store.Document(ctx, name)
	if err == nil && d.Collection != collection {
		return retriever.Document{}, retriever.ErrNotFound
	}
	return d, err
}
