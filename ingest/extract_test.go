package ingest_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"docent/chunker"
	"docent/ingest"
)

func newExtractor(t testing.TB, cfg ingest.ExtractorConfig) *ingest.Extractor {
	t.Helper()
	ex, err := ingest.NewExtractor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	return ex
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// block is a block with its text, for comparing.
type block struct {
	Kind  chunker.Kind
	Level int
	Text  string
}

func blocksOf(doc *ingest.Document) []block {
	var out []block
	for _, b := range doc.Blocks {
		out = append(out, block{b.Kind, b.Level, doc.Text[b.Start:b.End]})
	}
	return out
}

func utf16le(s string, bom bool) []byte {
	var b []byte
	if bom {
		b = append(b, 0xff, 0xfe)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

const zhText = "退款政策\n\n客户在收到商品之日起七天内可以申请退款。\n\n第二段说明运费由谁承担。"

func TestExtractFormats(t *testing.T) {
	gb, _ := simplifiedchinese.GB18030.NewEncoder().String(zhText)
	gbShort, _ := simplifiedchinese.GBK.NewEncoder().String("你好")
	big5, _ := traditionalchinese.Big5.NewEncoder().String("退款政策\n\n客戶在收到商品之日起七天內可以申請退款。這是說明。")
	zh := []block{{"paragraph", 0, "退款政策"}, {"paragraph", 0, "客户在收到商品之日起七天内可以申请退款。"}, {"paragraph", 0, "第二段说明运费由谁承担。"}}
	tests := []struct {
		name, file string
		data       []byte
		format     string
		title      string
		language   string
		want       []block
	}{
		{"utf-8", "a.txt", []byte(zhText), "text", "退款政策", "zh", zh},
		{"utf-8 with mark", "a.txt", []byte("\ufeff" + zhText), "text", "退款政策", "zh", zh},
		{"utf-16 with mark", "a.txt", utf16le(zhText, true), "text", "退款政策", "zh", zh},
		{"utf-16 without mark", "a.txt", utf16le(zhText, false), "text", "退款政策", "zh", zh},
		{"gb18030", "a.txt", []byte(gb), "text", "退款政策", "zh", zh},
		{"gbk, two characters", "a.txt", []byte(gbShort), "text", "a", "zh", []block{{"paragraph", 0, "你好"}}},
		{"gbk, four letters of thai", "a.txt", []byte("\xcb\xb5\xc3\xf7"), "text", "a", "zh", []block{{"paragraph", 0, "说明"}}},
		{"big5", "a.txt", []byte(big5), "text", "退款政策", "zh", []block{{"paragraph", 0, "退款政策"}, {"paragraph", 0, "客戶在收到商品之日起七天內可以申請退款。這是說明。"}}},
		{"latin-1", "a.txt", []byte("Le caf\xe9 est ferm\xe9 aujourd'hui, d\xe9sol\xe9."), "text", "a", "", []block{{"paragraph", 0, "Le café est fermé aujourd'hui, désolé."}}},
		{"normal forms", "a.txt", []byte("cafe\u0301 ⽂件 of\ufb01ce a\u200bb"), "text", "a", "zh", []block{{"paragraph", 0, "café 文件 office ab"}}},
		{"chapters", "novel.txt", []byte("第一章 开端\n\n很久以前。\n\nTitle\n=====\n\nText."), "text", "novel", "zh", []block{
			{"heading", 1, "第一章 开端"}, {"paragraph", 0, "很久以前。"}, {"heading", 1, "Title\n====="[:5]}, {"paragraph", 0, "Text."}}},
		{"source code", "main.go", []byte("package main\n\nfunc main() {\n\tx := 1\n\n\t_ = x\n}\n\nfunc f() {}\n"), "text", "main", "", []block{
			{"code", 0, "package main"}, {"code", 0, "func main() {\n\tx := 1\n\n\t_ = x\n}"}, {"code", 0, "func f() {}"}}},
		{"markdown", "doc.md", []byte("---\ntitle: The Guide\ntags: [a, b]\n---\n# One\n\nSome *text* with [a link](http://x.y) and `code` \\* &amp; more\nsoft break.\n\n" +
			"- item **one**\n  - inner\n- two\n\n1. first\n2. second\n\n> quoted\n\n```go\nx := 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 \\| 3 |\n\n<div>raw <b>html</b></div>\n"), "markdown", "The Guide", "en", []block{
			{"heading", 1, "One"}, {"paragraph", 0, "Some text with a link and code * & more soft break."},
			{"list_item", 1, "- item one"}, {"list_item", 2, "- inner"}, {"list_item", 1, "- two"}, {"list_item", 1, "1. first"}, {"list_item", 1, "2. second"},
			{"quote", 0, "quoted"}, {"code", 0, "x := 1"}, {"table", 0, "| a | b |\n| --- | --- |\n| 1 | 2 \\| 3 |"}, {"paragraph", 0, "raw html"}}},
		{"markdown under another name", "doc.bin", []byte("# One\n\n- a\n- b\n\n[x](y)\n"), "markdown", "One", "en", []block{
			{"heading", 1, "One"}, {"list_item", 1, "- a"}, {"list_item", 1, "- b"}, {"paragraph", 0, "x"}}},
		{"html", "p.html", []byte(`<!doctype html><html><head><title>Terms - Acme</title><style>p{}</style></head><body><nav><a href=/>Home</a></nav><h1>Terms</h1>
			<p>You   agree <b>to</b> all.<br>Next line.</p><script>alert(1)</script><ul><li>one<ul><li>deep</li></ul></li></ul><ol start=3><li>three</li></ol>
			<table><tr><th>k<th>v</tr><tr><td>a<td rowspan=2>b|c</tr><tr><td>d</tr></table><pre>  x = 1
  y</pre><div style="display: none">hidden</div><footer>(c) Acme</footer></body></html>`), "html", "Terms", "en", []block{
			{"heading", 1, "Terms"}, {"paragraph", 0, "You agree to all.\nNext line."}, {"list_item", 1, "- one"}, {"list_item", 2, "- deep"}, {"list_item", 1, "3. three"},
			{"table", 0, "| k | v |\n| --- | --- |\n| a | b\\|c |\n| d | b\\|c |"}, {"code", 0, "  x = 1\n  y"}}},
		{"html under another name", "p.pdf", []byte("<html><body><p>Hello there, reader of pages.</p></body></html>"), "html", "p", "en", []block{{"paragraph", 0, "Hello there, reader of pages."}}},
		{"a table under another name", "a.txt", []byte("品名,数量,单价\n扳手,7,18.00\n\"锤, 大\",2,31.50\n电钻,1,299.00\n"), "csv", "a", "zh", []block{
			{"table", 0, "| 品名 | 数量 | 单价 |\n| --- | --- | --- |\n| 扳手 | 7 | 18.00 |\n| 锤, 大 | 2 | 31.50 |\n| 电钻 | 1 | 299.00 |"}}},
		{"no table", "a.txt", []byte("Dear all,\nmilk, bread, eggs,\nyours, ours, theirs,\nand so on, and on, and on.\n"), "text", "a", "en", []block{
			{"paragraph", 0, "Dear all,\nmilk, bread, eggs,\nyours, ours, theirs,\nand so on, and on, and on."}}},
		{"mail under another name", "a.txt", []byte("From: ada@example.org\nTo: bob@example.org\nSubject: Door\n\nThe code of the door is four.\n"), "eml", "Door", "en", []block{
			{"heading", 1, "Door"}, {"paragraph", 0, "From: ada@example.org\nTo: bob@example.org"}, {"paragraph", 0, "The code of the door is four."}}},
		{"html in gb2312", "p.htm", append([]byte("<html><meta charset=gb2312><p>"), []byte(gb)...), "html", "p", "zh", []block{{"paragraph", 0, strings.ReplaceAll(zhText, "\n\n", " ")}}},
	}
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: t.TempDir()})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, tt.file, tt.data)})
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, tt.name, doc)
			if doc.Format != tt.format || doc.Title != tt.title || doc.Language != tt.language {
				t.Errorf("format %q title %q language %q, want %q %q %q", doc.Format, doc.Title, doc.Language, tt.format, tt.title, tt.language)
			}
			if diff := cmp.Diff(tt.want, blocksOf(doc)); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

func zipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for i := 0; i+1 < len(parts); i += 2 {
		w, err := zw.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(parts[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

const (
	docxTypes = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`
	docxRels  = `<Relationships><Relationship Id="r1" Type="http://x/styles" Target="styles.xml"/><Relationship Id="r2" Type="http://x/numbering" Target="numbering.xml"/><Relationship Id="r3" Type="http://x/footnotes" Target="footnotes.xml"/></Relationships>`
)

func docxBody(body string) string {
	return `<?xml version="1.0"?><w:document xmlns:w="w"><w:body>` + body + `</w:body></w:document>`
}

func wordDocument(t testing.TB, body string) []byte {
	return zipped(t, "[Content_Types].xml", docxTypes, "word/document.xml", docxBody(body), "word/_rels/document.xml.rels", docxRels,
		"word/styles.xml", `<w:styles xmlns:w="w"><w:style w:type="paragraph" w:styleId="a1"><w:name w:val="Kop 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
			<w:style w:type="paragraph" w:styleId="a2"><w:name w:val="heading 2"/></w:style></w:styles>`,
		"word/numbering.xml", `<w:numbering xmlns:w="w"><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
			<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%2)"/></w:lvl></w:abstractNum><w:num w:numId="7"><w:abstractNumId w:val="0"/></w:num></w:numbering>`,
		"word/footnotes.xml", `<w:footnotes xmlns:w="w"><w:footnote w:id="2"><w:p><w:r><w:t>The note.</w:t></w:r></w:p></w:footnote></w:footnotes>`,
		"docProps/core.xml", `<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>Handbook</dc:title><dc:creator>Ann</dc:creator></cp:coreProperties>`)
}

func para(style, text string) string {
	if style != "" {
		style = `<w:pPr><w:pStyle w:val="` + style + `"/></w:pPr>`
	}
	return `<w:p>` + style + `<w:r><w:t xml:space="preserve">` + text + `</w:t></w:r></w:p>`
}

func listed(level int, text string) string {
	return fmt.Sprintf(`<w:p><w:pPr><w:numPr><w:ilvl w:val="%d"/><w:numId w:val="7"/></w:numPr></w:pPr><w:r><w:t>%s</w:t></w:r></w:p>`, level, text)
}

func TestExtractDOCX(t *testing.T) {
	body := para("a1", "Leave") + para("a2", "Sick leave") +
		`<w:p><w:r><w:t>Kept </w:t></w:r><w:ins><w:r><w:t>added </w:t></w:r></w:ins><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink><w:r><w:footnoteReference w:id="2"/></w:r></w:p>` +
		listed(0, "one") + listed(1, "inner") + listed(0, "two") +
		`<w:tbl><w:tr><w:tc>` + para("", "Name") + `</w:tc><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>` + para("", "Days") + `</w:tc></w:tr><w:tr><w:tc>` + para("", "Ann") + `</w:tc><w:tc>` + para("", "3") + `</w:tc><w:tc>` + para("", "4") + `</w:tc></w:tr></w:tbl>` +
		`<w:p><w:r><w:pict><w:txbxContent>` + para("", "In a box") + `</w:txbxContent></w:pict></w:r></w:p>`
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: t.TempDir()})
	for _, name := range []string{"h.docx", "h.txt", "h"} {
		doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, name, wordDocument(t, body))})
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, name, doc)
		if doc.Title != "Handbook" || doc.Metadata["author"] != "Ann" || doc.Format != "docx" {
			t.Errorf("title %q, metadata %v, format %q", doc.Title, doc.Metadata, doc.Format)
		}
		want := []block{
			{"heading", 1, "Leave"}, {"heading", 2, "Sick leave"}, {"paragraph", 0, "Kept added link[1]"},
			{"list_item", 1, "1. one"}, {"list_item", 2, "a) inner"}, {"list_item", 1, "2. two"},
			{"table", 0, "| Name | Days | |\n| --- | --- | --- |\n| Ann | 3 | 4 |"}, {"paragraph", 0, "In a box"}, {"paragraph", 0, "[1] The note."},
		}
		if diff := cmp.Diff(want, blocksOf(doc)); diff != "" {
			t.Errorf("blocks (-want +got):\n%s", diff)
		}
	}
}

