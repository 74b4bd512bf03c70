package ingest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// pack writes a ZIP file of parts, which come as name and content in turns.
func pack(t testing.TB, parts ...string) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		for i := 0; i < len(parts); i += 2 {
			f, err := w.Create(parts[i])
			if err != nil {
				return err
			}
			if _, err := f.Write([]byte(parts[i+1])); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// withPictures are documents of each kind with a text, picture a, another text, and picture b; b is there
// twice.
func withPictures(t testing.TB, a, b string) map[string][]byte {
	t.Helper()
	rels := func(s string) string {
		return `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` + s + `</Relationships>`
	}
	pictureRels := func(dir string) string {
		const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
		return rels(fmt.Sprintf(`<Relationship Id="a" Type="%s" Target="%s/a.png"/><Relationship Id="b" Type="%s" Target="%s/b.png"/>`, kind, dir, kind, dir))
	}
	para := func(text string) string { return `<w:p><w:r><w:t>` + text + `</w:t></w:r></w:p>` }
	drawing := func(id string) string {
		return `<w:p><w:r><w:drawing><wp:inline><a:graphic><a:graphicData><pic:pic><pic:blipFill><a:blip r:embed="` + id + `"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>`
	}
	slide := func(text, id string) string {
		return `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>` + text + `</a:t></a:r></a:p></p:txBody></p:sp><p:pic><p:blipFill><a:blip r:embed="` + id + `"/></p:blipFill></p:pic></p:spTree></p:cSld></p:sld>`
	}
	plain := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	data := func(s string) string { return "data:image/png;base64," + plain(s) }
	pict := func(s string) string {
		return `{\*\shppict{\pict{\*\picprop\shplid1025{\sp{\sn shapeType}{\sv 75}}}\picw300\pngblip\bliptag7{\*\blipuid 00ff}` + hex.EncodeToString([]byte(s)) + `}}{\nonshppict{\pict\wmetafile8 0102}}`
	}
	return map[string][]byte{
		"letter.docx": pack(t, "[Content_Types].xml", "<Types/>", "word/document.xml", `<w:document xmlns:w="w"><w:body>`+para("One text.")+drawing("a")+para("Two text.")+drawing("b")+drawing("b")+`</w:body></w:document>`,
			"word/_rels/document.xml.rels", pictureRels("media"), "word/media/a.png", a, "word/media/b.png", b),
		"slides.pptx": pack(t, "ppt/presentation.xml", `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="r1"/><p:sldId id="257" r:id="r2"/></p:sldIdLst></p:presentation>`,
			"ppt/_rels/presentation.xml.rels", rels(`<Relationship Id="r1" Type="x/slide" Target="slides/slide1.xml"/><Relationship Id="r2" Type="x/slide" Target="slides/slide2.xml"/>`),
			"ppt/slides/slide1.xml", slide("One text.", "a"), "ppt/slides/_rels/slide1.xml.rels", pictureRels("../media"),
			"ppt/slides/slide2.xml", slide("Two text.", "b"), "ppt/slides/_rels/slide2.xml.rels", pictureRels("../media"), "ppt/media/a.png", a, "ppt/media/b.png", b),
		"letter.odt": pack(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml",
			`<o:document-content xmlns:o="o" xmlns:t="t" xmlns:d="d" xmlns:x="x"><o:body><o:text><t:p>One text.</t:p><t:p><d:frame><d:image x:href="Pictures/a.png"/></d:frame></t:p><t:p>Two text.</t:p><t:p><d:frame><d:image x:href="Pictures/b.png"/></d:frame></t:p></o:text></o:body></o:document-content>`,
			"Pictures/a.png", a, "Pictures/b.png", b),
		"novel.epub": pack(t, "mimetype", "application/epub+zip", "META-INF/container.xml", `<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>`,
			"OEBPS/book.opf", `<package xmlns:dc="d"><metadata><dc:title>A Novel</dc:title></metadata><manifest><item id="c1" href="text/one.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c1"/></spine></package>`,
			"OEBPS/text/one.xhtml", `<html><body><p>One text.</p><img src="../images/a.png"/><p>Two text.</p><img src="../images/b%2epng"/><img src="../images/b.png"/><img src="../images/c.png"/></body></html>`,
			"OEBPS/images/a.png", a, "OEBPS/images/b.png", b),
		"letter.rtf": []byte(`{\rtf1\ansi One text.\par ` + pict(a) + `\par Two text.\par{\header ` + pict(a) + `}{\shp{\*\shpinst{\sp{\sn pib}{\sv {\pict\jpegblip\bin` + fmt.Sprint(len(b)) + ` ` + b + `}}}}{\shprslt drawn}}\par}`),
		"page.mhtml": []byte("From: <Saved by Blink>\r\nSubject: Page\r\nMIME-Version: 1.0\r\nSnapshot-Content-Location: https://example.com/dir/\r\nContent-Type: multipart/related; type=\"text/html\"; boundary=\"x\"\r\n\r\n" +
			"--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Location: https://example.com/dir/\r\n\r\n<!doctype html><p>One text.</p><img src=\"https://example.com/dir/a.png\"><p>Two text.</p><img src=\"cid:b%40x\"><img src=\"../dir/c.png\">\r\n" +
			"--x\r\nContent-Type: image/png\r\nContent-Location: a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + plain(a) +
			"\r\n--x\r\nContent-Type: image/png\r\nContent-ID: <b@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + plain(b) + "\r\n--x--\r\n"),
		"book.ipynb": []byte(`{"nbformat":4,"cells":[{"cell_type":"markdown","source":["One text.\n"]},{"cell_type":"code","source":"","outputs":[{"output_type":"display_data","data":{"image/png":["` + plain(a) + `\n"]}}]},` +
			`{"cell_type":"markdown","source":"Two text.\n\n![](attachment:b.png) ![](attachment:c.png)","attachments":{"b.png":{"image/png":"` + plain(b) + `"}}},{"cell_type":"markdown","source":"![](` + data(b) + `)"}]}`),
		"old.ipynb": []byte(`{"nbformat":3,"worksheets":[{"cells":[{"cell_type":"markdown","source":"One text."},{"cell_type":"code","input":"","outputs":[{"output_type":"pyout","png":"` + plain(a) + `"}]},` +
			`{"cell_type":"markdown","source":"Two text."},{"cell_type":"code","input":"","outputs":[{"output_type":"display_data","jpeg":"` + plain(b) + `"}]}]}]}`),
		"note.md":   []byte("One text.\n\n![](" + data(a) + ")\n\nTwo text.\n\n<p><img src=\"" + data(b) + "\"></p>\n\n![](b.png)\n"),
		"page.html": []byte(`<!doctype html><html><body><p>One text.</p><img src="` + data(a) + `"><p>Two text.</p><img src="` + data(b) + `"><img src="` + data(b) + `"><img src="https://example.com/c.png"></body></html>`),
	}
}

func shades(t testing.TB, width, height int) string {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	return string(encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, img) }))
}

