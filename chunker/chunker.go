// Package chunker cuts the extracted text of a document into chunks: passages small enough for an
// encoder to embed and a reader to check, each with its exact place in the document.
//
// A [Document] is text with the structure the extractor saw (blocks and pages, as byte ranges of the
// text). A [Splitter] turns it into chunks whose size is measured in the tokens of the encoder that
// will embed them, by way of a [Tokenizer].
package chunker

import "context"

// Kind says what a block of a document is.
type Kind string

const (
	Heading   Kind = "heading"
	Paragraph Kind = "paragraph"
	ListItem  Kind = "list_item"
	Table     Kind = "table" // a GitHub-flavoured Markdown table
	Code      Kind = "code"
	Quote     Kind = "quote"
)

// A Block is one structural unit of a document. Start and End are byte offsets into Document.Text,
// on rune borders.
type Block struct {
	Kind  Kind `json:"kind"`
	Start int  `json:"start"`
	End   int  `json:"end"`
	Level int  `json:"level,omitempty"` // heading: 1 to 6; list item: nesting depth from 1; else 0
	// Name is what the source calls a table: the name of its sheet. Rows are the numbers of its rows there;
	// empty where the source has none.
	Name string      `json:"name,omitempty"`
	Rows []RowNumber `json:"rows,omitempty"`
}

// A RowNumber is the number, in the source, of the row on line Line of a table's text; the rows below it
// number on until the next RowNumber. Line 0 is the header row and line 1 what Markdown puts under it.
type RowNumber struct {
	Line   int `json:"line"`
	Number int `json:"number"`
}

// A Page is the byte range of Document.Text that a page of the source holds. A block may run over
// the border between two pages.
type Page struct {
	Number int    `json:"number"`          // from 1
	Label  string `json:"label,omitempty"` // as printed ("iv"); empty when it is Number
	Start  int    `json:"start"`
	End    int    `json:"end"`
}

// A Link is a part of Document.Text, Start to End, that leads to an address outside the document. Start is
// End for one that stands on no text, such as a picture's; it is then where the link's page begins.
type Link struct {
	Start  int    `json:"start"`
	End    int    `json:"end"`
	Target string `json:"target"` // a URL: "https://…", "mailto:…"
}

// A Document is extracted text and its structure. Text is valid UTF-8. Blocks and Pages ascend and
// do not overlap; together the blocks cover all text that is not white space. Pages is empty for
// formats without pages. Links ascend by Start.
type Document struct {
	Title    string  `json:"title,omitempty"`
	Language string  `json:"language,omitempty"` // ISO 639-1 ("en", "zh"); empty when unknown
	Text     string  `json:"text"`
	Blocks   []Block `json:"blocks,omitempty"`
	Pages    []Page  `json:"pages,omitempty"`
	Links    []Link  `json:"links,omitempty"`
}

// A Chunk is a passage of a document: Text is exactly Document.Text[Start:End].
type Chunk struct {
	Text      string   `json:"text"`
	Start     int      `json:"start"`
	End       int      `json:"end"`
	Tokens    int      `json:"tokens"`               // of Text, without special tokens
	FirstPage int      `json:"first_page,omitempty"` // from 1; 0 when the source has no pages
	LastPage  int      `json:"last_page,omitempty"`
	Headings  []string `json:"headings,omitempty"` // the heading path above the chunk, outermost first
	// Context is what a reader of the chunk alone would miss: the document's title, the heading path,
	// the header row of a table that was split. It is indexed before Text and not part of the range.
	Context string `json:"context,omitempty"`
	// ReadStart and ReadEnd are the part of the document, at least the chunk, that a reader is shown when
	// the chunk is found; both 0 for the chunk itself.
	ReadStart int `json:"read_start,omitempty"`
	ReadEnd   int `json:"read_end,omitempty"`
	// Labels name the tables and figures in the chunk: as their captions do ("Table 2", "图 3"), or else a
	// table by its sheet, unless that is the heading above, or by its place in the document ("table 1"). The
	// rows that the chunk holds follow where the source numbers them or the table was cut ("table 1, rows
	// 12-20", "rows 3, 5"); those of a table of the second kind count from 1 below the header.
	Labels []string `json:"labels,omitempty"`
}

// IndexText is what the encoder embeds and the keyword index reads for the chunk.
func (c Chunk) IndexText() string {
	if c.Context == "" {
		return c.Text
	}
	return c.Context + "\n" + c.Text
}

// A Splitter cuts a document into chunks, ascending by Start. It is safe for concurrent use.
type Splitter interface {
	Split(ctx context.Context, doc Document) ([]Chunk, error)
}

// A Tokenizer tells how an encoder cuts text into tokens. It is safe for concurrent use.
type Tokenizer interface {
	// TokenStarts appends to dst the byte offset at which each token of text begins, ascending,
	// special tokens left out.
	TokenStarts(dst []int, text string) []int
}
