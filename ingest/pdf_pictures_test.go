package ingest

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"
)

// onePage is a PDF of one page that shows content, with the font F and the pictures I, J, …
func onePage(t *testing.T, content string, pictures ...*image.Gray) []byte {
	t.Helper()
	names := ""
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >>", "",
		pdfStream("", content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	for i, img := range pictures {
		objects = append(objects, pdfImage(t, img))
		names += " /" + string(rune('I'+i)) + " " + string(rune('6'+i)) + " 0 R"
	}
	objects[2] = "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> /XObject <<" + names + " >> >> >>"
	return pdfFile(objects...)
}

func grey(t *testing.T, width, height int) *image.Gray {
	t.Helper()
	img, err := png.Decode(strings.NewReader(shades(t, width, height)))
	if err != nil {
		t.Fatal(err)
	}
	return img.(*image.Gray)
}

// Pictures on pages with text are read where they stand: once, not the icons, and not those that have a text
// layer.
func TestPDFPictures(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{Recognizer: seen{}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	text := func(x, y, s string) string { return "BT /F 12 Tf " + x + " " + y + " Td (" + s + ") Tj ET " }
	above := text("72", "780", "What stands above the figure is a line of text.")
	below := text("72", "300", "What stands below the figure is another line.")
	const want = "What stands above the figure is a line of text.\n\nWhat stands below the figure is another line."
	between := func(s string) string { return strings.Replace(want, "\n\n", "\n\n"+s+"\n\n", 1) }
	layer, columns := "", ""
	for i := range 40 {
		layer += text("72", fmt.Sprint(780-18*i), fmt.Sprintf("Line %d of the text layer that lies over the scan of a page.", i))
		if i < 10 || i > 20 && i < 30 {
			columns += text("72", fmt.Sprint(780-18*i), fmt.Sprintf("Left %d is a line of its own column.", i))
			columns += text("320", fmt.Sprint(780-18*i), fmt.Sprintf("Right %d is a line of another column.", i))
		}
	}
	for _, c := range []struct {
		name, content string
		pictures      []*image.Gray
		want          string
	}{
		// 200 by 100 points are 834 by 418 pixels, doubled as it is narrow.
		{"figure", above + below + "q 200 0 0 100 72 500 cm /I Do Q", []*image.Gray{grey(t, 400, 200)}, between("1668 by 836")},
		{"in its column", columns + "q 120 0 0 60 320 480 cm /I Do Q", []*image.Gray{grey(t, 400, 200)}, ""},
		{"icon", above + below + "q 20 0 0 20 72 500 cm /I Do Q", []*image.Gray{grey(t, 400, 200)}, want},
		{"few pixels", above + below + "q 200 0 0 100 72 500 cm /I Do Q", []*image.Gray{grey(t, 100, 40)}, want},
		{"twice", above + below + "q 200 0 0 100 72 500 cm /I Do Q q 200 0 0 100 300 400 cm /I Do Q", []*image.Gray{grey(t, 400, 200)}, between("1668 by 836")},
		{"in strips", above + below + "q 200 0 0 50 72 550 cm /I Do Q q 200 0 0 50 72 500 cm /J Do Q", []*image.Gray{grey(t, 400, 40), grey(t, 400, 41)}, between("1668 by 836")},
		{"in a form, turned text beside it", above + below + "q 0 1 -1 0 500 400 cm 1 0 0 1 0 0 cm BT /F 12 Tf 0 0 Td (turned) Tj ET Q q 200 0 0 100 72 500 cm /I Do Q", []*image.Gray{grey(t, 400, 200)}, ""},
		{"text layer", layer + "q 595 0 0 842 0 0 cm /I Do Q", []*image.Gray{grey(t, 1000, 1400)}, ""},
		{"stamped scan", "q 595 0 0 842 0 0 cm /I Do Q " + text("400", "820", "Received 12 March"), []*image.Gray{grey(t, 1000, 1400)}, ""},
		{"off the page", above + below + "q 200 0 0 100 900 500 cm /I Do Q", []*image.Gray{grey(t, 400, 200)}, want},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, "a.pdf", onePage(t, c.content, c.pictures...))
			doc, err := ex.Extract(t.Context(), File{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			switch c.name {
			case "in its column":
				if !strings.Contains(doc.Text, "Right 9 is a line of another column.\n\n1002 by 502\n\nRight 21 ") {
					t.Errorf("%q", doc.Text)
				}
			case "in a form, turned text beside it":
				if !strings.Contains(doc.Text, "1668 by 836") || !strings.Contains(doc.Text, "turned") {
					t.Errorf("%q", doc.Text)
				}
			case "text layer":
				if strings.Contains(doc.Text, " by ") || doc.RecognizedBy != "" {
					t.Errorf("recognised in spite of its text: %q", doc.Text)
				}
			case "stamped scan":
				if doc.Text != "2480 by 3509\n\nReceived 12 March" && doc.Text != "Received 12 March\n\n2480 by 3509" {
					t.Errorf("%q", doc.Text)
				}
			default:
				if doc.Text != c.want {
					t.Errorf("%q, want %q", doc.Text, c.want)
				}
			}
			if p := doc.Pages[0]; p.Start != 0 || p.End != len(doc.Text) || len(doc.PagesWithoutText) > 0 {
				t.Errorf("page %+v of %d bytes", p, len(doc.Text))
			}
			off, err := ex.Extract(t.Context(), File{Path: path, OCR: OCROff})
			if err != nil || strings.Contains(off.Text, " by ") {
				t.Errorf("without recognition: %v, %v", off, err)
			}
		})
	}
	doc, err := ex.Extract(t.Context(), File{Path: write(t, "a.pdf", onePage(t, above+below+"q 200 0 0 100 72 500 cm /I Do Q", grey(t, 400, 200))), OCR: OCRAll})
	if err != nil || doc.Text != "2480 by 3509" {
		t.Errorf("all pages: %v, %v", doc, err)
	}
}

// The real program reads a figure on a page with text.
func TestTesseractFigure(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{Recognizer: tesseract(t), OCRDPI: 150})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	content := "BT /F 12 Tf 72 800 Td (The figure shows a page.) Tj 0 -500 Td (The figure has ended.) Tj ET q 450 0 0 210 72 400 cm /I Do Q"
	doc, err := ex.Extract(t.Context(), File{Path: write(t, "a.pdf", onePage(t, content, handbookPage(t)))})
	if err != nil {
		t.Fatal(err)
	}
	if first, at, last := strings.Index(doc.Text, "figure shows"), strings.Index(doc.Text, "Handbook"), strings.Index(doc.Text, "has ended"); first < 0 || at < first || last < at {
		t.Errorf("%q", doc.Text)
	}
}

