package ingest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

func zipped(t *testing.T, parts ...string) []byte { return pack(t, parts...) }

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := gzip.NewWriter(b)
		if _, err := w.Write(data); err != nil {
			return err
		}
		return w.Close()
	})
}

func tarred(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error {
		w := tar.NewWriter(b)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		return w.Close()
	})
}

// mailWith is a message with parts, each of a type, a disposition and its bytes in turns.
func mailWith(parts ...string) []byte {
	var b strings.Builder
	b.WriteString("From: a@example.com\r\nTo: b@example.com\r\nSubject: Plans\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xx\r\n\r\n")
	for i := 0; i < len(parts); i += 3 {
		fmt.Fprintf(&b, "--xx\r\nContent-Type: %s\r\n%sContent-Transfer-Encoding: base64\r\n\r\n%s\r\n", parts[i], parts[i+1], base64.StdEncoding.EncodeToString([]byte(parts[i+2])))
	}
	b.WriteString("--xx--\r\n")
	return []byte(b.String())
}

func workbook(t *testing.T, password string, pictures ...string) []byte {
	t.Helper()
	book := excelize.NewFile()
	book.SetCellValue("Sheet1", "A1", "Item")
	book.SetCellValue("Sheet1", "A2", "Lathe")
	if _, err := book.NewSheet("Drawings"); err != nil {
		t.Fatal(err)
	}
	for i, p := range pictures {
		sheet := "Sheet1"
		if i > 1 {
			sheet = "Drawings"
		}
		if err := book.AddPictureFromBytes(sheet, fmt.Sprintf("C%d", 20-i), &excelize.Picture{Extension: ".png", File: []byte(p), Format: &excelize.GraphicOptions{}}); err != nil {
			t.Fatal(err)
		}
	}
	return encoded(t, func(b *bytes.Buffer) error {
		_, err := book.WriteTo(b, excelize.Options{Password: password})
		return err
	})
}

// Pictures, and pages without text, are read in whatever file they lie, and stand under the name of theirs.
func TestPicturesWithin(t *testing.T) {
	a, b := shades(t, 300, 200), shades(t, 1200, 100)
	icon := shades(t, 32, 32)
	docx := string(withPictures(t, a, b)["letter.docx"])
	const letter = "One text.\n\n600 by 400\n\nTwo text.\n\n1200 by 100"
	scan := string(scanned(t, grey(t, 1000, 700)))
	const typed = "This page was typed and says so in plain words."
	inline := "Content-Disposition: inline\r\nContent-ID: <1>\r\n"
	attached := func(name string) string {
		return "Content-Disposition: attachment; filename=\"" + name + "\"\r\n"
	}
	for _, c := range []struct {
		name     string
		data     []byte
		password string
		want     string
	}{
		{"a.zip", zipped(t, "notes.txt", "A note.", "plan.png", a, "icon.png", icon, "more/letter.docx", docx, "scan.pdf", scan), "",
			"notes.txt\n\nA note.\n\nplan.png\n\n600 by 400\n\nmore/letter.docx\n\nOne text.\n\nTwo text.\n\n1200 by 100\n\nscan.pdf\n\n" + typed + "\n\n2480 by 3509"},
		{"nested.zip", zipped(t, "inner.zip", string(zipped(t, "plan.png", a)), "again.png", a, "b.png", b), "", "inner.zip / plan.png\n\n600 by 400\n\nb.png\n\n1200 by 100"},
		{"a.tar.gz", gzipped(t, tarred(t, "letter.docx", []byte(docx))), "", "letter.docx\n\n" + letter},
		{"letter.docx.gz", gzipped(t, []byte(docx)), "", letter},
		{"scan.pdf.gz", gzipped(t, []byte(scan)), "", typed + "\n\n2480 by 3509"},
		{"plan.png.gz", gzipped(t, []byte(a)), "", "600 by 400"},
		{"a.eml", mailWith("text/plain", "", "See below.", "image/png", inline, b, "image/png", attached("plan.png"), a, "application/octet-stream", attached("letter.docx"), docx, "image/png", attached("again.png"), a), "",
			"Plans\n\nFrom: a@example.com\nTo: b@example.com\n\nSee below.\n\nimage.png\n\n1200 by 100\n\nplan.png\n\n600 by 400\n\nletter.docx\n\nOne text.\n\nTwo text.\n\nAttachments: image.png, plan.png, again.png"},
		{"forwarded.eml", mailWith("text/plain", "", "See below.", "message/rfc822", "", string(mailWith("text/plain", "", "Inner.", "image/png", attached("plan.png"), a))), "", ""},
		{"a.mbox", append(append([]byte("From a@example.com Mon Jan  1 00:00:00 2024\n"), mailWith("text/plain", "", "One.", "image/png", attached("a.png"), a)...),
			append([]byte("\nFrom a@example.com Mon Jan  1 00:00:00 2024\n"), mailWith("text/plain", "", "Two.", "image/png", attached("b.png"), b)...)...), "", ""},
		{"book.xlsx", workbook(t, "", b, a, shades(t, 1000, 300), icon), "", "Sheet1\n\nItem\n\nLathe\n\n600 by 400\n\n1200 by 100\n\nDrawings\n\n1000 by 300"},
		{"locked.xlsx", workbook(t, "p", a), "p", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ex, err := NewExtractor(ExtractorConfig{Recognizer: seen{}})
			if err != nil {
				t.Fatal(err)
			}
			defer ex.Close()
			path := write(t, c.name, c.data)
			doc, err := ex.Extract(t.Context(), File{Path: path, Password: c.password})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.NewReplacer("| Item |\n| --- |\n| Lathe |", "Item\n\nLathe").Replace(doc.Text)
			switch c.name {
			case "forwarded.eml":
				if !strings.Contains(got, "Inner.") || !strings.Contains(got, "plan.png\n\n600 by 400") {
					t.Errorf("%q", got)
				}
			case "a.mbox":
				if !strings.Contains(got, "One.\n\na.png\n\n600 by 400") || !strings.Contains(got, "Two.\n\nb.png\n\n1200 by 100") {
					t.Errorf("%q", got)
				}
			case "locked.xlsx":
				if !strings.Contains(got, "Lathe") || !strings.Contains(got, "600 by 400") {
					t.Errorf("%q", got)
				}
			default:
				if got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
			for _, w := range doc.Warnings {
				if !strings.Contains(w, "hold no text") && !strings.Contains(w, "1 of 3 pages have no text") {
					t.Errorf("warning %q", w)
				}
			}
			off, err := ex.Extract(t.Context(), File{Path: path, Password: c.password, OCR: OCROff})
			if c.name == "plan.png.gz" || c.name == "nested.zip" {
				if err == nil {
					t.Errorf("without recognition: %q", off.Text)
				}
			} else if err != nil || strings.Contains(off.Text, " by ") {
				t.Errorf("without recognition: %+v, %v", off, err)
			}
		})
	}
}

// A scan within a file is told of where nothing reads it.
func TestScanWithin(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	scan := string(onePage(t, "q 595 0 0 842 0 0 cm /I Do Q", grey(t, 1000, 1400)))
	partly := string(scanned(t, grey(t, 1000, 700)))
	doc, err := ex.Extract(t.Context(), File{Path: write(t, "a.zip", zipped(t, "notes.txt", "A note.", "scan.pdf", scan, "partly.pdf", partly))})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(doc.Warnings, "\n")
	if !strings.Contains(all, "scan.pdf\": no text") || !strings.Contains(all, "partly.pdf: 2 of 3 pages have no text") {
		t.Errorf("%q", doc.Warnings)
	}
}
