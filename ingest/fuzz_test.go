package ingest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/ingest"
)

var fuzzExtractor = sync.OnceValue(func() *ingest.Extractor {
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{Timeout: 30 * time.Second, MaxText: 1 << 20, MaxUnpacked: 1 << 20})
	if err != nil {
		panic(err)
	}
	return ex
})

// pictureExtractor also reads pictures.
var pictureExtractor = sync.OnceValue(func() *ingest.Extractor {
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{Timeout: 30 * time.Second, MaxText: 1 << 20, MaxUnpacked: 1 << 20, Recognizer: sizes{}})
	if err != nil {
		panic(err)
	}
	return ex
})

// fuzzFile reads data in this process, so that a panic is the fuzzer's to see, and checks the document.
func fuzzFile(t *testing.T, name string, data []byte) { fuzzWith(t, fuzzExtractor(), name, data) }

func fuzzWith(t *testing.T, ex *ingest.Extractor, name string, data []byte) {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	doc, err := ex.Extract(context.Background(), ingest.File{Path: path})
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if err != nil {
		if errors.Is(err, ingest.ErrCrashed) {
			t.Error(err)
		}
		return
	}
	checkDocument(t, name, doc)
	for _, w := range doc.Warnings {
		if strings.Contains(w, ingest.ErrCrashed.Error()) {
			t.Error(w)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"hello", zhText, "\xff\xfeh\x00i\x00", "\xc4\xe3\xba\xc3", "a\x00b", "\x1b$B0!", "Title\n=====\n\ntext\r\nmore\r", "\xef\xbb\xbf"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "a.txt", data) })
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range []string{"# a\n\n- b\n  - c\n\n| a |\n|-|\n| b |", "---\na: b\n---\n> x\n```\ny", "<div>\n\n[a](b)\n\n</div>", "a[^1]\n\n[^1]: note", "\\* &amp; ![x](y)", "1. a\n\n   b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "a.md", data) })
}

func FuzzHTML(f *testing.F) {
	for _, s := range []string{"<html><p>a<table><tr><td colspan=3>b", "<ul><li>a<ol><li>b", "<pre> a\n b", "<html><body><article><h1>x</h1><p>" + zhText, "<dl><dt>a<dd>b", "<math><mi>x", "<svg><p>"} {
		f.Add([]byte("<!doctype html>" + s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "a.html", data) })
}

// FuzzDocx varies the XML of the main part.
func FuzzDocx(f *testing.F) {
	f.Add([]byte(para("a1", "x") + listed(0, "y")))
	f.Add([]byte(`<w:tbl><w:tr><w:tc><w:p/></w:tc><w:tc>` + para("", "z") + `</w:tc></w:tr></w:tbl>`))
	f.Add([]byte(`<w:p><m:oMath><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num></m:f></m:oMath></w:p>`))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "a.docx", wordDocument(t, string(data))) })
}

// FuzzPDF varies a content stream as well as whole files.
func FuzzPDF(f *testing.F) {
	f.Add(makePDF(pdfLine(12, 50, 700, "Hello")), true)
	f.Add([]byte("BT /F1 12 Tf 1 0 0 1 50 700 Tm [(a) -300 (b)] TJ T* (c) ' ET"), false)
	f.Fuzz(func(t *testing.T, data []byte, whole bool) {
		if !whole {
			data = makePDF(string(data))
		}
		fuzzFile(t, "a.pdf", data)
	})
}
