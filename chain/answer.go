// Package chain turns a question and the passages found for it into an answer that cites them.
package chain

import (
	"cmp"
	"path"
	"strings"

	"docent/retriever"
)

// A Passage is a chunk as the answer's prompt numbers it.
type Passage struct {
	N          int      `json:"n"` // from 1, as cited: [1]
	ChunkID    int64    `json:"chunk_id"`
	DocumentID string   `json:"document_id"`
	Document   string   `json:"document"` // its title, or its file name
	Path       string   `json:"path"`
	Page       int      `json:"page,omitempty"` // from 1; 0 when the source has no pages
	LastPage   int      `json:"last_page,omitempty"`
	Headings   []string `json:"headings,omitempty"`
	Labels     []string `json:"labels,omitempty"` // its tables, with their rows, and figures: "rows 12-20"
	Start      int      `json:"start"`            // byte range in the document's extracted text
	End        int      `json:"end"`
	Text       string   `json:"text"`
	Score      float64  `json:"score"`

	// Why it was found, as retriever.Hit has it; 0 where that search did not take part, or did not find it.
	DenseScore   float64 `json:"dense_score,omitempty"`
	KeywordScore float64 `json:"keyword_score,omitempty"`
	DenseRank    int     `json:"dense_rank,omitempty"`
	KeywordRank  int     `json:"keyword_rank,omitempty"`
}

// NewPassage is what a search found, with a number.
func NewPassage(n int, h retriever.Hit) Passage {
	return Passage{
		N: n, ChunkID: h.ChunkID, DocumentID: h.Document.ID, Path: h.Document.Path,
		Document: cmp.Or(h.Document.Title, path.Base(strings.ReplaceAll(h.Document.Path, `\`, "/"))),
		Page:     h.Chunk.FirstPage, LastPage: h.Chunk.LastPage, Headings: h.Chunk.Headings,
		Labels: h.Chunk.Labels, Start: h.Chunk.Start, End: h.Chunk.End, Text: h.Chunk.Text, Score: h.Score,
		DenseScore: h.DenseScore, KeywordScore: h.KeywordScore, DenseRank: h.DenseRank, KeywordRank: h.KeywordRank,
	}
}

// A Citation is a [N] in an answer, resolved to the place it rests on.
type Citation struct {
	N          int      `json:"n"`
	ChunkID    int64    `json:"chunk_id"`
	DocumentID string   `json:"document_id"`
	Document   string   `json:"document"`
	Path       string   `json:"path"`
	Page       int      `json:"page,omitempty"`
	Headings   []string `json:"headings,omitempty"`
	Labels     []string `json:"labels,omitempty"` // as of the passage, with the rows of Quote alone: "row 14"
	Start      int      `json:"start"`            // byte range of Quote in the document's extracted text
	End        int      `json:"end"`
	Quote      string   `json:"quote"` // the sentences of the passage nearest to what it supports
}

// An Answer is what a chain or an agent returns.
type Answer struct {
	Text      string     `json:"answer"`
	Citations []Citation `json:"citations"`         // one for each number cited, ascending; never nil
	Passages  []Passage  `json:"passages"`          // all that were in the prompt; never nil
	Dropped   int        `json:"dropped,omitempty"` // passages found that did not fit in the model's context
	Reasoning string     `json:"reasoning,omitempty"`
	Choices   []Choice   `json:"choices,omitempty"`   // of a question that has some, the likeliest first
	Declined  bool       `json:"declined,omitempty"`  // the documents do not hold an answer
	Truncated bool       `json:"truncated,omitempty"` // the model was to write more than it was allowed
	Notice    string     `json:"notice,omitempty"`    // one line for the reader: no language model is installed
	Query     string     `json:"query,omitempty"`     // what was searched, when it differs from the question
	Model     string     `json:"model"`
	Usage     Usage      `json:"usage"`
}
