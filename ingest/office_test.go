package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"docent/ingest"
)

func TestExtractOffice(t *testing.T) {
	rels := func(s string) string {
		return `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` + s + "</Relationships>"
	}
	tests := []struct {
		name, format, title string
		data                []byte
		want                []block
	}{
		{"slides.bin", "pptx", "Plan", zipped(t,
			"ppt/presentation.xml", `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="r2"/><p:sldId id="257" r:id="r1"/></p:sldIdLst></p:presentation>`,
			"ppt/_rels/presentation.xml.rels", rels(`<Relationship Id="r1" Type="x/slide" Target="slides/slide1.xml"/><Relationship Id="r2" Type="x/slide" Target="slides/slide2.xml"/>`),
			"ppt/slides/slide1.xml", `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>Second</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>`,
			"ppt/slides/slide2.xml", `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:pPr lvl="1"/><a:r><a:t>point</a:t></a:r></a:p></p:txBody></p:sp>
				<p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>Plan</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>`),
			[]block{{"heading", 1, "Plan"}, {"list_item", 2, "- point"}, {"paragraph", 0, "Second"}}},
		{"book.bin", "xlsx", "Prices", zipped(t,
			"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>`,
			"_rels/.rels", rels(`<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>`),
			"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Prices" sheetId="1" r:id="r1"/></sheets></workbook>`,
			"xl/_rels/workbook.xml.rels", rels(`<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/>`+
				`<Relationship Id="r3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>`),
			"xl/sharedStrings.xml", `<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>Part</t></si><si><r><t>Sin</t></r><r><t>ce</t></r></si></sst>`,
			"xl/styles.xml", `<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>`,
			"xl/worksheets/sheet1.xml", `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row><row r="2"><c r="A2"><v>0.30000000000000004</v></c><c r="C2" s="1"><v>45292</v></c></row></sheetData></worksheet>`),
			[]block{{"heading", 1, "Prices"}, {"table", 0, "| Part | Since |\n| --- | --- |\n| 0.3 | 2024-01-01 |"}}},
		{"letter.bin", "odt", "Head", zipped(t, "mimetype", "application/vnd.oasis.opendocument.text",
			"content.xml", `<o:document-content xmlns:o="o" xmlns:t="t"><o:body><o:text><t:h t:outline-level="2">Head</t:h><t:p>One<t:s t:c="2"/>two</t:p><t:list><t:list-item><t:p>item</t:p></t:list-item></t:list></o:text></o:body></o:document-content>`),
			[]block{{"heading", 2, "Head"}, {"paragraph", 0, "One  two"}, {"list_item", 1, "- item"}}},
		{"novel.bin", "epub", "A Novel", zipped(t, "mimetype", "application/epub+zip",
			"META-INF/container.xml", `<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>`,
			"OEBPS/book.opf", `<package xmlns:dc="d"><metadata><dc:title>A Novel</dc:title></metadata><manifest><item id="c1" href="one.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c1"/></spine></package>`,
			"OEBPS/one.xhtml", `<html><head><title>x</title></head><body><h2>One</h2><p>It began.</p></body></html>`),
			[]block{{"heading", 2, "One"}, {"paragraph", 0, "It began."}}},
		{"message.bin", "eml", "退款", []byte("From: Ann <ann@example.com>\r\nTo: bob@example.com\r\nSubject: =?gb2312?B?zcu/7g==?=\r\nDate: Mon, 5 Feb 2024 10:00:00 +0800\r\nMIME-Version: 1.0\r\n" +
			"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n--C\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nPlease =\r\npay.\r\n" +
			"--C\r\nContent-Type: text/html\r\n\r\n<p>Please pay.</p>\r\n--C--\r\n--B\r\nContent-Type: image/png; name=scan.png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--B--\r\n"),
			[]block{{"heading", 1, "退款"}, {"paragraph", 0, "From: Ann <ann@example.com>\nTo: bob@example.com\nDate: Mon, 5 Feb 2024 10:00:00 +0800"}, {"paragraph", 0, "Please pay."}, {"paragraph", 0, "Attachments: scan.png"}}},
	}
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: t.TempDir()})
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, tt.name, tt.data)})
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, tt.name, doc)
			if doc.Format != tt.format || doc.Title != tt.title {
				t.Errorf("format %q title %q, want %q %q", doc.Format, doc.Title, tt.format, tt.title)
			}
			if diff := cmp.Diff(tt.want, blocksOf(doc)); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzEncryptedOffice varies encrypted files, which the right password comes with.
