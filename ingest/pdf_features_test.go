package ingest_test

import (
	"crypto/md5"
	"crypto/rc4"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"docent/ingest"
)

// engines are the two ways in which PDF files are read.
func engines(t *testing.T) map[string]*ingest.Extractor {
	return map[string]*ingest.Extractor{
		"worker":     newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1}),
		"in process": newExtractor(t, ingest.ExtractorConfig{Workers: 1}),
	}
}

// Text in the fonts of Chinese and Japanese, whose codes are those of national encodings, of UTF-16, or numbers of
// glyphs that a table in the file explains. None of the fonts is in the file.
func TestPDFEastAsianFonts(t *testing.T) {
	utf16 := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	const (
		simple      = "员工每年享有十五天带薪年假，须提前三周申请。"
		traditional = "員工每年享有十五天帶薪年假，須提前三週申請。"
		nihon       = "社員は年に十五日の有給休暇を取ることができます。"
	)
	for _, c := range []struct {
		cmap, ordering, font, text string
		enc                        encoding.Encoding // nil: glyphs, numbered as they come
	}{
		{"UniGB-UCS2-H", "GB1", "STSong-Light", simple, utf16},
		{"GBK-EUC-H", "GB1", "SimSun", simple, simplifiedchinese.GBK},
		{"UniCNS-UCS2-H", "CNS1", "MSung-Light", traditional, utf16},
		{"ETen-B5-H", "CNS1", "MingLiU", traditional, traditionalchinese.Big5},
		{"UniJIS-UCS2-H", "Japan1", "HeiseiMin-W3", nihon, utf16},
		{"90ms-RKSJ-H", "Japan1", "MS-Gothic", nihon, japanese.ShiftJIS},
		{"Identity-H", "Identity", "ABCDEF+Song", simple, nil},
	} {
		codes, toUnicode := "", ""
		if c.enc != nil {
			raw, err := c.enc.NewEncoder().String(c.text)
			if err != nil {
				t.Fatal(err)
			}
			codes = hex.EncodeToString([]byte(raw))
		} else {
			var pairs strings.Builder
			for i, r := range []rune(c.text) {
				codes += fmt.Sprintf("%04x", i+1)
				fmt.Fprintf(&pairs, "<%04x> <%04x>\n", i+1, r)
			}
			toUnicode = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def 1 begincodespacerange <0000> <ffff> endcodespacerange\n" +
				fmt.Sprintf("%d beginbfchar\n%sendbfchar endcmap end end", len([]rune(c.text)), pairs.String())
		}
		font := fmt.Sprintf("<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/%s/DescendantFonts[6 0 R]", c.font, c.cmap)
		if toUnicode != "" {
			font += "/ToUnicode 8 0 R"
		}
		file := pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
			"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>",
			pdfStream("BT /F1 14 Tf 60 700 Td <"+codes+"> Tj ET"), font+">>",
			fmt.Sprintf("<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(%s)/Supplement 2>>/DW 1000/FontDescriptor 7 0 R>>", c.font, c.ordering),
			fmt.Sprintf("<</Type/FontDescriptor/FontName/%s/Flags 4/FontBBox[0 -200 1000 900]/ItalicAngle 0/Ascent 900/Descent -200/CapHeight 700/StemV 80>>", c.font),
			pdfStream(toUnicode))
		for name, ex := range engines(t) {
			doc, err := ex.Extract(t.Context(), ingest.File{Path: writeFile(t, "a.pdf", file)})
			if err != nil {
				t.Errorf("%s, %s: %v", c.cmap, name, err)
			} else if doc.Text != c.text {
				t.Errorf("%s, %s, read by %s: %q, want %q", c.cmap, name, doc.Metadata["engine"], doc.Text, c.text)
			}
		}
	}
}

// lockedPDF is a PDF of one line that asks for a password unless user is empty (PDF 1.7, 7.6.3: the standard handler,
// revision 2).
func lockedPDF(t *testing.T, user, owner, line string) []byte {
	t.Helper()
	padding, err := hex.DecodeString("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
	if err != nil {
		t.Fatal(err)
	}
	pad := func(s string) []byte { return append([]byte(s), padding...)[:32] }
	cipher := func(key, data []byte) []byte {
		c, err := rc4.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, len(data))
		c.XORKeyStream(out, data)
		return out
	}
	sum := func(n int, parts ...[]byte) []byte {
		h := md5.New()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)[:n]
	}
	id := []byte(strings.Repeat("\x07", 16))
	o := cipher(sum(5, pad(owner)), pad(user))
	key := sum(5, pad(user), o, []byte{0xfc, 0xff, 0xff, 0xff}, id)
	content := cipher(sum(10, key, []byte{4, 0, 0, 0, 0}), []byte(pdfLine(14, 60, 700, line)))
	file := string(pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>/Contents 4 0 R>>",
		pdfStream(string(content)), fmt.Sprintf("<</Filter/Standard/V 1/R 2/P -4/O<%x>/U<%x>>>", o, cipher(key, padding))))
	return []byte(strings.Replace(file, "/Root 1 0 R", fmt.Sprintf("/Root 1 0 R/Encrypt 5 0 R/ID[<%x><%x>]", id, id), 1))
}

// A PDF that only its owner's password protects, against printing and the like, is read; one that asks its reader
// for a password is refused with a message that asks for it, until it is given.
func TestPDFPasswords(t *testing.T) {
	const line = "The safe stands behind the chart table."
	protected, locked := writeFile(t, "protected.pdf", lockedPDF(t, "", "the owner's", line)), writeFile(t, "locked.pdf", lockedPDF(t, "brass key", "the owner's", line))
	for name, ex := range engines(t) {
		for password, file := range map[string]string{"": protected, "brass key": locked, "the owner's": locked} {
			if doc, err := ex.Extract(t.Context(), ingest.File{Path: file, Password: password}); err != nil || doc.Text != line {
				t.Errorf("%s, %s with %q: %+v, %v", name, file, password, doc, err)
			}
		}
		for password, says := range map[string]string{"": "password", "wrong": "does not open it"} {
			if _, err := ex.Extract(t.Context(), ingest.File{Path: locked, Password: password}); !errors.Is(err, ingest.ErrPassword) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "locked.pdf") {
				t.Errorf("%s with %q: %v", name, password, err)
			}
		}
	}
}
