package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"docent/examples"
	"docent/ingest"
	"docent/internal/llm"
	"docent/retriever"
)

type doctorCmd struct {
	Quick  bool `xor:"depth" help:"Do not read through the collections."`
	Repair bool `xor:"depth" help:"Mend what is damaged, as far as that can be done; nothing may have the data directory open. Damaged files are kept in damaged-DATE/ in it."`
	modelFlags
}

// A finding is what doctor found out about one part.
type finding struct {
	Part   string `json:"part"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	found := []finding{{"docent", true, versionLine()}}
	add := func(part string, detail string, err error) {
		if err != nil {
			detail = explain(err, a).Error()
		}
		found = append(found, finding{part, err == nil, detail})
	}

	detail, collections, err := a.checkData(ctx, c)
	add("data directory", detail, err)
	found = append(found, collections...)

	start := time.Now()
	enc, err := a.encoder(ctx, a.Encoder)
	switch {
	case err == nil && enc == nil:
		detail = "none: collections are searched by keywords only"
	case err == nil:
		_, err = enc.EmbedQuery(ctx, "Is everything in order?")
		detail = fmt.Sprintf("%s, %d dimensions, first vector after %v", enc.Name(), enc.Dim(), time.Since(start).Round(time.Millisecond))
	}
	add("encoder", detail, err)

	detail, err = a.checkParser(ctx)
	add("file parser", detail, err)

	recognizer, err := a.recognizer(ctx)
	if detail = "none: pictures and scanned pages have no text; docs/formats.md tells what to install"; err == nil && recognizer != nil {
		detail = recognizer.Name()
	}
	add("text recognition", detail, err)

	sel, err := llm.Open(ctx, a.llmConfig(c.modelFlags, enc))
	switch {
	case err == nil && sel.Provider == llm.ExtractiveAnswer:
		detail = "none: answers are quoted sentences"
		if sel.Notice != "" {
			detail = sel.Notice
		}
	case err == nil:
		detail = fmt.Sprintf("%s at %s (%s)", sel.Name, sel.URL, sel.Provider)
		if local, ok := sel.Model.(*llm.LocalModel); ok {
			s := local.Status()
			detail += fmt.Sprintf(", a context of %d tokens, needs up to %d MiB: weights %d, cache %d, buffers %d, adapters %d", s.Context,
				s.Memory.Total()>>20, s.Memory.Weights>>20, s.Memory.Cache>>20, s.Memory.Buffers>>20, s.Memory.Adapters>>20)
			err = local.Close()
		}
	}
	add("language model", detail, err)

	good := true
	for _, f := range found {
		good = good && f.OK
		if !a.JSON {
			mark := "ok  "
			if !f.OK {
				mark = "FAIL"
			}
			fmt.Fprintf(a.stdout, "%s  %-16s  %s\n", mark, f.Part, strings.ReplaceAll(f.Detail, "\n", "\n        "))
		}
	}
	if a.JSON {
		if err := a.printJSON(map[string]any{"ok": good, "checks": found}); err != nil {
			return err
		}
	}
	if !good {
		return errReported
	}
	return nil
}

// checkData opens the data directory and reads through the collections to see that their record, indexes and
// files agree, unless that is not wanted; and mends what does not, if that is.
func (a *app) checkData(ctx context.Context, c *doctorCmd) (string, []finding, error) {
	dir, err := a.dataDir()
	if err != nil {
		return "", nil, err
	}
	if _, err := os.Stat(dir); os.IsNotExist(err) && a.Store == "" {
		return dir + " (not there yet; the first command that needs it makes it)", nil, nil
	}
	var found []finding
	if c.Repair && a.Store == "" {
		done, err := retriever.RepairDir(ctx, dir, a.log)
		if len(done) > 0 {
			found = append(found, finding{"record", err == nil, "mended" + repairs(done)})
		}
		if err != nil {
			return "", found, err
		}
	}
	open := a.openRecord
	if c.Repair {
		open = a.open // to embed again
	}
	l, err := open(ctx)
	if err != nil {
		return "", found, err
	}
	defer l.Close()
	all, err := l.store.Collections(ctx)
	if err != nil {
		return "", found, err
	}
	where := dir
	if a.Store != "" {
		where = l.store.Catalog().Path() + ", with models and settings in " + dir
	}
	summary := fmt.Sprintf("%s, %s", where, count(len(all), "collection"))
	check := func(ctx context.Context, collection string) ([]retriever.Repair, retriever.Verification, error) {
		v, err := l.store.Verify(ctx, collection)
		return nil, v, err
	}
	switch {
	case c.Quick:
		check = nil
	case c.Repair:
		p, ex, err := a.pipeline(ctx, l, "", fetchFlags{}, a.model(c.modelFlags, l.encoder))
		if err != nil {
			return "", found, err
		}
		defer ex.Close()
		check = p.Repair
	}
	if check == nil {
		all = nil
	} else if err := l.store.Catalog().CheckAll(ctx); err != nil {
		found = append(found, finding{"record", false, explain(err, a).Error()})
	}
	for _, col := range all {
		f := finding{Part: "collection " + col.Name, OK: true}
		done, v, err := check(ctx, col.Name)
		if err != nil {
			f.OK, f.Detail = false, explain(err, a).Error()
			found = append(found, f)
			continue
		}
		f.Detail = fmt.Sprintf("%s, %s, %s and %s agree", count(v.Documents, "document"), count(v.Chunks, "chunk"), count(v.Vectors, "vector"), count(v.Files, "file"))
		if len(v.Problems) > 0 {
			f.OK, f.Detail = false, fmt.Sprintf("%s found", count(len(v.Problems), "problem"))
		}
		if len(done) > 0 {
			f.Detail += "; mended" + repairs(done)
		}
		for _, p := range v.Problems {
			f.Detail += "\n" + p.What + "; to mend it: " + p.Fix
		}
		found = append(found, f)
	}
	return summary, found, nil
}

// repairs tells what was mended, a line each.
func repairs(done []retriever.Repair) string {
	var b strings.Builder
	for _, r := range done {
		b.WriteString("\n" + r.What + ": " + r.Done)
	}
	return b.String()
}

// checkParser reads the sample PDF the way every file is read.
func (a *app) checkParser(ctx context.Context) (string, error) {
	const name = "employee-handbook.pdf"
	data, err := fs.ReadFile(examples.FS(), name)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "docent-doctor-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", err
	}
	ex, err := a.extractor(ctx, "")
	if err != nil {
		return "", err
	}
	defer ex.Close()
	start := time.Now()
	doc, err := ex.Extract(ctx, ingest.File{Path: path, Name: name})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("read the %d pages of a sample PDF in %v", len(doc.Pages), time.Since(start).Round(time.Millisecond)), nil
}
