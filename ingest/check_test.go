package ingest_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"docent/ingest"
)

// checkDocument checks what holds for every document.
func checkDocument(t testing.TB, name string, doc *ingest.Document) {
	t.Helper()
	if !utf8.ValidString(doc.Text) {
		t.Errorf("%s: text is not valid UTF-8", name)
	}
	if i := strings.IndexFunc(doc.Text, func(r rune) bool { return r >= 0xfdd0 && r <= 0xfde2 }); i >= 0 && len(doc.Links) > 0 {
		t.Errorf("%s: the mark of a link is left at %d", name, i)
	}
	if !norm.NFC.IsNormalString(doc.Text) {
		t.Errorf("%s: text is not in normal form C", name)
	}
	if doc.Title == "" || doc.Format == "" {
		t.Errorf("%s: title %q, format %q", name, doc.Title, doc.Format)
	}
	at := 0
	for i, b := range doc.Blocks {
		if b.Start < at || b.End <= b.Start || b.End > len(doc.Text) {
			t.Fatalf("%s: block %d is %d to %d after %d of %d", name, i, b.Start, b.End, at, len(doc.Text))
		}
		if gap := doc.Text[at:b.Start]; strings.TrimSpace(gap) != "" {
			t.Errorf("%s: text outside blocks before block %d: %q", name, i, gap)
		}
		if !utf8.RuneStart(doc.Text[b.Start]) {
			t.Errorf("%s: block %d starts within a character", name, i)
		}
		at = b.End
	}
	if rest := doc.Text[at:]; strings.TrimSpace(rest) != "" {
		t.Errorf("%s: text outside blocks at the end: %q", name, rest)
	}
	at = 0
	for i, l := range doc.Links {
		if l.Start < at || l.End < l.Start || l.End > len(doc.Text) || l.Target == "" || !utf8.ValidString(doc.Text[l.Start:l.End]) {
			t.Fatalf("%s: link %d to %q is %d to %d after %d of %d", name, i, l.Target, l.Start, l.End, at, len(doc.Text))
		}
		at = l.Start
	}
	at = 0
	for i, p := range doc.Pages {
		if p.Start < at || p.End < p.Start || p.End > len(doc.Text) {
			t.Fatalf("%s: page %d is %d to %d after %d of %d", name, i, p.Start, p.End, at, len(doc.Text))
		}
		if i > 0 && p.Number <= doc.Pages[i-1].Number {
			t.Errorf("%s: page %d after page %d", name, p.Number, doc.Pages[i-1].Number)
		}
		at = p.End
	}
}