// helveticaWidths are the widths of the characters 32 to 126 in Adobe's metrics of Helvetica.
const helveticaWidths = `278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556
	1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556
	333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584`

// makePDF writes a small PDF with the content streams given, one page each.
func makePDF(pages ...string) []byte {
	var kids strings.Builder
	for i := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 4+2*i)
	}
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		fmt.Sprintf("<</Type/Pages/Kids[%s]/Count %d>>", kids.String(), len(pages)),
		pdfHelvetica,
	}
	for i, p := range pages {
		objects = append(objects, fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>", 5+2*i), pdfStream(p))
	}
	return pdfOf(objects...)
}

const pdfHelvetica = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/FirstChar 32/LastChar 126/Widths[" + helveticaWidths + "]>>"

func pdfStream(s string) string {
	return fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(s), s)
}

// pdfOf writes a PDF of objects, numbered from 1; the first is the catalog.
func pdfOf(objects ...string) []byte {
	var b bytes.Buffer
	var offsets []int
	b.WriteString("%PDF-1.4\n")
	for _, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(offsets), o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, start)
	return b.Bytes()
}

func pdfLine(size, x, y int, text string) string {
	return fmt.Sprintf("BT /F1 %d Tf %d %d Td (%s) Tj ET\n", size, x, y, text)
}

