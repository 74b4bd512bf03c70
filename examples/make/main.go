// Command make builds the sample corpus in examples/corpus from the Markdown sources in src: the
// English handbook as PDF, the English manual as DOCX, the Chinese handbook as an intranet page in
// HTML, and the Chinese manual as it is.
//
//	go run ./examples/make                      # everything
//	go run ./examples/make -chromium /path/to   # where the browser that prints the PDF is
//
// Run it in the repository root. The results are committed, so only who edits a source needs it.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"html/template"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

var (
	//go:embed print.html.tmpl
	printPage string
	//go:embed intranet.html.tmpl
	intranetPage string
)

var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

func main() {
	log.SetFlags(0)
	chromium := flag.String("chromium", "chromium", "the Chromium or Chrome that prints the PDF")
	dir := flag.String("dir", "examples", "the examples folder")
	flag.Parse()
	if err := run(*dir, *chromium); err != nil {
		log.Fatal("make examples: ", err)
	}
}

func run(dir, chromium string) error {
	src := func(name string) string { return filepath.Join(dir, "make", "src", name) }
	dst := func(name string) string { return filepath.Join(dir, "corpus", name) }
	if err := os.MkdirAll(filepath.Join(dir, "corpus"), 0o755); err != nil {
		return err
	}

	page, err := render(printPage, "Employee Handbook", src("employee-handbook.en.md"))
	if err != nil {
		return err
	}
	if err := printPDF(chromium, page, dst("employee-handbook.pdf")); err != nil {
		return err
	}

	manual, err := os.ReadFile(src("product-manual.en.md"))
	if err != nil {
		return err
	}
	doc, err := docx(markdown.Parser().Parse(text.NewReader(manual)), manual)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dst("zx-2031-manual.docx"), doc, 0o644); err != nil {
		return err
	}

	page, err = render(intranetPage, "员工手册", src("employee-handbook.zh.md"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(dst("员工手册.html"), page, 0o644); err != nil {
		return err
	}

	manual, err = os.ReadFile(src("product-manual.zh.md"))
	if err != nil {
		return err
	}
	return os.WriteFile(dst("LH-4100离心机说明书.md"), manual, 0o644)
}

// render puts the Markdown file src, as HTML, into the page template.
func render(page, title, src string) ([]byte, error) {
	source, err := os.ReadFile(src)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if err := markdown.Convert(source, &body); err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	t, err := template.New("page").Parse(page)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Title string
		Body  template.HTML
	}{title, template.HTML(body.String())})
	return out.Bytes(), err
}

// printPDF prints a page to a PDF file in headless Chromium, which takes the running header, the
// footer and the page numbers from the page's own style sheet.
func printPDF(chromium string, page []byte, dst string) error {
	tmp, err := os.MkdirTemp("", "docent-examples-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	src := filepath.Join(tmp, "page.html")
	if err := os.WriteFile(src, page, 0o600); err != nil {
		return err
	}
	abs, err := filepath.Abs(dst)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+filepath.Join(tmp, "profile"),
		"--no-pdf-header-footer", "--generate-pdf-document-outline",
		"--print-to-pdf="+abs, "file://"+filepath.ToSlash(src))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("print %s with %s: %w\n%s", dst, chromium, err, out)
	}
	return nil
}
