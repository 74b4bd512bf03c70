package ingest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"docent/ingest"
)

type link struct{ text, target string }

func linksOf(doc *ingest.Document) []link {
	var out []link
	for _, l := range doc.Links {
		out = append(out, link{doc.Text[l.Start:l.End], l.Target})
	}
	return out
}

// Links that lead out of a document are kept with the words they stand on; those within it, and those that
// no reader is to be led to, are not.
func TestExtractLinks(t *testing.T) {
	rels := func(s string) string {
		return `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` + s +
			`<Relationship Id="web" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink" Target="https://example.com/a" TargetMode="External"/>` +
			`<Relationship Id="picture" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink" Target="https://example.com/p" TargetMode="External"/>` +
			`<Relationship Id="bad" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink" Target="file:///etc/passwd" TargetMode="External"/></Relationships>`
	}
	run := func(s string) string { return `<w:r><w:t xml:space="preserve">` + s + `</w:t></w:r>` }
	field := func(kind string) string { return `<w:r><w:fldChar w:fldCharType="` + kind + `"/></w:r>` }

	book := excelize.NewFile()
	for cell, value := range map[string]string{"A1": "Part", "B1": "Sheet", "A3": "ZX-1", "B3": "the | data", "A4": "ZX-2", "B4": "none"} {
		if err := book.SetCellValue("Sheet1", cell, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.SetCellHyperLink("Sheet1", "B3", "https://example.com/zx-1", "External"); err != nil {
		t.Fatal(err)
	}
	if err := book.SetCellHyperLink("Sheet1", "A4", "Sheet1!A1", "Location"); err != nil {
		t.Fatal(err)
	}
	xlsx, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name, url string
		data      []byte
		want      []link
	}{
		{"page.html", "", []byte(`<!doctype html><html><head><base href="https://example.com/dir/"></head><body>
			<h1>Rules of <a href="travel">travel</a></h1><p>See <a href="/leave"> the leave <b>rules</b> </a>, <a href="#top">above</a>, <a href="javascript:alert(1)">this</a>,
			<a href="mailto:hr@example.com">the office</a>.</p><a href="https://example.org/"><div>First block</div><div>second block</div></a>
			<ul><li><a href="x">差旅</a>规定</li></ul><table><tr><th>Form</th><th>Where</th></tr><tr><td>A 1</td><td>on <a href="forms/a1.pdf">the server</a></td></tr></table></body></html>`),
			[]link{{"travel", "https://example.com/dir/travel"}, {"the leave rules", "https://example.com/leave"}, {"the office", "mailto:hr@example.com"}, {"First block", "https://example.org/"},
				{"second block", "https://example.org/"}, {"差旅", "https://example.com/dir/x"}, {"the server", "https://example.com/dir/forms/a1.pdf"}}},
		{"fetched.html", "https://docs.example.com/guide/intro.html", []byte(`<!doctype html><p>Go to <a href="next.html?a=1&amp;b=2#c">the next page</a>.</p>`),
			[]link{{"the next page", "https://docs.example.com/guide/next.html?a=1&b=2#c"}}},
		{"pictures.html", "https://example.com/", []byte(`<!doctype html><p>Before.</p><p><a href="alone"><img src="a.png"></a></p><p>See <a href="beside"><img src="b.png"></a> it.</p>
			<p><a href="said"><img src="c.png"> words</a></p><p><a href="empty"></a></p><p><a href="end"><img src="d.png"></a></p>`),
			[]link{{"", "https://example.com/alone"}, {"", "https://example.com/beside"}, {"words", "https://example.com/said"}, {"", "https://example.com/end"}}},
		{"guide.rst", "", []byte("Guide\n=====\n\nSee `the page <https://example.com/page>`_, the rules_, `all of it`__ and here_.\n\n.. _rules: https://example.com/rules\n\n__ https://example.com/all\n\n" +
			".. image:: logo.png\n   :target: https://example.com/logo\n\nThe end.\n"),
			[]link{{"the page", "https://example.com/page"}, {"rules", "https://example.com/rules"}, {"all of it", "https://example.com/all"}, {"", "https://example.com/logo"}}},
		{"guide.adoc", "", []byte("= Guide to https://example.com/t[the page]\n:site: https://example.com\n\nSee {site}/a[the *rules*^], link:https://example.com/b.pdf[], link:local.html[here], mailto:a@example.com[us]\nand https://example.com/bare. Not note[this].\n\n" +
			"|===\n|Form |https://example.com/c[one]\n|===\n\nimage::logo.png[link=\"https://example.com/logo\"]\n\nThe end.\n"),
			[]link{{"the page", "https://example.com/t"}, {"the rules", "https://example.com/a"}, {"https://example.com/b.pdf", "https://example.com/b.pdf"}, {"us", "mailto:a@example.com"},
				{"https://example.com/bare", "https://example.com/bare"}, {"one", "https://example.com/c"}, {"", "https://example.com/logo"}}},
		{"paper.tex", "", []byte("\\documentclass{article}\n\\begin{document}\nSee \\href{https://example.com/a?b=1\\&c=2}{the \\emph{data}} at \\url{https://example.com/u}.\n\\end{document}\n"),
			[]link{{"the data", "https://example.com/a?b=1&c=2"}, {"https://example.com/u", "https://example.com/u"}}},
		{"letter.rtf", "", []byte(`{\rtf1\ansi See {\field{\*\fldinst{HYPERLINK "https://example.com/rtf"}}{\fldrslt{the rules}}} now.\par}`),
			[]link{{"the rules", "https://example.com/rtf"}}},
		{"readme.md", "", []byte("# [Title](https://example.com/t)\n\nSee [the *guide*](https://example.com/g \"x\"), [ref][r], <https://example.com/auto>, <a@example.com>,\n[local](docs/a.md) and <a href=\"https://example.com/raw\">raw</a>.\n\n" +
			"| a | b |\n|---|---|\n| [one](https://example.com/1) | 2 |\n\n请看[说明](https://example.com/zh)\n文件。\n\n[r]: https://example.com/r\n"),
			[]link{{"Title", "https://example.com/t"}, {"the guide", "https://example.com/g"}, {"ref", "https://example.com/r"}, {"https://example.com/auto", "https://example.com/auto"}, {"a@example.com", "mailto:a@example.com"},
				{"raw", "https://example.com/raw"}, {"one", "https://example.com/1"}, {"说明", "https://example.com/zh"}}},
		{"letter.docx", "", zipped(t, "[Content_Types].xml", docxTypes, "word/document.xml", docxBody(
			`<w:p>`+run("See ")+`<w:hyperlink r:id="web">`+run("the rules")+`</w:hyperlink>`+run(" and ")+`<w:hyperlink r:id="bad">`+run("a file")+`</w:hyperlink>`+run(".")+`</w:p>`+
				`<w:p>`+run("Or ")+field("begin")+`<w:r><w:instrText> HYPERLINK "https://example.com/f" \o "tip" </w:instrText></w:r>`+field("separate")+run("a field")+field("end")+
				run(" or ")+`<w:fldSimple w:instr="HYPERLINK &quot;https://example.com/s&quot;">`+run("a simple one")+`</w:fldSimple>`+
				run(" or ")+field("begin")+`<w:r><w:instrText> HYPERLINK \l "Bookmark" </w:instrText></w:r>`+field("separate")+run("a place here")+field("end")+`</w:p>`+
				`<w:p><w:r><w:drawing><wp:inline><wp:docPr id="1" name="Logo"><a:hlinkClick r:id="picture"/></wp:docPr></wp:inline></w:drawing></w:r></w:p>`),
			"word/_rels/document.xml.rels", rels("")),
			[]link{{"the rules", "https://example.com/a"}, {"", "https://example.com/p"}, {"a field", "https://example.com/f"}, {"a simple one", "https://example.com/s"}}},
		{"slides.pptx", "", zipped(t,
			"ppt/presentation.xml", `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>`,
			"ppt/_rels/presentation.xml.rels", rels(`<Relationship Id="r1" Type="x/slide" Target="slides/slide1.xml"/>`),
			"ppt/slides/slide1.xml", `<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>See </a:t></a:r><a:r><a:rPr><a:hlinkClick r:id="web"/></a:rPr><a:t>the site</a:t></a:r></a:p></p:txBody></p:sp><p:pic><p:nvPicPr><p:cNvPr id="2"><a:hlinkClick r:id="picture"/></p:cNvPr></p:nvPicPr></p:pic></p:spTree></p:cSld></p:sld>`,
			"ppt/slides/_rels/slide1.xml.rels", rels("")),
			[]link{{"", "https://example.com/p"}, {"the site", "https://example.com/a"}}},
		{"parts.xlsx", "", xlsx.Bytes(), []link{{`the \| data`, "https://example.com/zx-1"}}},
		{"letter.odt", "", zipped(t, "mimetype", "application/vnd.oasis.opendocument.text",
			"content.xml", `<o:document-content xmlns:o="o" xmlns:t="t" xmlns:x="x"><o:body><o:text><t:p>Read <t:a x:href="https://example.com/odt">the <t:span>page</t:span></t:a> now.</t:p></o:text></o:body></o:document-content>`),
			[]link{{"the page", "https://example.com/odt"}}},
		{"novel.epub", "", zipped(t, "mimetype", "application/epub+zip",
			"META-INF/container.xml", `<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>`,
			"book.opf", `<package xmlns:dc="d"><metadata><dc:title>A Novel</dc:title></metadata><manifest><item id="c1" href="one.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c1"/></spine></package>`,
			"one.xhtml", `<html><body><p>From <a href="https://example.com/press">the press</a>, <a href="two.xhtml">next</a>.</p></body></html>`),
			[]link{{"the press", "https://example.com/press"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, CacheDir: t.TempDir()})
			doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, c.name, c.data), URL: c.url})
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, c.name, doc)
			if diff := cmp.Diff(c.want, linksOf(doc), cmp.AllowUnexported(link{})); diff != "" {
				t.Errorf("links (-want +got):\n%s\n%s", diff, doc.Text)
			}
			if strings.Contains(doc.Text, "  ") {
				t.Errorf("two blanks in %q", doc.Text)
			}
		})
	}
}

// The code points that mark links within a parser are dropped from files that hold them, and make no link.
func TestMarksInFiles(t *testing.T) {
	ex := newExtractor(t, ingest.ExtractorConfig{})
	const open, end, shut = "\ufde0\ufdd0", "\ufde1", "\ufde2"
	for name, text := range map[string]string{
		"a.txt": "one " + open + end + "two" + shut + " three", "a.md": "[x](https://example.com) " + open + open + "\ufdd9" + end + "\ufddf\ufddf\ufddf\ufddf" + shut + shut + " y",
		"a.html": "<!doctype html><p>x " + shut + end + open + " y", "a.csv": "a,b\n" + open + "1,2" + end + "\n",
	} {
		doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, name, []byte(text))})
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, name, doc)
		if i := strings.IndexFunc(doc.Text, func(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef }); i >= 0 {
			t.Errorf("%s: a mark is left in %q", name, doc.Text)
		}
	}
}