func TestExtractPDF(t *testing.T) {
	var pages []string
	for i := range 4 {
		p := pdfLine(9, 60, 770, "Acme Internal Manual") + pdfLine(9, 300, 20, fmt.Sprint(i+1))
		switch i {
		case 0:
			p += pdfLine(20, 60, 720, "Getting Started")
			for j, s := range []string{"The machine must be cleaned before the first use, and its con-", "tainer must be filled with water up to the upper mark that is", "engraved there."} {
				p += pdfLine(11, 60, 690-14*j, s)
			}
		case 1: // two columns, the right one first in the file
			for j := range 8 {
				p += pdfLine(10, 330, 690-13*j, fmt.Sprintf("right column line %d with enough words", j))
			}
			for j := range 8 {
				p += pdfLine(10, 60, 690-13*j, fmt.Sprintf("left column line %d with enough words", j))
			}
		case 2:
			for j, row := range [][3]string{{"Part", "Price", "Stock"}, {"Filter", "12.50", "40"}, {"Gasket", "3.10", "7"}, {"Valve", "22.00", "3"}} {
				for c, s := range row {
					p += pdfLine(10, 60+150*c, 690-16*j, s)
				}
			}
		case 3:
			p = "q 10 0 0 10 0 0 cm Q"
		}
		pages = append(pages, p)
	}
	path := writeFile(t, "manual.dat", makePDF(pages...))
	for _, cfg := range []ingest.ExtractorConfig{{Worker: workerArgv(), Workers: 1}, {Workers: 1}} {
		ex := newExtractor(t, cfg)
		doc, err := ex.Extract(context.Background(), ingest.File{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, "manual", doc)
		engine := "pdfium"
		if cfg.Worker != nil {
			engine = "ledongthuc"
		}
		if !strings.Contains(doc.Metadata["engine"], engine) {
			t.Errorf("read by %q, want %q", doc.Metadata["engine"], engine)
		}
		if doc.Title != "Getting Started" || len(doc.Pages) != 4 || !cmp.Equal(doc.PagesWithoutText, []int{4}) || len(doc.Warnings) != 1 {
			t.Errorf("title %q, pages %v, without text %v, warnings %q", doc.Title, doc.Pages, doc.PagesWithoutText, doc.Warnings)
		}
		if strings.Contains(doc.Text, "Acme Internal") {
			t.Errorf("the running title was kept:\n%s", doc.Text)
		}
		want := []block{{"heading", 1, "Getting Started"},
			{"paragraph", 0, "The machine must be cleaned before the first use, and its container must be filled with water up to the upper mark that is engraved there."}}
		if diff := cmp.Diff(want, blocksOf(doc)[:2]); diff != "" {
			t.Errorf("%s: first blocks (-want +got):\n%s", engine, diff)
		}
		if l, r := strings.Index(doc.Text, "left column line 7"), strings.Index(doc.Text, "right column line 0"); l < 0 || r < l {
			t.Errorf("%s: columns out of order:\n%s", engine, doc.Text)
		}
		if table := "| Part | Price | Stock |\n| --- | --- | --- |\n| Filter | 12.50 | 40 |"; !strings.Contains(doc.Text, table) {
			t.Errorf("%s: no table:\n%s", engine, doc.Text)
		}
		if p := doc.Pages[1]; !strings.HasPrefix(doc.Text[p.Start:p.End], "left column line 0") {
			t.Errorf("%s: page 2 is %q", engine, doc.Text[p.Start:p.End])
		}
	}
}

func TestExtractErrors(t *testing.T) {
	deep := strings.Repeat("<w:p>", 2000)
	laughs := `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><w:document xmlns:w="w"><w:body><w:p><w:r><w:t>&b;</w:t></w:r></w:p></w:body></w:document>`
	cyclic := bytes.Replace(makePDF("x"), []byte("/Kids[4 0 R ]"), []byte("/Kids[2 0 R ]"), 1)
	tests := []struct {
		name, file string
		data       []byte
		cfg        ingest.ExtractorConfig
		want       error
		says       string
	}{
		{"empty", "a.txt", nil, ingest.ExtractorConfig{}, ingest.ErrEmptyFile, "0 bytes"},
		{"white space", "a.md", []byte(" \n\t\n"), ingest.ExtractorConfig{}, ingest.ErrEmptyFile, "white space"},
		{"picture", "a.docx", append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 200)...), ingest.ExtractorConfig{}, ingest.ErrNoText, "PNG picture"},
		{"program", "a.txt", append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 500)...), ingest.ExtractorConfig{}, ingest.ErrUnsupported, "PDF, DOCX"},
		{"archive without text", "a.pdf", zipped(t, "x.png", "hello"), ingest.ExtractorConfig{}, ingest.ErrNoText, "ZIP archive"},
		{"cut archive", "a.docx", zipped(t, "word/document.xml", "hello")[:40], ingest.ExtractorConfig{}, ingest.ErrDamaged, ""},
		{"too many bytes", "a.txt", make([]byte, 2000), ingest.ExtractorConfig{MaxBytes: 1000}, ingest.ErrTooLarge, "1000 bytes"},
		{"too much text", "a.txt", bytes.Repeat([]byte("word "), 1000), ingest.ExtractorConfig{MaxText: 1000}, ingest.ErrTooLarge, "limit is 1000 bytes"},
		{"zip bomb", "a.docx", wordDocument(t, strings.Repeat(" ", 8<<20)), ingest.ExtractorConfig{MaxUnpacked: 1 << 20}, ingest.ErrTooLarge, "ZIP bomb"},
		{"zip bomb by ratio", "a.docx", wordDocument(t, strings.Repeat(" ", 30<<20)), ingest.ExtractorConfig{}, ingest.ErrTooLarge, "ZIP bomb"},
		{"billion laughs", "a.docx", zipped(t, "word/document.xml", laughs), ingest.ExtractorConfig{}, ingest.ErrDamaged, ""},
		{"deep xml", "a.docx", zipped(t, "word/document.xml", docxBody(deep)), ingest.ExtractorConfig{}, ingest.ErrDamaged, "nest"},
		{"no main part", "a.docx", zipped(t, "word/styles.xml", "<a/>", "[Content_Types].xml", docxTypes), ingest.ExtractorConfig{}, ingest.ErrDamaged, "missing"},
		{"cut pdf", "a.pdf", makePDF("x")[:60], ingest.ExtractorConfig{}, ingest.ErrDamaged, ""},
		{"pdf without text", "a.pdf", makePDF("q Q"), ingest.ExtractorConfig{}, ingest.ErrNoText, "scanned"},
		{"cyclic pdf", "a.pdf", cyclic, ingest.ExtractorConfig{}, nil, ""},
		{"encrypted office", "a.docx", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), utf16le(strings.Repeat("x", 300)+"EncryptedPackage", false)...), ingest.ExtractorConfig{}, ingest.ErrPassword, "password"},
	}
	cache := t.TempDir()
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "docent")
	}
	shared := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: cache})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ex := shared
			if !cmp.Equal(tt.cfg, ingest.ExtractorConfig{}) {
				tt.cfg.Worker, tt.cfg.CacheDir = workerArgv(), cache
				ex = newExtractor(t, tt.cfg)
			}
			_, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, tt.file, tt.data)})
			if err == nil {
				t.Fatal("no error")
			}
			fe, ok := errors.AsType[*ingest.FileError](err)
			if !ok || fe.Name != tt.file || !strings.Contains(err.Error(), tt.file) {
				t.Errorf("error does not name the file: %v", err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.says)
			}
		})
	}
	if _, err := shared.Extract(context.Background(), ingest.File{Path: t.TempDir()}); !errors.Is(err, ingest.ErrUnsupported) {
		t.Errorf("folder: %v", err)
	}
	if _, err := shared.Extract(context.Background(), ingest.File{Path: "no/such/file.txt"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := shared.Extract(ctx, ingest.File{Path: writeFile(t, "a.txt", []byte("x"))}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestExtractLargeText gives a text over the limit: refused at once, without being read.
func TestExtractLargeText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Repeat("a line of a log\n", 8<<10)); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(500 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv()})
	start := time.Now()
	_, err = ex.Extract(context.Background(), ingest.File{Path: path})
	if !errors.Is(err, ingest.ErrTooLarge) || !strings.Contains(err.Error(), "500 MiB") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
