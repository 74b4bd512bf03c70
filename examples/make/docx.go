package main

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// docx writes a parsed Markdown document as a WordprocessingML package (ECMA-376 part 1): headings
// by style, numbered and bulleted lists by numbering definitions, tables with a header row. The
// bytes depend on the source alone, so that a rebuild without an edit changes nothing.
func docx(root ast.Node, source []byte) ([]byte, error) {
	w := &wordWriter{source: source}
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if err := w.block(n); err != nil {
			return nil, err
		}
	}
	files := []struct{ name, text string }{
		{"[Content_Types].xml", contentTypes},
		{"_rels/.rels", packageRels},
		{"docProps/core.xml", coreProps},
		{"word/_rels/document.xml.rels", documentRels},
		{"word/styles.xml", styles},
		{"word/numbering.xml", w.numbering()},
		{"word/header1.xml", header},
		{"word/footer1.xml", footer},
		{"word/document.xml", xmlHead + `<w:document ` + namespaces + `><w:body>` + w.body.String() + sectPr + `</w:body></w:document>`},
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		fw, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := fw.Write([]byte(f.text)); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

type wordWriter struct {
	source []byte
	body   strings.Builder
	lists  int // numbered lists so far; each restarts at 1 by a numbering instance of its own
}

func (w *wordWriter) block(n ast.Node) error {
	switch n := n.(type) {
	case *ast.Heading:
		style := fmt.Sprintf("Heading%d", n.Level-1)
		if n.Level == 1 {
			style = "Title"
		}
		w.paragraph(style, "", w.text(n))
	case *ast.Paragraph:
		w.paragraph("", "", w.text(n))
	case *ast.List:
		num := 1
		if n.IsOrdered() {
			w.lists++
			num = 1 + w.lists
		}
		for item := n.FirstChild(); item != nil; item = item.NextSibling() {
			w.paragraph("ListParagraph", fmt.Sprintf(`<w:numPr><w:ilvl w:val="0"/><w:numId w:val="%d"/></w:numPr>`, num), w.text(item))
		}
	case *east.Table:
		w.table(n)
	default:
		return fmt.Errorf("docx: no way to write a %s", n.Kind())
	}
	return nil
}

func (w *wordWriter) table(t *east.Table) {
	w.body.WriteString(`<w:tbl><w:tblPr><w:tblStyle w:val="TableGrid"/><w:tblW w:w="5000" w:type="pct"/></w:tblPr>`)
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		w.body.WriteString(`<w:tr>`)
		if row.Kind() == east.KindTableHeader {
			w.body.WriteString(`<w:trPr><w:tblHeader/></w:trPr>`)
		}
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			w.body.WriteString(`<w:tc>`)
			w.paragraph("", "", w.text(cell))
			w.body.WriteString(`</w:tc>`)
		}
		w.body.WriteString(`</w:tr>`)
	}
	w.body.WriteString(`</w:tbl>`)
	w.paragraph("", "", "")
}

func (w *wordWriter) paragraph(style, props, text string) {
	w.body.WriteString(`<w:p><w:pPr>`)
	if style != "" {
		fmt.Fprintf(&w.body, `<w:pStyle w:val="%s"/>`, style)
	}
	w.body.WriteString(props + `</w:pPr>`)
	if text != "" {
		w.body.WriteString(`<w:r><w:t xml:space="preserve">`)
		_ = xml.EscapeText(&w.body, []byte(text)) // a strings.Builder takes all
		w.body.WriteString(`</w:t></w:r>`)
	}
	w.body.WriteString(`</w:p>`)
}

