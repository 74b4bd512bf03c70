package ingest

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"docent/chunker"
)

// handbookPage is a picture of the upper third of the sample handbook's first page, 150 dots an inch.
func handbookPage(t *testing.T) *image.Gray {
	t.Helper()
	p := newParser(parserConfig{CacheDir: ExtractorConfig{}.withDefaults().CacheDir})
	defer p.close()
	data, err := p.render(t.Context(), parseRequest{Path: "../examples/corpus/employee-handbook.pdf", Name: "h.pdf", Picture: pageRef(1), DPI: 150})
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	gray := img.(*image.Gray)
	return gray.SubImage(image.Rect(0, 0, gray.Rect.Dx(), gray.Rect.Dy()/3)).(*image.Gray)
}

func tesseract(t *testing.T) *Tesseract {
	t.Helper()
	ts, err := NewTesseract(t.Context(), TesseractConfig{Languages: "eng", DPI: 150})
	if err != nil {
		t.Skipf("%v; with it installed (apt-get install tesseract-ocr) this test runs", err)
	}
	return ts
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func encoded(t testing.TB, encode func(b *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scanned is a PDF of three pages: text, a picture, and nothing.
func scanned(t *testing.T, img *image.Gray) []byte {
	t.Helper()
	return pdfFile(
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 /MediaBox [0 0 595 842] >>",
		"<< /Type /Page /Parent 2 0 R /Contents 6 0 R /Resources << /Font << /F 8 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R /Contents 7 0 R /Resources << /XObject << /I 9 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R >>",
		pdfStream("", "BT /F 12 Tf 72 720 Td (This page was typed and says so in plain words.) Tj ET"),
		pdfStream("", "q 595 0 0 280 0 500 cm /I Do Q"),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
		pdfImage(t, img))
}

func pdfStream(dict, s string) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(s), s)
}

func pdfImage(t *testing.T, img *image.Gray) string {
	t.Helper()
	pixels := encoded(t, func(b *bytes.Buffer) error {
		w := zlib.NewWriter(b)
		for y := range img.Rect.Dy() {
			w.Write(img.Pix[y*img.Stride : y*img.Stride+img.Rect.Dx()])
		}
		return w.Close()
	})
	return pdfStream(fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode",
		img.Rect.Dx(), img.Rect.Dy()), string(pixels))
}