// What is written in a document's pictures stands where they do, once each; icons and strangers' pictures are
// passed over.
func TestEmbeddedPictures(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{Recognizer: seen{}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	for name, data := range withPictures(t, shades(t, 300, 200), shades(t, 1200, 100)) {
		path := write(t, name, data)
		doc, err := ex.Extract(t.Context(), File{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if want := "One text.\n\n600 by 400\n\nTwo text.\n\n1200 by 100"; doc.Text != want || doc.RecognizedBy != "seen" {
			t.Errorf("%s: %q by %q, want %q", name, doc.Text, doc.RecognizedBy, want)
		}
		var blocks, pages []string
		for _, b := range doc.Blocks {
			blocks = append(blocks, doc.Text[b.Start:b.End])
		}
		if !slices.Equal(blocks, strings.Split(doc.Text, "\n\n")) {
			t.Errorf("%s: blocks %q", name, blocks)
		}
		for _, p := range doc.Pages {
			pages = append(pages, doc.Text[p.Start:p.End])
		}
		if want := []string{"One text.\n\n600 by 400", "Two text.\n\n1200 by 100"}; name == "slides.pptx" && !slices.Equal(pages, want) {
			t.Errorf("%s: pages %q", name, pages)
		}
		if doc, err := ex.Extract(t.Context(), File{Path: path, OCR: OCROff}); err != nil || doc.Text != "One text.\n\nTwo text." {
			t.Errorf("%s without recognition: %v, %v", name, doc, err)
		}
	}
	for name, data := range withPictures(t, shades(t, 100, 100), "\x01\x00\x00\x00 an EMF file") {
		doc, err := ex.Extract(t.Context(), File{Path: write(t, name, data)})
		if err != nil || doc.Text != "One text.\n\nTwo text." || len(doc.Warnings) > 0 {
			t.Errorf("%s with icons: %+v, %v", name, doc, err)
		}
	}
}

// A document of pictures alone has the text that is written in them.
func TestOnlyPictures(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{Recognizer: seen{}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	picture := base64.StdEncoding.EncodeToString([]byte(shades(t, 300, 200)))
	doc, err := ex.Extract(t.Context(), File{Path: write(t, "a.html", []byte(`<!doctype html><p><img src="data:image/png;base64,`+picture+`">`))})
	if err != nil || doc.Text != "600 by 400" {
		t.Errorf("%v, %v", doc, err)
	}
	book := excelize.NewFile()
	locked := filepath.Join(t.TempDir(), "a.xlsx")
	if err := book.SetCellValue("Sheet1", "A1", "x"); err != nil {
		t.Fatal(err)
	}
	if err := book.SaveAs(locked, excelize.Options{Password: "p"}); err != nil {
		t.Fatal(err)
	}
	if doc, err := ex.Extract(t.Context(), File{Path: locked, Password: "p"}); err != nil || len(doc.Warnings) > 0 {
		t.Errorf("%v, %v", doc, err)
	}
}

// The real program reads real pictures within documents, and a WebP file: the upper third of the sample
// handbook's first page, which testdata/handbook.webp holds (libwebp, quality 60).
func TestTesseractWithin(t *testing.T) {
	ts := tesseract(t)
	ex, err := NewExtractor(ExtractorConfig{Recognizer: ts, OCRDPI: 150})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	page := string(encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, handbookPage(t)) }))
	for name, data := range withPictures(t, page, shades(t, 20, 20)) {
		doc, err := ex.Extract(t.Context(), File{Path: write(t, name, data)})
		if err != nil || !strings.Contains(doc.Text, "Handbook") || strings.Index(doc.Text, "Handbook") > strings.Index(doc.Text, "Two text.") {
			t.Errorf("%s: %v, %v", name, doc, err)
		}
	}
	doc, err := ex.Extract(t.Context(), File{Path: filepath.Join("testdata", "handbook.webp")})
	if err != nil || !strings.Contains(doc.Text, "Handbook") || doc.Format != "webp" {
		t.Errorf("%v, %v", doc, err)
	}
}

// A WebP file is decoded whether a program to read it is there or not.
func TestWebP(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{Recognizer: seen{}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	data, err := os.ReadFile(filepath.Join("testdata", "handbook.webp"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := ex.Extract(t.Context(), File{Path: write(t, "no name", data)})
	if err != nil || doc.Format != "webp" || doc.Text != "1240 by 584" {
		t.Errorf("%+v, %v", doc, err)
	}
}

// FuzzEmbedded varies documents that hold pictures, and the pictures.
func FuzzEmbedded(f *testing.F) {
	f.Add([]byte(`<!doctype html><p>a<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><p>b`))
	f.Add([]byte(`<!doctype html><img src="data:image/svg+xml,%3Csvg%3E"><img src='data:image/png;base64,%%%'>`))
	for name, data := range withPictures(f, shades(f, 170, 50), shades(f, 170, 60)) {
		if len(data) < 30_000 && !strings.HasSuffix(name, "x") { // Office files are varied elsewhere
			f.Add(data)
		}
	}
	p := newParser(parserConfig{})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &input{ctx: t.Context(), file: bytes.NewReader(data), size: int64(len(data)), name: "a.html", recognize: true, nested: newNesting(parserConfig{})}
		doc, err := p.parseInput(in)
		if err != nil || len(doc.pictures) > 20 {
			return
		}
		texts := make([]string, len(doc.pictures))
		for i, pic := range doc.pictures {
			if _, err := p.pictureOf(in, pic.Ref, 72); err == nil {
				texts[i] = fmt.Sprintf("picture %d\n\nof it", i)
			}
		}
		insertPictures(doc, texts)
		at := 0
		for _, b := range doc.Blocks {
			if b.Start < at || b.End <= b.Start || b.End > len(doc.Text) || strings.TrimSpace(doc.Text[at:b.Start]) != "" {
				t.Fatalf("block %d to %d after %d of %q", b.Start, b.End, at, doc.Text)
			}
			at = b.End
		}
	})
}
