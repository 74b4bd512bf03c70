package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/tools"

	"docent/chain"
)

// KnowledgeSearch is the tool that searches the documents. Its input is a question or keywords, its
// output the passages that fit best, numbered so that the answer can cite them as [n].
type KnowledgeSearch struct {
	search   chain.SearchFunc
	k        int
	passages *Passages
}

var _ Binder = (*KnowledgeSearch)(nil)

// NewKnowledgeSearch returns the tool over search, showing k passages a call; 0 means 5.
func NewKnowledgeSearch(search chain.SearchFunc, k int) *KnowledgeSearch {
	if k <= 0 {
		k = 5
	}
	return &KnowledgeSearch{search: search, k: k, passages: &Passages{}}
}

// Name is "knowledge_search".
func (*KnowledgeSearch) Name() string { return "knowledge_search" }

// Description says what the tool is for, to the model.
func (*KnowledgeSearch) Description() string {
	return "searches the user's documents and returns numbered passages. Input: a short question or keywords, in the language the documents are likely to be in. Cite passages by their number, like [1]."
}

// Parameters is the JSON schema of the input for models with tool calling.
func (*KnowledgeSearch) Parameters() any {
	return stringParameter("query", "a short question or keywords")
}

// Bind returns the tool numbering its passages in passages.
func (t *KnowledgeSearch) Bind(passages *Passages) tools.Tool {
	bound := *t
	bound.passages = passages
	return &bound
}

// maxQuery bounds a query, in bytes.
const maxQuery = 2000

// Call searches. Finding nothing is an observation; a search that fails is an error.
func (t *KnowledgeSearch) Call(ctx context.Context, input string) (string, error) {
	query := strings.Join(strings.Fields(cut(input, maxQuery)), " ")
	if query == "" {
		return "", errors.New("the query is empty: give a question or keywords")
	}
	hits, err := t.search(ctx, query, t.k)
	if err != nil {
		return "", err
	}
	if len(hits) == 0 {
		return fmt.Sprintf("No passages found for %q. Try other words, or a broader question.", query), nil
	}
	var b strings.Builder
	fresh := 0
	for _, hit := range hits {
		p, known := t.passages.Add(hit)
		if known {
			fmt.Fprintf(&b, "[%d] %s (found before): %s\n\n", p.N, place(p), shorten(p.Text, 160))
			continue
		}
		fresh++
		fmt.Fprintf(&b, "[%d] %s\n%s\n\n", p.N, place(p), strings.TrimSpace(p.Text))
	}
	if fresh == 0 {
		b.WriteString("Nothing new: these passages were all found before. Answer from them, or search for something else.")
	}
	return strings.TrimSpace(b.String()), nil
}

// place is where a passage stands, for the model's eyes.
func place(p chain.Passage) string {
	s := p.Document
	if p.Page > 0 {
		s += fmt.Sprintf(", page %d", p.Page)
	}
	if len(p.Headings) > 0 {
		s += ", " + strings.Join(p.Headings, " > ")
	}
	for _, l := range p.Labels {
		s += ", " + l
	}
	return s
}

// cut shortens s to at most n bytes on a rune border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// shorten is s on one line, cut to about n runes.
func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return strings.TrimSpace(string(r[:n])) + "…"
}

func stringParameter(name, description string) any {
	return map[string]any{
		"type":       "object",
		"properties": map[string]any{name: map[string]any{"type": "string", "description": description}},
		"required":   []string{name},
	}
}
