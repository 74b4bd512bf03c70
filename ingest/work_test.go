package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"docent/chunker"
	"docent/ingest"
	"docent/ingest/clean"
	"docent/retriever"
)

// set changes a setting of the bench's collection.
func (b *bench) set(t *testing.T, key, value string) {
	t.Helper()
	if _, err := ingest.ChangeSettings(t.Context(), b.store, "c", func(s *ingest.Settings) error { return s.Set(key, value) }); err != nil {
		t.Fatal(err)
	}
}

// report is the last report on a path of the bench's collection.
func (b *bench) report(t *testing.T, path string) ingest.Report {
	t.Helper()
	r, err := ingest.ReadReport(t.Context(), b.store, "c", path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const leave = `Employees have twenty-five days of paid leave a year. Leave that is not taken by the end of March of the
next year is lost, unless the company asked for it to be put off. A request is made in the portal, at least
two weeks ahead, and the team lead answers within three days. In the first year the days are given in
proportion to the months worked.`

func TestDuplicates(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	one, two, three := b.file(t, "one.md", leave), b.file(t, "two.md", leave), b.file(t, "three.md", leave)
	first, err := b.pipe.Ingest(ctx, "c", one, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, it := range []ingest.Item{two, three} {
		res, err := b.pipe.Ingest(ctx, "c", it, nil)
		if err != nil || res.Status != ingest.Duplicate {
			t.Fatalf("%s: %+v, %v", it.Path, res, err)
		}
		if again, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil || again.Status != ingest.Unchanged {
			t.Errorf("%s again: %+v, %v", it.Path, again, err)
		}
		if r := b.report(t, it.Path); r.DuplicateOf != one.Path || r.Status != ingest.Duplicate || r.Format != "markdown" {
			t.Errorf("%s: report %+v", it.Path, r)
		}
		content, err := b.store.Content(ctx, res.DocumentID)
		if err != nil || !strings.Contains(content.Text, "portal") {
			t.Errorf("%s: content %q, %v", it.Path, content.Text, err)
		}
		ids = append(ids, res.DocumentID)
	}
	found := func() string {
		t.Helper()
		hits, err := b.store.Search(ctx, "c", "paid leave")
		if err != nil || len(hits) != 1 {
			t.Fatalf("%d hits, %v, want one", len(hits), err)
		}
		return hits[0].Document.ID
	}
	if found() != first.DocumentID {
		t.Error("the first document is not the one that is found")
	}

	// The one with the passages goes: they pass to the oldest duplicate.
	if err := b.store.DeleteDocument(ctx, first.DocumentID); err != nil {
		t.Fatal(err)
	}
	if found() != ids[0] {
		t.Error("the second document did not take over")
	}
	if r := b.report(t, two.Path); r.DuplicateOf != "" || r.Status != ingest.Ingested || r.Chunks == 0 {
		t.Errorf("report of the heir: %+v", r)
	}
	if r := b.report(t, three.Path); r.DuplicateOf != two.Path {
		t.Errorf("report of the other: %+v", r)
	}
	// It gets other bytes: they pass on, and it has its own.
	b.file(t, "two.md", "Something else altogether is written here now.")
	if res, err := b.pipe.Ingest(ctx, "c", two, nil); err != nil || res.Status != ingest.Ingested {
		t.Fatalf("%+v, %v", res, err)
	}
	if found() != ids[1] {
		t.Error("the third document did not take over")
	}

	b.set(t, "duplicates", "index")
	four := b.file(t, "four.md", leave)
	if res, err := b.pipe.Ingest(ctx, "c", four, nil); err != nil || res.Status != ingest.Ingested || res.Chunks == 0 {
		t.Errorf("to be indexed: %+v, %v", res, err)
	}
}

func TestNearDuplicates(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	one, two := b.file(t, "one.md", leave), b.file(t, "two.md", strings.Replace(leave, "three days", "four days", 1))
	for _, it := range []ingest.Item{one, two} {
		if res, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	for it, other := range map[ingest.Item]ingest.Item{one: two, two: one} {
		near := b.report(t, it.Path).NearDuplicates
		if len(near) != 1 || near[0].Path != other.Path || near[0].Similarity < clean.NearDuplicateFrom {
			t.Errorf("%s: near duplicates %+v", it.Path, near)
		}
	}
	b.set(t, "near_duplicates", "refuse")
	three := b.file(t, "three.md", strings.Replace(leave, "two weeks", "a fortnight", 1))
	if _, err := b.pipe.Ingest(ctx, "c", three, nil); !errors.Is(err, ingest.ErrNearDuplicate) {
		t.Errorf("refused: %v", err)
	}
	if r := b.report(t, three.Path); r.Status != ingest.Failed || !strings.Contains(r.Error, "one.md") && !strings.Contains(r.Error, "two.md") {
		t.Errorf("report on what was refused: %+v", r)
	}
	failed, err := ingest.FailedReports(ctx, b.store, "c")
	if err != nil || len(failed) != 1 || failed[0].Path != three.Path {
		t.Errorf("failed: %+v, %v", failed, err)
	}
}

// partlyScanned is a PDF of a page with text, one with a black box, and an empty one.
func partlyScanned() string {
	stream := func(s string) string { return fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(s), s) }
	return "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n" +
		"2 0 obj\n<< /Type /Pages /Kids [3 0 R 4 0 R 8 0 R] /Count 3 /MediaBox [0 0 595 842] /Resources << /Font << /F 7 0 R >> >> >>\nendobj\n" +
		"3 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>\nendobj\n4 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 6 0 R >>\nendobj\n" +
		"5 0 obj\n" + stream("BT /F 12 Tf 72 720 Td (Employees have twenty-five days of paid leave a year.) Tj ET") + "\nendobj\n" +
		"6 0 obj\n" + stream("72 72 400 600 re f") + "\nendobj\n" +
		"7 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n8 0 obj\n<< /Type /Page /Parent 2 0 R >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n"
}

// A document of which a page cannot be read is stored as partial, says which, and is whole once something can.
func TestPartial(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	it := b.file(t, "partly.pdf", partlyScanned())
	res, err := b.pipe.Ingest(ctx, "c", it, nil)
	if err != nil || res.Status != ingest.Partial {
		t.Fatalf("%+v, %v", res, err)
	}
	r := b.report(t, it.Path)
	if r.Status != ingest.Partial || r.Pages != 3 || !slices.Equal(r.PagesWithoutText, []int{2, 3}) || !slices.Equal(r.NeedsOCR, []int{2}) || !slices.ContainsFunc(r.Warnings, func(s string) bool { return strings.HasPrefix(s, "2 of 3 pages have no text") }) {
		t.Errorf("report %+v", r)
	}
	doc, err := b.store.DocumentByPath(ctx, "c", it.Path)
	if err != nil || doc.Metadata["needs_ocr"] != "2" || doc.Metadata["pages_without_text"] != "2-3" {
		t.Errorf("metadata %v, %v", doc.Metadata, err)
	}
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{Recognizer: reads("What the picture says is about pensions.")})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	again := ingest.NewPipeline(b.store, ex, split, ingest.PipelineConfig{})
	it.Again = true
	if res, err = again.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested {
		t.Fatalf("%+v, %v", res, err)
	}
	if r = b.report(t, it.Path); r.Status != ingest.Ingested || len(r.NeedsOCR) > 0 || !slices.Equal(r.RecognizedPages, []int{2}) {
		t.Errorf("report %+v", r)
	}
	if doc, err = b.store.DocumentByPath(ctx, "c", it.Path); err != nil || doc.Metadata["needs_ocr"] != "" {
		t.Errorf("metadata %v, %v", doc.Metadata, err)
	}
}

// So is one that holds such a file, which it names.
func TestPartialWithin(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	const says = "What the picture says is about pensions."
	inner := string(zipped(t, "scans/partly.pdf", partlyScanned()))
	for _, c := range []struct{ name, data, member string }{
		{"a.zip", string(zipped(t, "note.txt", "The other file says this.", "scans/partly.pdf", partlyScanned())), "scans/partly.pdf"},
		{"b.zip", string(zipped(t, "note.txt", "The other file says this.", "inner.zip", inner)), "inner.zip / scans/partly.pdf"},
		{"c.eml", string(mailWith("partly.pdf", []byte(partlyScanned()))), "partly.pdf"},
	} {
		it := b.file(t, c.name, c.data)
		want := []ingest.FilePages{{Name: c.member, Pages: []int{2}}}
		res, err := b.pipe.Ingest(ctx, "c", it, nil)
		if err != nil || res.Status != ingest.Partial || !slices.ContainsFunc(res.Warnings, func(s string) bool {
			return strings.Contains(s, "partly.pdf") && strings.Contains(s, "2 of 3 pages have no text")
		}) {
			t.Errorf("%s: %+v, %v", c.name, res, err)
		}
		if r := b.report(t, it.Path); r.Status != ingest.Partial || !reflect.DeepEqual(r.NeedsOCRIn, want) {
			t.Errorf("%s: report %+v", c.name, r)
		}
		if doc, err := b.store.DocumentByPath(ctx, "c", it.Path); err != nil || doc.Metadata["needs_ocr_in"] != c.member {
			t.Errorf("%s: metadata %v, %v", c.name, doc.Metadata, err)
		}
		it.Again = true
		for _, again := range []struct {
			recognizer ingest.Recognizer
			status     string
			needs      []ingest.FilePages
		}{{fails{}, ingest.Partial, want}, {reads(says), ingest.Ingested, nil}} {
			ex := newExtractor(t, ingest.ExtractorConfig{Recognizer: again.recognizer})
			split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
			if err != nil {
				t.Fatal(err)
			}
			res, err := ingest.NewPipeline(b.store, ex, split, ingest.PipelineConfig{}).Ingest(ctx, "c", it, nil)
			if err != nil || res.Status != again.status || again.needs != nil && !slices.ContainsFunc(res.Warnings, func(s string) bool { return strings.HasPrefix(s, c.member+": no text was recognised on page 2") }) {
				t.Errorf("%s by %T: %+v, %v", c.name, again.recognizer, res, err)
			}
			if r := b.report(t, it.Path); !reflect.DeepEqual(r.NeedsOCRIn, again.needs) {
				t.Errorf("%s by %T: report %+v", c.name, again.recognizer, r)
			}
		}
	}
}

// An archive with nothing but a scan fails as the scan does, and says which.
func TestScanWithin(t *testing.T) {
	b := newBench(t)
	scan := strings.Replace(partlyScanned(), "[3 0 R 4 0 R 8 0 R] /Count 3", "[4 0 R] /Count 1", 1)
	it := b.file(t, "a.zip", string(zipped(t, "scan.pdf", scan)))
	if _, err := b.pipe.Ingest(t.Context(), "c", it, nil); !errors.Is(err, ingest.ErrNoText) || !strings.Contains(err.Error(), "scan.pdf") {
		t.Errorf("%v", err)
	}
	it = b.file(t, "b.zip", string(zipped(t, "scan.pdf", scan, "note.txt", "The other file says this.")))
	if res, err := b.pipe.Ingest(t.Context(), "c", it, nil); err != nil || res.Status != ingest.Partial || !reflect.DeepEqual(b.report(t, it.Path).NeedsOCRIn, []ingest.FilePages{{Name: "scan.pdf"}}) {
		t.Errorf("%+v, %v, %+v", res, err, b.report(t, it.Path))
	}
}

// fails is a Recognizer that does.
type fails struct{}

func (fails) Name() string { return "fails" }

func (fails) Recognize(context.Context, []byte) (string, error) {
	return "", errors.New("the model is not there")
}

// reads is a Recognizer that finds the same in every picture.
type reads string

func (reads) Name() string                                        { return "reads" }
func (r reads) Recognize(context.Context, []byte) (string, error) { return string(r), nil }

func TestCleaning(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	noise := `| . ; ~ _ l i " ' | -- . , : | / \ ~ = . i ' " ;; | _ - . l ,`
	it := b.file(t, "note.txt", leave+"\n\n"+noise+"\n\nAsk ann@example.com or ring 13812345678.\n")
	if _, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil {
		t.Fatal(err)
	}
	r := b.report(t, it.Path)
	if len(r.Cleaning.Dropped) != 1 || r.Cleaning.Dropped[0].Reason != "noise" || len(r.Cleaning.Private) != 2 || len(r.Stages) != 5 || r.Language != "en" {
		t.Errorf("report %+v", r)
	}
	text := func() string {
		t.Helper()
		doc, err := b.store.DocumentByPath(ctx, "c", it.Path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := b.store.Content(ctx, doc.ID)
		if err != nil {
			t.Fatal(err)
		}
		return content.Text
	}
	if got := text(); strings.Contains(got, "~ _") || !strings.Contains(got, "ann@example.com") {
		t.Errorf("text %q", got)
	}
	b.set(t, "private.email", "mask")
	if res, err := b.pipe.Ingest(ctx, "c", it, nil); err != nil || res.Status != ingest.Ingested {
		t.Fatalf("after a change of the settings: %+v, %v", res, err)
	}
	if got := text(); !strings.Contains(got, "***@*******.*** or ring 13812345678") {
		t.Errorf("masked text %q", got)
	}
	b.set(t, "private.phone", "refuse")
	if _, err := b.pipe.Ingest(ctx, "c", it, nil); !errors.Is(err, clean.ErrRefused) {
		t.Errorf("refused: %v", err)
	}
	if r := b.report(t, it.Path); r.Status != ingest.Failed || !strings.Contains(r.Error, "phone number") || len(r.Cleaning.Private) != 2 {
		t.Errorf("report %+v", r)
	}
	if _, err := ingest.ReadReport(ctx, b.store, "c", "none"); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("no such report: %v", err)
	}
}