// pdfFile is a PDF of objects, the first of which is the catalog.
func pdfFile(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, p := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", p)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// TestRecognize reads real pictures with the real program.
func TestRecognize(t *testing.T) {
	ts := tesseract(t)
	img := handbookPage(t)
	ex, err := NewExtractor(ExtractorConfig{Recognizer: ts, OCRDPI: 150})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	for _, c := range []struct {
		name   string
		encode func(b *bytes.Buffer) error
	}{
		{"page.png", func(b *bytes.Buffer) error { return png.Encode(b, img) }},
		{"page.tiff", func(b *bytes.Buffer) error { return tiff.Encode(b, img, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := ex.Extract(t.Context(), File{Path: write(t, c.name, encoded(t, c.encode))})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(doc.Text, "Handbook") || doc.Language != "en" || doc.RecognizedBy != ts.Name() || len(doc.RecognizedPages) != 1 {
				t.Errorf("%s, %v, %q: %.200q", doc.Language, doc.RecognizedPages, doc.RecognizedBy, doc.Text)
			}
		})
	}
	t.Run("scanned.pdf", func(t *testing.T) {
		path := write(t, "scanned.pdf", scanned(t, img))
		calls := 0
		doc, err := ex.Extract(t.Context(), File{Path: path, OnOCR: func(done, total int) { calls++ }})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(doc.Text, "typed") || !strings.Contains(doc.Text, "Handbook") || calls != 2 ||
			!slices.Equal(doc.RecognizedPages, []int{2}) || !slices.Equal(doc.PagesWithoutText, []int{3}) || len(doc.NeedsOCR) > 0 {
			t.Errorf("recognised %v, without text %v, %d calls, warnings %q: %.200q", doc.RecognizedPages, doc.PagesWithoutText, calls, doc.Warnings, doc.Text)
		}
		if page := doc.Pages[1]; !strings.Contains(doc.Text[page.Start:page.End], "Handbook") || strings.Contains(doc.Text[page.Start:page.End], "typed") {
			t.Errorf("the second page is %.100q", doc.Text[page.Start:page.End])
		}
		doc, err = ex.Extract(t.Context(), File{Path: path, OCR: OCRAll})
		if err != nil || !slices.Equal(doc.RecognizedPages, []int{1, 2}) || !strings.Contains(doc.Text, "typed") {
			t.Errorf("all pages: recognised %v, %v", doc.RecognizedPages, err)
		}
		doc, err = ex.Extract(t.Context(), File{Path: path, OCR: OCROff})
		if err != nil || len(doc.RecognizedPages) > 0 || !slices.Equal(doc.PagesWithoutText, []int{2, 3}) || !slices.Equal(doc.NeedsOCR, []int{2}) || !strings.Contains(strings.Join(doc.Warnings, " "), "2 of 3 pages have no text") {
			t.Errorf("none: recognised %v, warnings %q, %v", doc.RecognizedPages, doc.Warnings, err)
		}
	})
}

// seen is a Recognizer that tells what it was shown.
type seen struct{}

func (seen) Name() string { return "seen" }
func (seen) Recognize(_ context.Context, data []byte) (string, error) {
	cfg, err := png.DecodeConfig(bytes.NewReader(data))
	return fmt.Sprintf("%d by %d", cfg.Width, cfg.Height), err
}

func TestPictures(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{Recognizer: seen{}})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	img := image.NewGray(image.Rect(0, 0, 300, 200))
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	// A TIFF file of two pages: the same pixels under a directory that is there twice.
	twice := func(b *bytes.Buffer) error {
		if err := tiff.Encode(b, img, nil); err != nil {
			return err
		}
		data := b.Bytes()
		first := int(binary.LittleEndian.Uint32(data[4:]))
		end := first + 2 + 12*int(binary.LittleEndian.Uint16(data[first:]))
		directory := slices.Clone(data[first : end+4])
		binary.LittleEndian.PutUint32(data[end:], uint32(len(data)))
		b.Write(directory)
		return nil
	}
	for _, c := range []struct {
		name   string
		encode func(b *bytes.Buffer) error
		pages  int
	}{
		{"a.png", func(b *bytes.Buffer) error { return png.Encode(b, img) }, 1},
		{"a.jpg", func(b *bytes.Buffer) error { return jpeg.Encode(b, img, nil) }, 1},
		{"a.gif", func(b *bytes.Buffer) error { return gif.Encode(b, img, nil) }, 1},
		{"a.bmp", func(b *bytes.Buffer) error { return bmp.Encode(b, img) }, 1},
		{"a.tiff", twice, 2},
	} {
		doc, err := ex.Extract(t.Context(), File{Path: write(t, c.name, encoded(t, c.encode))})
		// Twice as large: it is narrow.
		if err != nil || len(doc.Pages) != c.pages || !strings.HasPrefix(doc.Text, "600 by 400") || len(doc.RecognizedPages) != c.pages {
			t.Errorf("%s: %v, %+v", c.name, err, doc)
		}
	}
}

func TestPictureWithoutRecognizer(t *testing.T) {
	ex, err := NewExtractor(ExtractorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	path := write(t, "p.png", encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, image.NewGray(image.Rect(0, 0, 9, 9))) }))
	if _, err := ex.Extract(t.Context(), File{Path: path}); !errors.Is(err, ErrNoText) || !strings.Contains(err.Error(), "install Tesseract") {
		t.Errorf("got %v", err)
	}
}

