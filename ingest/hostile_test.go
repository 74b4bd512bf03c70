package ingest_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docent/ingest"
)

// overlapping is a ZIP file whose n members are all the same bytes.
func overlapping(t testing.TB, n int, content string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	m, err := w.Create("0000.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw := buf.Bytes()
	dir := bytes.Index(raw, []byte("PK\x01\x02"))
	end := bytes.Index(raw, []byte("PK\x05\x06"))
	out := bytes.Clone(raw[:dir])
	for i := range n {
		entry := bytes.Clone(raw[dir:end])
		copy(entry[46:], fmt.Sprintf("%04d", i))
		out = append(out, entry...)
	}
	tail := bytes.Clone(raw[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(n))
	binary.LittleEndian.PutUint16(tail[10:], uint16(n))
	binary.LittleEndian.PutUint32(tail[12:], uint32(n*(end-dir)))
	return append(out, tail...)
}

// circles is a PDF whose pages, forms and outline refer to themselves. One of its pages can be read.
var circles = []byte(`%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R/Outlines 5 0 R>> endobj
2 0 obj <</Type/Pages/Kids[2 0 R 3 0 R]/Count 2/Parent 2 0 R>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</X 6 0 R>>/Font<</F1 7 0 R>>>>/MediaBox[0 0 600 800]>> endobj
4 0 obj <</Length 60>> stream
BT /F1 12 Tf 50 700 Td (Cyclic but readable) Tj ET /X Do    
endstream endobj
5 0 obj <</Type/Outlines/First 8 0 R/Last 8 0 R/Count 1>> endobj
6 0 obj <</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>/Length 6>> stream
/X Do 
endstream endobj
7 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
8 0 obj <</Title(loop)/Next 8 0 R/Parent 5 0 R/First 8 0 R>> endobj
9 0 obj 9 0 R endobj
trailer <</Root 1 0 R/Size 10/Prev 0>>
%%EOF
`)

// A file of two gigabytes is refused by its size, or, where that is allowed, by what it holds; in neither
// case is it held in memory.
func TestExtractHuge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.txt")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(strings.Repeat("one line ", 20_000))
	if err == nil {
		err = f.Truncate(2 << 30) // the rest takes no room on the disk
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Skip("no room, or no sparse files:", err)
	}
	for _, tc := range []struct {
		name string
		cfg  ingest.ExtractorConfig
		says string
	}{
		{"by its size", ingest.ExtractorConfig{}, "2048 MiB, the limit is 512 MiB"},
		{"by its text", ingest.ExtractorConfig{MaxBytes: 4 << 30}, "the limit is 64 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Worker, tc.cfg.CacheDir, tc.cfg.Workers = workerArgv(), t.TempDir(), 1
			start := time.Now()
			_, err := newExtractor(t, tc.cfg).Extract(t.Context(), ingest.File{Path: path})
			if !errors.Is(err, ingest.ErrTooLarge) || !strings.Contains(err.Error(), tc.says) || time.Since(start) > 10*time.Second {
				t.Errorf("after %v: %v, want ErrTooLarge with %q", time.Since(start), err, tc.says)
			}
		})
	}
}

