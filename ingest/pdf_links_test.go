package ingest_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/ingest"
)

// TestPDFStructure checks what a PDF says of itself beside its text: its outline makes headings of lines
// that look like any other, its pages have the names that are printed, and its links their addresses.
func TestPDFStructure(t *testing.T) {
	lines := []string{
		"The form for travel is here and has to be signed by the head of the team.",
		"The form for sick leave is here and may be sent later (see the guide).",
		"Whoever is away for longer than four weeks of a year should read the",
		"long guide to leave before anything else is done about it, or the short",
		"one for parents, which is shorter by far and says what matters to them.",
	}
	first := pdfLine(11, 60, 740, "Scope of it")
	for i, l := range lines {
		first += pdfLine(11, 60, 700-14*i, strings.NewReplacer("(", `\(`, ")", `\)`).Replace(l))
	}
	second := pdfLine(11, 60, 720, "Write to the office if in doubt, or run the script if you dare to.")
	uri := func(target, rect, more string) string {
		return fmt.Sprintf("<</Type/Annot/Subtype/Link/Border[0 0 0]/Rect[%s]/A<</S/URI/URI(%s)>>%s>>", rect, target, more)
	}
	// Helvetica at 11 points: where the words stand is measured from its widths.
	at := func(y int, line, words string) string {
		x0, x1 := helveticaSpan(t, 11, 60, line, words)
		return fmt.Sprintf("%.1f %d %.1f %d", x0, y-3, x1, y+9)
	}
	quad := func(y int, line, words string) string {
		x0, x1 := helveticaSpan(t, 11, 60, line, words)
		return fmt.Sprintf("%.1f %d %.1f %d %.1f %d %.1f %d ", x0, y+9, x1, y+9, x0, y-3, x1, y-3)
	}
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R/Outlines 8 0 R/PageLabels<</Nums[0<</S/r/St 4>>]>>>>",
		"<</Type/Pages/Kids[4 0 R 6 0 R]/Count 2>>",
		pdfHelvetica,
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R/Annots[" +
			uri("https://example.com/sick", at(686, lines[1], "here"), "") +
			uri("https://example.com/travel", at(700, lines[0], "here"), "") +
			uri("https://example.com/guide", at(686, lines[1], "(see the guide)"), "") +
			uri("https://example.com/long", "60 640 420 680", "/QuadPoints["+quad(672, lines[2], "the")+quad(658, lines[3], "long guide")+"]") +
			uri("https://example.com/logo", "400 20 500 60", "") + "]>>",
		pdfStream(first),
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents 7 0 R/Annots[" +
			uri("mailto:office@example.com", at(720, "Write to the office", "office"), "") +
			uri("javascript:alert\\(1\\)", at(720, "Write to the office if in doubt, or run the script", "script"), "") +
			"<</Type/Annot/Subtype/Link/Rect[60 700 90 730]/Dest[4 0 R/Fit]>>]>>",
		pdfStream(second),
		"<</Type/Outlines/First 9 0 R/Last 9 0 R/Count 1>>",
		"<</Title(Scope of it)/Parent 8 0 R/Dest[4 0 R/Fit]>>",
	}
	for engine, cfg := range map[string]ingest.ExtractorConfig{"ledongthuc": {Worker: workerArgv(), Workers: 1}, "pdfium": {Workers: 1}} {
		ex := newExtractor(t, cfg)
		doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, "a.pdf", pdfOf(objects...))})
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, "a.pdf", doc)
		if doc.Metadata["engine"] != engine {
			t.Errorf("read by %s, want %s", doc.Metadata["engine"], engine)
		}
		if b := doc.Blocks[0]; b.Kind != "heading" || doc.Text[b.Start:b.End] != "Scope of it" {
			t.Errorf("%s: the first block is %+v of %q", engine, b, doc.Text)
		}
		if a, b := doc.Pages[0].Label, doc.Pages[1].Label; a != "iv" || b != "v" {
			t.Errorf("%s: the pages are %q and %q, want iv and v", engine, a, b)
		}
		type link struct{ Before, Text, Target string }
		var got []link
		for _, l := range doc.Links {
			got = append(got, link{doc.Text[max(0, l.Start-8):l.Start], doc.Text[l.Start:l.End], l.Target})
		}
		want := []link{
			{"", "", "https://example.com/logo"},
			{"avel is ", "here", "https://example.com/travel"},
			{"eave is ", "here", "https://example.com/sick"},
			{"t later ", "(see the guide)", "https://example.com/guide"},
			{"ld read ", "the long guide", "https://example.com/long"},
			{" to the ", "office", "mailto:office@example.com"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: links (-want +got):\n%s", engine, diff)
		}
	}
}

// helveticaSpan is from where to where words stand in a line that begins at x.
func helveticaSpan(t *testing.T, size, x float64, line, words string) (from, to float64) {
	t.Helper()
	var widths []int
	for f := range strings.FieldsSeq(helveticaWidths) {
		w, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		widths = append(widths, w)
	}
	width := func(s string) (w float64) {
		for i := range len(s) {
			w += float64(widths[s[i]-' ']) / 1000 * size
		}
		return w
	}
	i := strings.LastIndex(line, words)
	if i < 0 {
		t.Fatalf("%q is not in %q", words, line)
	}
	return x + width(line[:i]), x + width(line[:i+len(words)])
}
