package ingest

import "testing"

func TestWithArticle(t *testing.T) {
	for what, want := range map[string]string{
		"XLSX workbook": "an XLSX workbook", "DOCX document": "a DOCX document", "RTF document": "an RTF document", "HTML page": "an HTML page",
		"OLE compound file": "an OLE compound file", "EPUB book": "an EPUB book", "JSON data": "JSON data", "SRT subtitles": "SRT subtitles",
		"plain text": "plain text", "binary data of an unknown kind": "binary data of an unknown kind", "image/png": "of type image/png", "": "",
	} {
		if got := withArticle(what); got != want {
			t.Errorf("withArticle(%q) = %q, want %q", what, got, want)
		}
	}
}