// TestExtractHostile reads files made to exhaust their reader. Each ends in a clear error that names the
// file, or in a document, with the worker alive.
func TestExtractHostile(t *testing.T) {
	const deep = 1_000_000
	nested := zipped(t, "a.txt", strings.Repeat("x", 600<<10))
	for range 3 {
		nested = zipped(t, "1.zip", string(nested), "2.zip", string(nested))
	}
	inMail := []byte("hello")
	for range 12 {
		inMail = fmt.Appendf(nil, "From: a@example.com\nTo: b@example.com\nSubject: x\nContent-Type: message/rfc822\n\n%s", inMail)
	}
	var parts strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&parts, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	var billion strings.Builder
	billion.WriteString(`<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "lol">`)
	for i := range 9 {
		fmt.Fprintf(&billion, `<!ENTITY l%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&l%d;", i), 10))
	}
	billion.WriteString(`]><l>before &l9; after</l>`)
	small := ingest.ExtractorConfig{MaxUnpacked: 1 << 20}
	any := errors.New("whatever comes of it")
	tests := []struct {
		name, file string
		data       []byte
		cfg        ingest.ExtractorConfig
		want       error // nil: a document
		says       string
	}{
		{"nested zip bomb", "a.zip", nested, small, ingest.ErrTooLarge, "unpacks to"},
		{"zip bomb", "a.zip", zipped(t, "a.txt", strings.Repeat("x", 2<<20)), small, ingest.ErrTooLarge, "limit of 1024 KiB"},
		{"zip of overlapping members", "a.zip", overlapping(t, 500, strings.Repeat("word ", 1000)), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "overlap"},
		{"workbook bomb", "a.xlsx", zipped(t, "xl/workbook.xml", "<workbook/>", "xl/x.xml", strings.Repeat(" ", 2<<20)), small, ingest.ErrTooLarge, "1024 KiB"},
		{"gzip bomb", "a.txt.gz", gzipped(t, bytes.Repeat([]byte("x"), 2<<20)), small, ingest.ErrTooLarge, "bomb"},
		{"tar bomb", "a.tar", tarred(t, "a.txt", strings.Repeat("x", 2<<20)), small, ingest.ErrTooLarge, "limit"},
		{"too many files", "a.tar", func() []byte {
			var files []string
			for i := range 5001 {
				files = append(files, fmt.Sprintf("%d.txt", i), "x")
			}
			return tarred(t, files...)
		}(), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "5000 files"},
		{"mail within mail", "a.eml", inMail, ingest.ExtractorConfig{}, nil, ""},
		{"attachment bomb", "a.eml", mailWith("a.zip", zipped(t, "a.txt", strings.Repeat("x", 2<<20))), small, nil, ""},
		{"parts within parts", "a.eml", []byte("From: a\nTo: b\nSubject: c\n" + parts.String()), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "5000 groups"},
		{"deep json", "a.json", []byte(strings.Repeat("[", deep) + strings.Repeat("]", deep)), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "1000 deep"},
		{"deep json objects", "a.json", []byte(strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep)), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "1000 deep"},
		{"deep notebook", "a.ipynb", []byte(`{"nbformat":4,"cells":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + "}"), ingest.ExtractorConfig{}, ingest.ErrDamaged, "depth"},
		{"deep yaml", "a.yaml", []byte("a: " + strings.Repeat("[", deep)), ingest.ExtractorConfig{}, any, ""},
		{"deep yaml lists", "a.yaml", []byte(strings.Repeat("- ", deep) + "x"), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "1000 deep"},
		{"yaml aliases that multiply", "a.yaml", []byte(laughs), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "multiply"},
		{"billion laughs", "a.xml", []byte(`<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>`), ingest.ExtractorConfig{}, nil, ""},
		{"a billion laughs", "a.xml", []byte(billion.String()), ingest.ExtractorConfig{}, nil, ""},
		{"a billion laughs in a workbook", "a.xlsx", zipped(t, "xl/workbook.xml", billion.String(), "xl/sharedStrings.xml", billion.String()), ingest.ExtractorConfig{}, any, ""},
		{"names that lead out of a tar", "a.tar", tarred(t, "../../../escaped.txt", "text", "/escaped.txt", "text"), ingest.ExtractorConfig{}, nil, ""},
		{"names that lead out of a zip", "a.zip", zipped(t, "../../../escaped.txt", "text", `C:\escaped.txt`, "text"), ingest.ExtractorConfig{}, nil, ""},
		{"a pdf of circles", "a.pdf", circles, ingest.ExtractorConfig{}, any, ""}, // under load its engine starts too late for its pages
		{"deep xml", "a.xml", []byte("<?xml version='1.0'?>" + strings.Repeat("<a>", deep)), ingest.ExtractorConfig{}, ingest.ErrDamaged, "nest"},
		{"deep rtf", "a.rtf", []byte(`{\rtf1 ` + strings.Repeat("{", deep)), ingest.ExtractorConfig{}, ingest.ErrDamaged, "nest"},
		{"deep latex", "a.tex", []byte(strings.Repeat(`\textbf{`, 20_000) + strings.Repeat(`\begin{itemize}`, 20_000) + "x"), ingest.ExtractorConfig{}, nil, ""},
		{"deep rst", "a.rst", []byte(strings.Repeat("- ", 20_000) + "x\n" + func() string {
			var b strings.Builder
			for i := range 1000 {
				b.WriteString(strings.Repeat(" ", i) + ".. note::\n\n")
			}
			return b.String()
		}()), ingest.ExtractorConfig{}, any, ""},
		{"deep asciidoc", "a.adoc", []byte(strings.Repeat("====\n", 50_000) + "x"), ingest.ExtractorConfig{}, nil, ""},
		{"a table of one line", "a.csv", bytes.Repeat([]byte("a,"), 5<<20), ingest.ExtractorConfig{}, nil, ""},
		{"one line of 100 MB", "a.csv", bytes.Repeat([]byte("0123456789"), 10<<20), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "limit is 64 MiB"},
		{"one value of 30 MB", "a.json", []byte(`{"a":"` + strings.Repeat("word ", 6<<20) + `"}`), ingest.ExtractorConfig{}, nil, ""},
		{"a compound file of noise", "a.doc", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), utf16le(strings.Repeat("x", 3000)+"WordDocument", false)...), ingest.ExtractorConfig{}, ingest.ErrDamaged, ""},
	}
	shared := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: t.TempDir(), Timeout: time.Minute})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ex := shared
			if tt.cfg.MaxUnpacked > 0 {
				tt.cfg.Worker, tt.cfg.CacheDir, tt.cfg.Workers = workerArgv(), t.TempDir(), 1
				ex = newExtractor(t, tt.cfg)
			}
			start := time.Now()
			doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, tt.file, tt.data)})
			t.Logf("%d bytes in %v: %v", len(tt.data), time.Since(start).Round(time.Millisecond), err)
			switch {
			case errors.Is(err, ingest.ErrCrashed), errors.Is(err, ingest.ErrTimeout):
				t.Errorf("the worker was lost: %v", err)
			case tt.want == any:
			case tt.want == nil && err != nil:
				t.Error(err)
			case tt.want != nil && (!errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.file)):
				t.Errorf("error %v, want %v for %q with %q", err, tt.want, tt.file, tt.says)
			}
			if doc != nil {
				checkDocument(t, tt.file, doc)
			}
		})
	}
}