func FuzzEncryptedOffice(f *testing.F) {
	book := excelize.NewFile()
	path := filepath.Join(f.TempDir(), "a.xlsx")
	if err := book.SaveAs(path, excelize.Options{Password: "p"}); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := writeFile(t, "a.xlsx", data)
		if _, err := fuzzExtractor().Extract(t.Context(), ingest.File{Path: path, Password: "p"}); errors.Is(err, ingest.ErrCrashed) {
			t.Error(err)
		}
	})
}

// FuzzOffice varies the content of the other packed formats.
func FuzzOffice(f *testing.F) {
	f.Add([]byte(`<t:h t:outline-level="2">Head</t:h><t:list><t:list-item><t:p>item</t:p></t:list-item></t:list>`), uint8(0))
	f.Add([]byte(`<row><c r="A1" t="inlineStr"><is><t>x</t></is></c><c r="ZZ9"><v>1e9</v></c></row>`), uint8(1))
	f.Add([]byte("Subject: x\r\nFrom: a\r\nTo: b\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nhi\r\n--B--"), uint8(2))
	f.Add([]byte(`<row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c></row></sheetData><hyperlinks><hyperlink ref="A1:B2" r:id="h"/></hyperlinks><sheetData>`), uint8(1))
	f.Add([]byte(`<p:sp><p:txBody><a:p><a:r><a:rPr><a:hlinkClick r:id="h"/></a:rPr><a:t>x</a:t></a:r></a:p></p:txBody></p:sp><p:pic><p:blipFill><a:blip r:embed="h"/></p:blipFill></p:pic>`), uint8(3))
	f.Add([]byte(`<html><body><h1>One</h1><p>It <a href="https://example.com">began</a>.<img src="a.png"></p></body></html>`), uint8(4))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		s := string(data)
		switch kind % 5 {
		case 0:
			data = zipped(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml", "<d:document-content><d:body><d:text>"+s+"</d:text></d:body></d:document-content>")
		case 1:
			data = zipped(t, "[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`,
				"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
				"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>`,
				"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="s.xml"/></Relationships>`,
				"xl/s.xml", `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`+s+"</sheetData></worksheet>",
				"xl/_rels/s.xml.rels", `<Relationships><Relationship Id="h" Type="x/hyperlink" Target="https://example.com" TargetMode="External"/></Relationships>`)
		case 3:
			data = zipped(t, "ppt/presentation.xml", `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>`,
				"ppt/_rels/presentation.xml.rels", `<Relationships><Relationship Id="r1" Type="x/slide" Target="slides/s.xml"/></Relationships>`,
				"ppt/slides/s.xml", `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree>`+s+`</p:spTree></p:cSld></p:sld>`,
				"ppt/slides/_rels/s.xml.rels", `<Relationships><Relationship Id="h" Type="x/hyperlink" Target="https://example.com" TargetMode="External"/></Relationships>`)
		case 4:
			data = zipped(t, "mimetype", "application/epub+zip", "META-INF/container.xml", `<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>`,
				"book.opf", `<package><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>`, "c.xhtml", s)
		}
		fuzzFile(t, strings.Repeat("m", 3)+".eml", data)
	})
}

// An Office file with a password is read when it is given, whatever it holds, and asks for it otherwise.
func TestEncryptedOffice(t *testing.T) {
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: t.TempDir()})
	book := excelize.NewFile()
	if err := book.SetSheetRow("Sheet1", "A1", &[]string{"Part", "ZX-1"}); err != nil {
		t.Fatal(err)
	}
	agile := filepath.Join(t.TempDir(), "agile.xlsx")
	if err := book.SaveAs(agile, excelize.Options{Password: "brass key"}); err != nil {
		t.Fatal(err)
	}
	var long strings.Builder // what fits into 4 KiB, excelize writes in a way that it does not read
	for i := range 2000 {
		fmt.Fprintf(&long, "%x ", i*i*i)
	}
	locked, err := excelize.Encrypt(wordDocument(t, para("", "Behind the chart table.")+para("", long.String())), &excelize.Options{Password: "brass key"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{agile: "ZX-1", writeFile(t, "letter.docx", locked): "chart table"} {
		for password, says := range map[string]string{"": "give its password", "wrong": "does not open it"} {
			if _, err := ex.Extract(t.Context(), ingest.File{Path: path, Password: password}); !errors.Is(err, ingest.ErrPassword) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s with %q: %v", path, password, err)
			}
		}
		doc, err := ex.Extract(t.Context(), ingest.File{Path: path, Password: "brass key"})
		if err != nil || !strings.Contains(doc.Text, want) {
			t.Errorf("%s: %v, %v", path, doc, err)
		}
	}
}
