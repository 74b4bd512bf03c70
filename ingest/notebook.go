package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
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
	Type     string                          `json:"cell_type"`
	Source   multiline                       `json:"source"`
	Input    multiline                       `json:"input"` // of format 3
	Level    int                             `json:"level"` // of format 3
	Outputs  []notebookOutput                `json:"outputs"`
	Attached map[string]map[string]multiline `json:"attachments"` // by name, then by media type
}

type notebookOutput struct {
	Type  string               `json:"output_type"`
	Text  multiline            `json:"text"`
	Data  map[string]multiline `json:"data"`
	PNG   multiline            `json:"png"`  // of format 3
	JPEG  multiline            `json:"jpeg"` // of format 3
	Name  string               `json:"ename"`
	Value string               `json:"evalue"`
}

// picture is the picture of an output, in base64, or empty.
func (o *notebookOutput) picture() multiline { return cmp.Or(notebookImage(o.Data), o.PNG, o.JPEG) }

// notebookImage is the picture among the forms that a notebook gives of something, in base64, or empty.
func notebookImage(forms map[string]multiline) multiline {
	for _, kind := range []string{"image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"} {
		if data := forms[kind]; data != "" {
			return data
		}
	}
	return ""
}

// A notebook is what a file holds, its cells in whatever version of the format.
type notebook struct {
	Cells      []notebookCell                   `json:"cells"`
	Worksheets []struct{ Cells []notebookCell } `json:"worksheets"`
	Metadata   struct {
		Title    string                `json:"title"`
		Language struct{ Name string } `json:"language_info"`
	} `json:"metadata"`
}

func openNotebook(in *input) (*notebook, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	nb := new(notebook)
	if err := json.Unmarshal(raw, nb); err != nil {
		return nil, parseError(ErrDamaged, "it is no notebook that can be read: %v", err)
	}
	for _, w := range nb.Worksheets {
		nb.Cells = append(nb.Cells, w.Cells...)
	}
	return nb, nil
}

// parseNotebook reads a Jupyter notebook: Markdown cells as Markdown, code cells as code, and the
// outputs that are text or tables; and where pictures are.
func parseNotebook(p *parser, in *input, f form) (*Document, error) {
	nb, err := openNotebook(in)
	if err != nil {
		return nil, err
	}
	b := newDocBuilder("ipynb", in.cfg.MaxText)
	b.meta("programming_language", nb.Metadata.Language.Name)
	for i := range nb.Cells {
		if err := in.ctx.Err(); err != nil {
			return nil, err
		}
		nb.Cells[i].add(b, i)
	}
	return b.finish(in.name, nb.Metadata.Title)
}

// add writes a cell, the number of which from 0 is n.
func (c *notebookCell) add(b *docBuilder, n int) {
	source := string(c.Source + c.Input)
	switch c.Type {
	case "markdown":
		addMarkdown(b, source, func(name string) string {
			if notebookImage(c.Attached[name]) == "" {
				return ""
			}
			return fmt.Sprintf("attached:%d:%s", n, name)
		})
	case "heading":
		b.add(chunker.Heading, min(max(c.Level, 1), 6), source)
	case "code":
		b.add(chunker.Code, 0, source)
		for i := range c.Outputs {
			c.Outputs[i].add(b)
			if c.Outputs[i].picture() != "" {
				b.picture(fmt.Sprintf("output:%d:%d", n, i))
			}
		}
	default:
		addPlainText(b, source, false)
	}
}

// add writes the text of an output.
func (o *notebookOutput) add(b *docBuilder) {
	switch page := string(o.Data["text/html"]); {
	case strings.Contains(page, "<table") && len(page) < 4<<20:
		if root, err := html.Parse(strings.NewReader(page)); err == nil {
			w := &htmlWalker{b: b, everything: true}
			w.block(root, htmlState{})
			w.flush()
		}
	case o.Data["text/markdown"] != "":
		addMarkdown(b, notebookCut(string(o.Data["text/markdown"])), nil)
	case o.Type == "error" || o.Type == "pyerr":
		b.add(chunker.Paragraph, 0, o.Name+": "+notebookCut(o.Value))
	default:
		b.add(chunker.Code, 0, notebookCut(ansiEscapes.ReplaceAllString(string(o.Text+o.Data["text/plain"]), "")))
	}
}

// notebookPicture returns the picture file that a ref names.
func notebookPicture(in *input, ref string) ([]byte, error) {
	nb, err := openNotebook(in)
	if err != nil {
		return nil, err
	}
	kind, rest, _ := strings.Cut(ref, ":")
	number, rest, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(number)
	if kind == "data" {
		return nb.data(ref)
	}
	if err != nil || n < 0 || n >= len(nb.Cells) {
		return nil, errNoPicture
	}
	var data multiline
	switch cell := &nb.Cells[n]; kind {
	case "attached":
		data = notebookImage(cell.Attached[rest])
	case "output":
		if i, err := strconv.Atoi(rest); err == nil && i >= 0 && i < len(cell.Outputs) {
			data = cell.Outputs[i].picture()
		}
	}
	if data == "" {
		return nil, errNoPicture
	}
	return decodeDataURI("data:;base64," + string(data))
}

// data finds a data URI in the text of the cells.
func (nb *notebook) data(ref string) ([]byte, error) {
	for _, c := range nb.Cells {
		texts := []multiline{c.Source + c.Input}
		for _, o := range c.Outputs {
			texts = append(texts, o.Data["text/html"], o.Data["text/markdown"])
		}
		for _, text := range texts {
			for _, find := range []func(text, ref string) ([]byte, error){pageData, markdownData} {
				if data, err := find(string(text), ref); !errors.Is(err, errNoPicture) {
					return data, err
				}
			}
		}
	}
	return nil, errNoPicture
}

func notebookCut(s string) string {
	if len(s) <= notebookMaxOutput {
		return s
	}
	return strings.ToValidUTF8(s[:notebookMaxOutput], "") + "\n…"
}

// addMarkdown writes the blocks of a piece of Markdown; attached is that of markdownWalker.
func addMarkdown(b *docBuilder, src string, attached func(name string) string) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	if tooNested(src) {
		addPlainText(b, src, false)
		return
	}
	w := &markdownWalker{b: b, src: []byte(src), attached: attached}
	for n := markdownParser.Parse(text.NewReader(w.src)).FirstChild(); n != nil; n = n.NextSibling() {
		w.block(n, 0, false, "")
	}
	w.flushHTML()
}