// fuzzSeeds are the names of the formats that are bytes of their own, with a start for each.
var fuzzSeeds = []struct{ name, data string }{
	{"a.csv", "sep=;\na;b\n\"x;y\";2\n"},
	{"a.rtf", `{\rtf1\ansi{\fonttbl{\f0\fcharset134 x;}}{\stylesheet{\s1 heading 1;}}\s1 a\par\'c4\'e3\u8364?\trowd\intbl b\cell\row{\*\shpinst{\shptxt c}}{\footnote d}\bin3 abc}`},
	{"a.eml", "From: a\nTo: b\nSubject: =?gb2312?B?zcu/7g==?=\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/html\n\n<p>x\n--B\nContent-Disposition: attachment; filename=a.csv\n\na,b\n--B--"},
	{"a.mbox", "From x\nFrom: a\nTo: b\nSubject: c\n\nd\n\nFrom y\nFrom: a\n\ne"},
	{"a.mht", "From: a\nSubject: b\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=B\n\n--B\nContent-Type: text/html\n\n<h1>x</h1>\n--B--"},
	{"a.ipynb", `{"nbformat":4,"cells":[{"cell_type":"markdown","source":["# a"]},{"cell_type":"code","source":"b","outputs":[{"text":"c"}]}]}`},
	{"a.srt", "1\n00:00:01,000 --> 00:00:02,000\n<i>a</i>\n"},
	{"a.go", "package a\n\n// B is b.\nfunc B() {\n\treturn\n}\n"},
	{"a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v A>b\n"},
	{"a.json", `{"a":[1,{"b":"c"}],"d":{"e":null}}`},
	{"a.jsonl", "{\"a\":1}\nx\n{\"b\":[2]}"},
	{"a.yaml", "a: &x\n  - b\n  - {c: d}\ne: *x\n<<: *x\n---\n- f"},
	{"a.xml", `<?xml version="1.0"?><a b="c"><title>d</title><p>e <i>f</i></p><g/><g>h</g></a>`},
	{"a.rst", "=\na\n=\n\nb\n-\n\n- c\n\n  1. d\n\n.. code::\n\n   e\n\n== ==\nf  g\n== ==\n\n+-+\n|h|\n+-+\n\n.. list-table::\n\n   * - i\n     - j\n\n`k <l>`_ ::\n\n  m"},
	{"a.adoc", "= a\n:b: c\n\n{b} *d*\n\n* e\n** f\n\n----\ng\n----\n\n|===\n|h |i\n|===\n\nj:: k"},
	{"a.tex", `\documentclass{a}\begin{document}\section{b}\'e \textbf{c} $d$ \begin{itemize}\item[e] f\end{itemize}\begin{tabular}{l}g & h \\ \end{tabular}\begin{verbatim}i\end{verbatim}\footnote{j}\verb|k|\[l\]\end{document}`},
}