// A page whose font tells no characters counts as one without text, whether something can read it or not.
func TestGarbledPages(t *testing.T) {
	shifted := strings.Map(func(r rune) rune { return r - 29 }, "THIS IS WHAT A FONT WITHOUT ITS TABLE OF CHARACTERS SAYS")
	// A font in which a code stands for the character 29 places on, as subsets that word processors write have.
	var escaped strings.Builder
	for _, r := range shifted {
		if r == '(' || r == ')' || r == '\\' {
			escaped.WriteByte('\\')
		}
		escaped.WriteByte(byte(r))
	}
	data := pdfFile(
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R 4 0 R 8 0 R] /Count 3 /MediaBox [0 0 595 842] /Resources << /Font << /F 5 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R /Contents 6 0 R >>",
		"<< /Type /Page /Parent 2 0 R /Contents 7 0 R >>",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
		pdfStream("", "BT /F 12 Tf 72 720 Td (This page is text in plain words.) Tj ET"),
		pdfStream("", "BT /F 12 Tf 72 720 Td ("+escaped.String()+") Tj ET"),
		"<< /Type /Page /Parent 2 0 R >>")
	path := write(t, "a.pdf", data)
	for _, c := range []struct {
		name       string
		recognizer Recognizer
		text       string
		needs      []int
		without    []int
	}{
		{"nothing to read it", nil, "This page is text in plain words.", []int{2}, []int{2, 3}},
		{"read", seen{}, "This page is text in plain words.\n\n2480 by 3509", nil, []int{3}},
		{"not legible", silent{}, "This page is text in plain words.", []int{2}, []int{2, 3}},
	} {
		ex, err := NewExtractor(ExtractorConfig{Recognizer: c.recognizer})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := ex.Extract(t.Context(), File{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if doc.Text != c.text || !slices.Equal(doc.GarbledPages, []int{2}) || !slices.Equal(doc.NeedsOCR, c.needs) || !slices.Equal(doc.PagesWithoutText, c.without) {
			t.Errorf("%s: %q, garbled %v, needs %v, without %v, %q", c.name, doc.Text, doc.GarbledPages, doc.NeedsOCR, doc.PagesWithoutText, doc.Warnings)
		}
		if c.recognizer == nil && !slices.ContainsFunc(doc.Warnings, func(s string) bool {
			return strings.Contains(s, "page 2 is garbled") && strings.Contains(s, "install Tesseract")
		}) {
			t.Errorf("warnings %q", doc.Warnings)
		}
		ex.Close()
	}
}

func TestGarbled(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"English", "The quick brown fox jumps over the lazy dog.", false},
		{"Vietnamese", "Độc lập tự do hạnh phúc Việt Nam đất nước con người và những điều cần biết", false},
		{"Chinese", "演示表格：请介绍一下您自己，出生日期，性别。", false},
		{"traditional", "請介紹一下您自己，出生日期與性別，謝謝您的協助。", false},
		{"Japanese", "日本語の文書をここに示します。カタカナも含みます。", false},
		{"Korean", "한국어 문서입니다. 여기에 여러 문장이 있습니다.", false},
		{"Russian", "Все счастливые семьи похожи друг на друга.", false},
		{"table of characters", "¢£¤¥§¨©ª«¬®¯ ±²¶¸¹º¼½ ÀÁÂÃÄÅÆÈÉÊËÌ ÑÕÖ×ÚÛÜÝÞß äåæèéëìî", false},
		{"one letter", "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW Potato", false},
		{"addresses", "http://knowledgecenter.csg.org/kc/content/there%E2%80%99s-no-one-right-answer-fightingcrimeandmorewords", false},
		{"part numbers", "ZX-2031B KLT-44 QRS-1290 BXT-77 MNV-3321 ZX-2032B KLT-45 QRS-1291 BXT-78 MNV-3322", false},
		{"bullets of a symbol font", "\uf06e No semicolons \uf06e except in loops and so on \uf06e if it must be", false},
		{"formula", "Let 𝑥 and 𝑦 satisfy 𝑥 > 𝑦, then 𝑥² > 𝑦².", false},
		{"nothing", "", false},
		{"replacements", "��� ���� ��", true},
		{"private use", "\uf76f\uf770\uf765\uf76e\uf76d\uf761", true},
		{"codes of glyphs", "7+,6�,6�:+$7�$�)217", true},
		{"bytes of two-byte characters", "´¿¢Ã°£¢ ¿ðº˜ ´’«¢¬", true},
		{"UTF-8 as Windows-1252", "æ–‡æ¡£å†…å®¹ç®¡ç†ç³»ç»Ÿä½¿ç”¨è¯´æ˜Žæ–‡æ¡£å†…å®¹", true},
	} {
		pg := &pdfPage{}
		for _, r := range c.text {
			pg.chars = append(pg.chars, pdfChar{r: r})
		}
		if got := pg.garbled(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestJoinPictures(t *testing.T) {
	pic := func(x0, y0, x1, y1 float64) pdfPicture {
		return pdfPicture{box: [4]float64{x0, y0, x1, y1}, width: 100, height: 50, sum: "s"}
	}
	for _, c := range []struct {
		name string
		in   []pdfPicture
		want []pdfPicture
	}{
		{"none", nil, nil},
		{"strips", []pdfPicture{pic(0, 0, 100, 50), pic(0, 100, 100, 150), pic(0, 50, 100, 100)}, []pdfPicture{{[4]float64{0, 0, 100, 150}, 100, 150, "sss"}}},
		{"tiles", []pdfPicture{pic(0, 0, 50, 50), pic(50, 0, 100, 50), pic(0, 50, 50, 100), pic(50, 50, 100, 100)}, []pdfPicture{{[4]float64{0, 0, 100, 100}, 200, 100, "ssss"}}},
		{"one on the other", []pdfPicture{pic(0, 0, 100, 100), pic(20, 20, 40, 40)}, []pdfPicture{{[4]float64{0, 0, 100, 100}, 100, 50, "ss"}}},
		{"apart", []pdfPicture{pic(0, 0, 100, 50), pic(0, 60, 100, 110)}, []pdfPicture{pic(0, 0, 100, 50), pic(0, 60, 100, 110)}},
	} {
		if got := pdfJoinPictures(slices.Clone(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A cut-out has no trace of the page's text.
func TestCut(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 200, 200))
	pg := &pdfPage{width: 100, height: 100, chars: []pdfChar{{r: 'a', x0: 20, y0: 20, x1: 30, y1: 30}}}
	out := pg.cut(img, [4]float64{10, 10, 60, 40}).(*image.Gray)
	if out.Rect != image.Rect(0, 0, 100, 60) || out.GrayAt(30, 30).Y != 255 || out.GrayAt(5, 5).Y != 0 || bytes.Count(out.Pix, []byte{255}) != 24*24 {
		t.Errorf("%v, %d white", out.Rect, bytes.Count(out.Pix, []byte{255}))
	}
}
