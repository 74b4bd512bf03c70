package llm

import (
	"context"
	"errors"
	"html"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/prose"
)

// Extractive answers without a language model: it picks the sentences of the passages that best
// answer the question and quotes them, each with the number of its passage. It is safe for
// concurrent use.
type Extractive struct{ enc Encoder }

var _ llms.Model = (*Extractive)(nil)

// NewExtractive returns an answerer; without an encoder (nil) it goes by keywords alone.
func NewExtractive(enc Encoder) *Extractive { return &Extractive{enc: enc} }

// A Sentence is a place in one of the passages.
type Sentence struct {
	Passage    int     // index into the passages
	Start, End int     // byte range in that passage
	Score      float64 // 0 to 1: how likely it is to hold the answer
}

// A Passage is text to pick from. Context is what its reader already knows, such as the title of the
// document and the headings above, outermost first and each on a line: it counts as evidence and is never
// quoted. Similarity is the cosine of the passage with the question as the search found it; 0 means that
// it is not known.
type Passage struct {
	Text, Context string
	Similarity    float64
}

// Select returns the one to three sentences that best answer question, best first, or none when the
// passages, given best first, hold no answer.
func (x *Extractive) Select(ctx context.Context, question string, passages []string) ([]Sentence, error) {
	ps := make([]Passage, len(passages))
	for i, p := range passages {
		ps[i].Text = p
	}
	return x.SelectFrom(ctx, question, ps)
}

// SelectFrom is Select for passages that come with their context.
func (x *Extractive) SelectFrom(ctx context.Context, question string, passages []Passage) ([]Sentence, error) {
	ranked, err := x.Rank(ctx, question, passages)
	if err != nil || len(ranked) == 0 {
		return nil, err
	}
	best := ranked[0]
	if best.weights.trust.of(best.Features) < best.weights.least {
		return nil, nil
	}
	var out []Sentence
	said := map[string]bool{}
	for _, c := range ranked {
		within := func(s Sentence) bool { return s.Passage == c.Passage && s.Start < c.End && c.Start < s.End }
		if said[oneLine(c.text)] || slices.ContainsFunc(out, within) { // chunks overlap, lists hold their items
			continue
		}
		// A second and third sentence are worth the reader's time only when they are nearly as likely, or
		// stand right beside the first and are likely themselves.
		beside := c.Passage == best.Passage && strings.TrimSpace(between(passages[c.Passage].Text, c.Sentence, best.Sentence)) == ""
		if len(out) == 0 || c.Score >= 0.6*best.Score || beside && c.Score >= 0.4*best.Score {
			out = append(out, c.Sentence)
			said[oneLine(c.text)] = true
		}
		if len(out) == maxSentences {
			break
		}
	}
	return out, nil
}

// between is the text from the end of one sentence to the start of the other.
func between(text string, a, b Sentence) string {
	return text[min(a.End, b.End):max(min(a.End, b.End), max(a.Start, b.Start))]
}

const maxSentences = 3

// votes reports whether the encoder knows the language of text. Its opinion on another would be noise.
func (x *Extractive) votes(text string) bool {
	if x.enc == nil {
		return false
	}
	l, ok := x.enc.(interface{ Languages() []string })
	if !ok {
		return true
	}
	langs := l.Languages()
	return len(langs) == 0 || slices.Contains(langs, prose.Language(text))
}

func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range min(len(a), len(b)) {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return dot / math.Sqrt(aa*bb)
}

// clip cuts text to at most n bytes, on a rune border.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// Call implements llms.Model.
func (x *Extractive) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, x, prompt, options...)
}

var (
	passageFence  = regexp.MustCompile(`(?s)<passage n="([0-9]+)"[^>]*>\n?(.*?)\n?</passage>`)
	questionLabel = regexp.MustCompile(`^(?:Question|问题)\s*[:：]\s*`)
)

// errNoPassages says that a prompt gives the answerer nothing to quote.
var errNoPassages = errors.New(`the extractive answerer quotes passages and cannot write: the prompt holds no <passage n="1">…</passage>; configure a language model`)

// GenerateContent implements llms.Model for prompts as the chain package writes them: the last human
// message holds passages in <passage n="1">…</passage> fences and, after them, the question. The reply
// quotes sentences, each followed by its passage's number ("[1]"), and is empty when the passages hold
// no answer. Options other than the streaming functions are ignored.
func (x *Extractive) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	var opts llms.CallOptions
	for _, o := range options {
		o(&opts)
	}
	var prompt strings.Builder
	for _, m := range slices.Backward(messages) {
		if m.Role == llms.ChatMessageTypeHuman || m.Role == llms.ChatMessageTypeGeneric {
			for _, p := range m.Parts {
				if t, ok := p.(llms.TextContent); ok {
					prompt.WriteString(t.Text)
				}
			}
			break
		}
	}
	text := prompt.String()
	found := passageFence.FindAllStringSubmatchIndex(text, -1)
	if len(found) == 0 {
		return nil, errNoPassages
	}
	var numbers, passages []string
	for _, m := range found {
		numbers = append(numbers, text[m[2]:m[3]])
		passages = append(passages, html.UnescapeString(text[m[4]:m[5]]))
	}
	question := questionLabel.ReplaceAllString(strings.TrimSpace(text[found[len(found)-1][1]:]), "")
	picked, err := x.Select(ctx, question, passages)
	if err != nil {
		return nil, err
	}
	var reply strings.Builder
	for i, s := range picked {
		piece := strings.Join(strings.Fields(passages[s.Passage][s.Start:s.End]), " ") + " [" + numbers[s.Passage] + "]"
		if i > 0 {
			piece = " " + piece
		}
		reply.WriteString(piece)
		if opts.StreamingFunc != nil {
			if err := opts.StreamingFunc(ctx, []byte(piece)); err != nil {
				return nil, err
			}
		}
	}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{
		Content: reply.String(), StopReason: "stop", GenerationInfo: map[string]any{},
	}}}, nil
}