// FuzzFormats varies files of the formats that are no containers.
func FuzzFormats(f *testing.F) {
	for i, s := range fuzzSeeds {
		f.Add([]byte(s.data), uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		fuzzFile(t, fuzzSeeds[int(kind)%len(fuzzSeeds)].name, data)
	})
}

// FuzzArchive varies ZIP, TAR, GZIP and BZIP2 files.
func FuzzArchive(f *testing.F) {
	z := zipped(f, "a.txt", "one", "b/c.md", "# two")
	f.Add(z)
	f.Add(tarred(f, "a.txt", "one", "b.zip", string(z)))
	f.Add(gzipped(f, tarred(f, "a.txt", "one")))
	f.Add(gzipped(f, []byte("text")))
	// "hello\n", packed by bzip2: Go has no writer for it.
	f.Add([]byte("BZh91AY&SY\xc1\xc0\x80\xe2\x00\x00\x01A\x00\x00\x10\x02D\xa0\x000\xcd\x00\xc3F)\x97\x17rE8P\x90\xc1\xc0\x80\xe2"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "a.bin", data) })
}

// What an archive unpacks to does not lie in memory: files larger than the memory of a worker are read past.
func TestUnpackedMemory(t *testing.T) {
	large := strings.Repeat("word and more ", 200<<20/14)
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := io.WriteString(zw, large); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, MemoryMiB: 160})
	for name, data := range map[string][]byte{"a.txt.gz": packed.Bytes(), "a.zip": zipped(t, "a.txt", large, "b.txt", "Trains come first.")} {
		doc, err := ex.Extract(t.Context(), ingest.File{Path: writeFile(t, name, data)})
		says := fmt.Sprint(err)
		if doc != nil {
			says += doc.Text + strings.Join(doc.Warnings, " ")
		}
		if errors.Is(err, ingest.ErrCrashed) || !strings.Contains(says, "the limit is 64 MiB") || name == "a.zip" && !strings.Contains(says, "Trains come first.") {
			t.Errorf("%s: %s", name, says)
		}
	}
}