// text is the plain text below n.
func (w *wordWriter) text(n ast.Node) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(w.source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

func (w *wordWriter) numbering() string {
	var b strings.Builder
	b.WriteString(xmlHead + `<w:numbering ` + namespaces + `>` +
		`<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl></w:abstractNum>` +
		`<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl></w:abstractNum>` +
		`<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>`)
	for i := range w.lists {
		fmt.Fprintf(&b, `<w:num w:numId="%d"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>`, i+2)
	}
	b.WriteString(`</w:numbering>`)
	return b.String()
}

const (
	xmlHead      = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	namespaces   = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	contentTypes = xmlHead + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Default Extension="xml" ContentType="application/xml"/>` +
		`<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>` +
		`<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>` +
		`<Override PartName="/word/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/>` +
		`<Override PartName="/word/numbering.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.numbering+xml"/>` +
		`<Override PartName="/word/header1.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.header+xml"/>` +
		`<Override PartName="/word/footer1.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footer+xml"/>` +
		`</Types>`
	relationship = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	packageRels  = xmlHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="` + relationship + `officeDocument" Target="word/document.xml"/>` +
		`<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/>` +
		`</Relationships>`
	documentRels = xmlHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="` + relationship + `styles" Target="styles.xml"/>` +
		`<Relationship Id="rId2" Type="` + relationship + `numbering" Target="numbering.xml"/>` +
		`<Relationship Id="rId3" Type="` + relationship + `header" Target="header1.xml"/>` +
		`<Relationship Id="rId4" Type="` + relationship + `footer" Target="footer1.xml"/>` +
		`</Relationships>`
	coreProps = xmlHead + `<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/">` +
		`<dc:title>ZX-2031 Benchtop pH and Conductivity Meter: User Manual</dc:title><dc:creator>Linden &amp; Hale Instruments</dc:creator><dc:language>en-GB</dc:language></cp:coreProperties>`
	styles = xmlHead + `<w:styles ` + namespaces + `>` +
		`<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/><w:pPr><w:spacing w:after="120"/></w:pPr><w:rPr><w:sz w:val="21"/></w:rPr></w:style>` +
		`<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/><w:basedOn w:val="Normal"/><w:rPr><w:b/><w:sz w:val="44"/></w:rPr></w:style>` +
		`<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/><w:next w:val="Normal"/><w:pPr><w:keepNext/><w:spacing w:before="360"/><w:outlineLvl w:val="0"/></w:pPr><w:rPr><w:b/><w:sz w:val="32"/></w:rPr></w:style>` +
		`<w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/><w:basedOn w:val="Normal"/><w:next w:val="Normal"/><w:pPr><w:keepNext/><w:spacing w:before="240"/><w:outlineLvl w:val="1"/></w:pPr><w:rPr><w:b/><w:sz w:val="26"/></w:rPr></w:style>` +
		`<w:style w:type="paragraph" w:styleId="ListParagraph"><w:name w:val="List Paragraph"/><w:basedOn w:val="Normal"/><w:pPr><w:ind w:left="720" w:hanging="360"/></w:pPr></w:style>` +
		`<w:style w:type="table" w:styleId="TableGrid"><w:name w:val="Table Grid"/><w:tblPr><w:tblBorders>` +
		`<w:top w:val="single" w:sz="4"/><w:left w:val="single" w:sz="4"/><w:bottom w:val="single" w:sz="4"/><w:right w:val="single" w:sz="4"/><w:insideH w:val="single" w:sz="4"/><w:insideV w:val="single" w:sz="4"/>` +
		`</w:tblBorders></w:tblPr></w:style></w:styles>`
	header = xmlHead + `<w:hdr ` + namespaces + `><w:p><w:r><w:t>Linden &amp; Hale Instruments, M-2031-EN rev. F</w:t></w:r></w:p></w:hdr>`
	footer = xmlHead + `<w:ftr ` + namespaces + `><w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> PAGE </w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p></w:ftr>`
	sectPr = `<w:sectPr><w:headerReference w:type="default" r:id="rId3"/><w:footerReference w:type="default" r:id="rId4"/><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1440" w:right="1247" w:bottom="1440" w:left="1247" w:header="708" w:footer="708" w:gutter="0"/></w:sectPr>`
)
