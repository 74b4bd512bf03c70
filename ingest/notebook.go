package ingest

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/text"
	"golang.org/x/net/html"

	"docent/chunker"
)

var ansiEscapes = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// notebookMaxOutput is how much is kept of one output of a cell, in bytes.
const notebookMaxOutput = 64 << 10

// multiline is a string that notebooks may write as a list of lines.
type multiline string

func (m *multiline) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*m = multiline(one)
		return nil
	}
	var many []string
	if err := json.Unmarshal(raw, &many); err != nil {
		return nil // an output of another kind: a picture's data, an object
	}
	*m = multiline(strings.Join(many, ""))
	return nil
}

type notebookCell struct {
	Type    string    `json:"cell_type"`
	Source  multiline `json:"source"`
	Input   multiline `json:"input"` // of format 3
	Level   int       `json:"level"` // of format 3
	Outputs []struct {
		Type  string               `json:"output_type"`
		Text  multiline            `json:"text"`
		Data  map[string]multiline `json:"data"`
		Name  string               `json:"ename"`
		Value string               `json:"evalue"`
	} `json:"outputs"`
}

// parseNotebook reads a Jupyter notebook: Markdown cells as Markdown, code cells as code, and the
// outputs that are text or tables.
func parseNotebook(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	var nb struct {
		Cells      []notebookCell                   `json:"cells"`
		Worksheets []struct{ Cells []notebookCell } `json:"worksheets"`
		Metadata   struct {
			Title    string                `json:"title"`
			Language struct{ Name string } `json:"language_info"`
			Kernel   struct {
				Language string `json:"language"`
			} `json:"kernelspec"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &nb); err != nil {
		return nil, parseError(ErrDamaged, "it is no notebook that can be read: %v", err)
	}
	b := newDocBuilder("ipynb", in.cfg.MaxText)
	b.meta("programming_language", nb.Metadata.Language.Name)
	cells := nb.Cells
	for _, w := range nb.Worksheets {
		cells = append(cells, w.Cells...)
	}
	for _, c := range cells {
		if err := in.ctx.Err(); err != nil {
			return nil, err
		}
		source := string(c.Source + c.Input)
		switch c.Type {
		case "markdown":
			addMarkdown(b, source)
		case "heading":
			b.add(chunker.Heading, min(max(c.Level, 1), 6), source)
		case "code":
			b.add(chunker.Code, 0, source)
			for _, o := range c.Outputs {
				switch {
				case o.Data["text/html"] != "" && strings.Contains(string(o.Data["text/html"]), "<table") && len(o.Data["text/html"]) < 4<<20:
					if root, err := html.Parse(strings.NewReader(string(o.Data["text/html"]))); err == nil {
						w := &htmlWalker{b: b, everything: true}
						w.block(root, htmlState{})
						w.flush()
					}
				case o.Data["text/markdown"] != "":
					addMarkdown(b, notebookCut(string(o.Data["text/markdown"])))
				case o.Type == "error" || o.Type == "pyerr":
					b.add(chunker.Paragraph, 0, o.Name+": "+notebookCut(o.Value))
				default:
					b.add(chunker.Code, 0, notebookCut(ansiEscapes.ReplaceAllString(string(o.Text+o.Data["text/plain"]), "")))
				}
			}
		default:
			addPlainText(b, source, false)
		}
	}
	return b.finish(in.name, nb.Metadata.Title)
}

func notebookCut(s string) string {
	if len(s) <= notebookMaxOutput {
		return s
	}
	return strings.ToValidUTF8(s[:notebookMaxOutput], "") + "\n…"
}

// addMarkdown writes the blocks of a piece of Markdown.
func addMarkdown(b *docBuilder, src string) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	if tooNested(src) {
		addPlainText(b, src, false)
		return
	}
	w := &markdownWalker{b: b, src: []byte(src)}
	for n := markdownParser.Parse(text.NewReader(w.src)).FirstChild(); n != nil; n = n.NextSibling() {
		w.block(n, 0, false, "")
	}
	w.flushHTML()
}