// TestTesseractMisbehaves runs programs that fail in the ways a program can.
func TestTesseractMisbehaves(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs are shell scripts")
	}
	head := "#!/bin/sh\ncase \"$1\" in\n--list-langs) echo 'List of available languages (1):'; echo eng; exit;;\n--version) echo 'fake 1.0'; exit;;\nesac\n"
	for _, c := range []struct{ name, script, want string }{
		{"crashes", "echo 'Segmentation fault' >&2; exit 139", "Segmentation fault"},
		{"hangs", "sleep 60", "took more than"},
		{"garbage", "echo hello", "not the table"},
		{"floods", "yes | head -c 40000000", "printed more than"},
		{"reads nothing", "exec <&-; exit 3", "exit status 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, "fake", []byte(head+c.script+"\n"))
			if err := os.Chmod(path, 0o700); err != nil {
				t.Fatal(err)
			}
			ts, err := NewTesseract(t.Context(), TesseractConfig{Command: path, Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if c.name != "hangs" {
				ts.cfg.Timeout = 20 * time.Second
			}
			start := time.Now()
			_, err = ts.Recognize(t.Context(), bytes.Repeat([]byte("x"), 1<<20))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if _, err := NewTesseract(t.Context(), TesseractConfig{Command: "no-such-tesseract"}); !errors.Is(err, ErrNoTesseract) {
		t.Errorf("not installed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := write(t, "fake", []byte(head+"sleep 60\n"))
	os.Chmod(path, 0o700)
	ts, err := NewTesseract(t.Context(), TesseractConfig{Command: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ts.Recognize(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestReadTSV(t *testing.T) {
	row := func(block, par, line int, confidence, word string) string {
		return fmt.Sprintf("5\t1\t%d\t%d\t%d\t1\t0\t0\t0\t0\t%s\t%s\n", block, par, line, confidence, word)
	}
	head := "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
	for _, c := range []struct{ name, rows, want string }{
		{"lines", row(1, 1, 1, "96", "One") + row(1, 1, 2, "95", "para-") + row(1, 1, 3, "95", "graph.") + row(2, 1, 1, "90", "Two."), "One paragraph.\n\nTwo."},
		{"Chinese", row(1, 1, 1, "96", "员工") + row(1, 1, 1, "96", "休假") + row(1, 1, 2, "96", "规定"), "员工休假规定"},
		{"specks", row(1, 1, 1, "96", "text") + row(1, 1, 1, "12", "|") + row(1, 1, 1, "91", "goes") + row(1, 1, 1, "5", "xq"), "text goes"},
		{"a photograph", row(1, 1, 1, "20", "wq") + row(1, 1, 1, "12", "zz") + row(1, 1, 1, "33", "kk"), ""},
		{"nothing", "", ""},
	} {
		if got, err := readTSV([]byte(head + c.rows)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestReplacePages(t *testing.T) {
	text := "one\n\ntwo goes\non\n\nfour"
	doc := &Document{Document: chunker.Document{Text: text,
		Blocks: []chunker.Block{{Kind: chunker.Heading, Start: 0, End: 3, Level: 1}, {Kind: chunker.Paragraph, Start: 5, End: 16}, {Kind: chunker.Paragraph, Start: 18, End: 22}},
		Pages:  []chunker.Page{{Number: 1, Start: 0, End: 3}, {Number: 2, Start: 3, End: 3}, {Number: 3, Start: 5, End: 16}, {Number: 4, Start: 16, End: 16}, {Number: 5, Start: 16, End: 16}, {Number: 6, Start: 18, End: 22}},
		Links:  []chunker.Link{{Start: 5, End: 8, Target: "https://example.com"}, {Start: 18, End: 22, Target: "https://example.com/4"}},
	}}
	replacePages(doc, map[int]string{2: "new\n\nnewer", 4: "", 6: "FOUR"})
	if want := "one\n\nnew\n\nnewer\n\ntwo goes\non\n\nFOUR"; doc.Text != want {
		t.Errorf("text %q, want %q", doc.Text, want)
	}
	var pages, blocks []string
	for _, p := range doc.Pages {
		pages = append(pages, doc.Text[p.Start:p.End])
	}
	for _, b := range doc.Blocks {
		blocks = append(blocks, doc.Text[b.Start:b.End])
	}
	if want := []string{"one", "new\n\nnewer", "two goes\non", "", "", "FOUR"}; !slices.Equal(pages, want) {
		t.Errorf("pages %q, want %q", pages, want)
	}
	if want := []string{"one", "new", "newer", "two goes\non", "FOUR"}; !slices.Equal(blocks, want) || doc.Blocks[0].Kind != chunker.Heading {
		t.Errorf("blocks %q, want %q", blocks, want)
	}
	if l := doc.Links; len(l) != 1 || doc.Text[l[0].Start:l[0].End] != "two" {
		t.Errorf("links %v", l)
	}
	if !slices.Equal(doc.RecognizedPages, []int{2, 6}) || !slices.Equal(doc.PagesWithoutText, []int{4, 5}) {
		t.Errorf("recognised %v, without text %v", doc.RecognizedPages, doc.PagesWithoutText)
	}
}

// visionServer answers as a model would, and keeps what it was sent.
type visionServer struct {
	llms.Model
	got   []llms.ContentPart
	reply string
}

func (v *visionServer) GenerateContent(_ context.Context, messages []llms.MessageContent, _ ...llms.CallOption) (*llms.ContentResponse, error) {
	v.got = messages[0].Parts
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{Content: v.reply}}}, nil
}

func TestVisionModel(t *testing.T) {
	for reply, want := range map[string]string{"Hello\n\nworld": "Hello\n\nworld", "NO TEXT.": "", "```markdown\nHello\n```": "Hello"} {
		server := &visionServer{reply: reply}
		got, err := (&VisionModel{Model: server}).Recognize(t.Context(), []byte("picture"))
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v", reply, got, err)
		}
		picture, ok := server.got[1].(llms.ImageURLContent)
		if !ok || picture.URL != "data:image/png;base64,"+base64.StdEncoding.EncodeToString([]byte("picture")) {
			t.Errorf("sent %+v", server.got)
		}
	}
}

// FuzzReadTSV checks that no output of the program brings the reader down.
func FuzzReadTSV(f *testing.F) {
	f.Add([]byte("level\tpage_num\t\n5\t1\t1\t1\t1\t1\t0\t0\t0\t0\t96\tword\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if text, err := readTSV(out); err == nil && len(text) > len(out) {
			t.Errorf("%d bytes of %d", len(text), len(out))
		}
	})
}

// FuzzPicture checks that no file brings the readers of pictures down.
func FuzzPicture(f *testing.F) {
	img := image.NewGray(image.Rect(0, 0, 20, 20))
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	for _, encode := range []func(b *bytes.Buffer) error{
		func(b *bytes.Buffer) error { return png.Encode(b, img) },
		func(b *bytes.Buffer) error { return bmp.Encode(b, img) },
		func(b *bytes.Buffer) error { return tiff.Encode(b, img, nil) },
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	p := newParser(parserConfig{})
	f.Fuzz(func(t *testing.T, data []byte) {
		form, ok := detectPicture(data)
		if !ok {
			return
		}
		in := &input{ctx: t.Context(), file: bytes.NewReader(data), size: int64(len(data)), name: "x", recognize: true, nested: newNesting(parserConfig{})}
		doc, err := parsePicture(p, in, form)
		if err != nil || len(doc.Pages) > 3 {
			return
		}
		for _, page := range doc.Pages {
			_, _ = frameOf(in, form, page.Number)
		}
	})
}

// silent is a Recognizer that finds nothing.
type silent struct{}

func (silent) Name() string                                      { return "silent" }
func (silent) Recognize(context.Context, []byte) (string, error) { return "", nil }
