package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/schema"

	"docent/internal/llm"
	"docent/internal/prose"
	"docent/retriever"
)

// SearchFunc finds the k passages that fit query best, best first. The options are those that a question asks for.
type SearchFunc func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error)

// Encoder embeds text; docent's embed.Encoder is one. An encoder that also has a method
// Languages() []string is asked only about text in those languages.
type Encoder interface {
	EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error)
	EmbedQuery(ctx context.Context, text string) ([]float32, error)
}

// Config builds a QA.
type Config struct {
	Model     llms.Model // nil, or an *llm.Extractive: quote the sentences that fit best instead of writing
	ModelName string     // as reported in Answer.Model; "" means "extractive" without a model
	Search    SearchFunc // required
	Encoder   Encoder    // for the extractive answerer when Model is nil; may be nil

	Style     string // when a question names none; "" means "plain"
	PromptDir string // folder of *.yaml prompt files that add to the built-in ones or replace them; "" means none

	TopK          int     // passages searched for; 0 means 8
	ContextTokens int     // the model's context window; 0 means 8192
	AnswerTokens  int     // kept free in it for the reply; 0 means a quarter, at most 1024 (2048 when the style reasons)
	Temperature   float64 // 0 means 0: the likeliest words

	CountTokens func(text string) int // the model's own count; nil means a cautious guess from the characters

	Notice string        // part of every answer's Notice, such as llm.Selected.Notice
	Memory schema.Memory // for langchaingo's chains.Call; nil means none
	Logger *slog.Logger  // nil discards
}

// A Turn is an earlier question of the conversation and its answer.
type Turn struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// A Question is what is asked.
type Question struct {
	Text    string
	History []Turn                   // oldest first
	Style   string                   // "plain", "examples", "reasoning", "examples+reasoning" or a user's own; "" means Config.Style
	Where   retriever.Filter         // which documents are searched; zero means all
	Search  []retriever.SearchOption // how else this question is searched; nil means as Config.Search does

	// Choices are the only answers that are wanted, 2 to 64 of them; see Choose. The answer is one of them, without
	// citations: Passages has what it was chosen from. They need a language model.
	Choices []string
	Scoring Scoring // how they are compared; "" means ByLikelihood

	Adapter string // a LoRA adapter of the model, by its name, or "none"; "" means the model's first

	// Instructions are told to the model after the prompt style's own, as whoever asks words them: a tone, a length.
	Instructions string
	// Options are for the model that writes the answer, over the chain's own.
	Options []llms.CallOption
}

var (
	// ErrNoQuestion is returned for a question without text.
	ErrNoQuestion = errors.New("the question is empty")
	// ErrUnknownStyle is wrapped when a question names a prompt style that is not there.
	ErrUnknownStyle = errors.New("unknown prompt style")
	// ErrUnknownAdapter is wrapped when a question names an adapter that the model does not have.
	ErrUnknownAdapter = errors.New("unknown adapter")
	// ErrNoAnswer is wrapped when the model ends without an answer, such as while still thinking.
	ErrNoAnswer = errors.New("the model gave no answer")
)

const (
	defaultTopK    = 8
	defaultContext = 8192
	stopGrace      = time.Second // for a model to notice that it is no longer wanted
)

// QA answers questions from the passages that a search finds. It is safe for concurrent use.
//
// An answer is made in these steps: a follow-up is rewritten so that it stands alone; the rewritten
// question is searched; the passages, as many as fit, are numbered and put into the prompt; the model
// writes; its reasoning is told from its answer, and its citations are checked against the passages.
type QA struct {
	cfg        Config
	prompts    promptSet
	extractive *llm.Extractive // set when there is no model
	log        *slog.Logger
}

// NewQA checks cfg, reads its prompt files and returns the chain.
func NewQA(cfg Config) (*QA, error) {
	if cfg.Search == nil {
		return nil, errors.New("chain: Config.Search is missing")
	}
	q := &QA{cfg: cfg, log: cfg.Logger}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if q.prompts, err = loadPrompts(cfg.PromptDir); err != nil {
		return nil, err
	}
	q.cfg.Style = cmp.Or(cfg.Style, StylePlain)
	if _, ok := q.prompts.find(q.cfg.Style, "en"); !ok {
		return nil, q.unknown(q.cfg.Style)
	}
	if x, ok := cfg.Model.(*llm.Extractive); ok {
		q.extractive = x
	} else if cfg.Model == nil {
		q.extractive = llm.NewExtractive(cfg.Encoder)
	}
	if q.extractive != nil {
		q.cfg.Model = nil
		q.cfg.ModelName = cmp.Or(cfg.ModelName, llm.ExtractiveAnswer)
	}
	q.cfg.TopK = cmp.Or(max(0, cfg.TopK), defaultTopK)
	q.cfg.ContextTokens = cmp.Or(max(0, cfg.ContextTokens), defaultContext)
	if q.cfg.CountTokens == nil {
		q.cfg.CountTokens = guessTokens
	}
	return q, nil
}

func (q *QA) unknown(name string) error {
	return fmt.Errorf("%w %q: want one of %s", ErrUnknownStyle, name, strings.Join(q.Styles(), ", "))
}

// Styles lists the prompt styles that a question may name, sorted.
func (q *QA) Styles() []string { return q.prompts.names() }

// Ask is Stream without the events.
func (q *QA) Ask(ctx context.Context, question Question) (*Answer, error) {
	for e, err := range q.Stream(ctx, question) {
		if err != nil {
			return nil, err
		}
		if done, ok := e.(Done); ok {
			return &done.Answer, nil
		}
	}
	return nil, ctx.Err()
}

// Stream answers question, event by event; the last is Done. An error ends the stream. Breaking out
// of the loop, or cancelling ctx, stops the search and the model; a model that does not stop within a
// second is left behind.
func (q *QA) Stream(ctx context.Context, question Question) iter.Seq2[Event, error] {
	return q.stream(ctx, question, nil)
}

var errStopped = errors.New("stopped by the reader")

func (q *QA) stream(ctx context.Context, question Question, options []llms.CallOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := q.run(ctx, question, options, func(e Event) error {
			if !yield(e, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	}
}

func (q *QA) run(ctx context.Context, question Question, options []llms.CallOption, emit func(Event) error) error {
	text := strings.TrimSpace(question.Text)
	if text == "" {
		return ErrNoQuestion
	}
	language := prose.Language(text)
	style, ok := q.prompts.find(cmp.Or(question.Style, q.cfg.Style), language)
	if !ok {
		return q.unknown(question.Style)
	}
	if len(question.Choices) > 0 {
		if err := CheckChoices(question.Choices); err != nil {
			return err
		}
		if err := question.Scoring.Check(); err != nil {
			return err
		}
		if q.extractive != nil {
			return fmt.Errorf("%w: there is no language model to choose", ErrChoices)
		}
	}
	if question.Adapter != "" {
		model, err := withAdapter(q.cfg.Model, question.Adapter)
		if err != nil {
			return err
		}
		adapted := *q
		adapted.cfg.Model, q = model, &adapted
	}
	answer := Answer{Citations: []Citation{}, Passages: []Passage{}, Model: q.cfg.ModelName, Notice: q.cfg.Notice}
	query := text
	if len(question.History) > 0 {
		if err := emit(Status{Stage: "rewriting"}); err != nil {
			return err
		}
		var err error
		if query, err = q.condense(ctx, text, question.History, &answer.Usage); err != nil {
			return err
		}
		if query != text {
			answer.Query = query
		}
	}
	if err := emit(Status{Stage: "searching", Query: query}); err != nil {
		return err
	}
	var notes []string
	metered, used := WithMeter(ctx)
	hits, err := q.cfg.Search(metered, query, q.cfg.TopK, append(slices.Clip(question.Search), retriever.Where(question.Where), retriever.OnNote(func(n retriever.Note) {
		notes = append(notes, noteText(n, language))
	}))...)
	if err != nil {
		return err
	}
	answer.Usage.PromptTokens += used().PromptTokens
	answer.Usage.CompletionTokens += used().CompletionTokens
	passages := sources(hits)

	finish := func() error {
		if answer.Declined {
			answer.Citations = []Citation{}
		}
		if q.extractive != nil {
			answer.Notice = q.notice(text, answer.Declined)
		}
		answer.Notice = joinSentences(append([]string{answer.Notice}, notes...)...)
		return emit(Done{Answer: answer})
	}
	if len(passages) == 0 {
		answer.Declined, answer.Text = true, declineText(language)
		if err := emit(Sources{Passages: []Passage{}}); err != nil {
			return err
		}
		if err := emit(Token{Text: answer.Text}); err != nil {
			return err
		}
		return finish()
	}
	if q.extractive != nil {
		if err := q.quote(ctx, query, language, passages, &answer, emit); err != nil {
			return err
		}
		return finish()
	}
	if err := q.generate(ctx, text, language, style, question, passages, options, &answer, emit); err != nil {
		return err
	}
	return finish()
}

// withAdapter is a model with one of its adapters.
func withAdapter(model llms.Model, name string) (llms.Model, error) {
	if m, ok := model.(llm.Adaptable); ok {
		adapted, err := m.WithAdapter(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnknownAdapter, err)
		}
		return adapted, nil
	}
	return nil, fmt.Errorf("%w %q: only a model file that is computed by docent has adapters", ErrUnknownAdapter, name)
}

// sources numbers the hits.
func sources(hits []retriever.Hit) []source {
	out := make([]source, 0, len(hits))
	for i, h := range hits {
		out = append(out, source{
			Passage: NewPassage(i+1, h),
			lead:    tableHead(h.Chunk.Context),
			context: h.Chunk.Context, similarity: h.DenseScore,
		})
	}
	return out
}

// tableHead is what the context of a chunk adds to the title and the headings, which the prompt names
// anyway: the header rows of a table that was split.
func tableHead(context string) string {
	var keep []string
	for line := range strings.Lines(context) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

func passagesOf(sources []source) []Passage {
	out := make([]Passage, len(sources))
	for i, s := range sources {
		out[i] = s.Passage
	}
	return out
}

// condense makes a question of a conversation stand alone. A model that fails at it costs the rewriting,
// not the answer.
func (q *QA) condense(ctx context.Context, question string, history []Turn, usage *Usage) (string, error) {
	if q.cfg.Model == nil {
		return heuristicQuery(question, history), nil
	}
	resp, err := q.call(ctx, condenseMessages(question, history), nil, llms.WithMaxTokens(condenseTokens), llms.WithTemperature(0))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		q.log.Warn("question not rewritten: searching it with the words of the one before", "error", err)
		return heuristicQuery(question, history), nil
	}
	usage.Add(resp)
	if query, ok := condensed(resp.Content); ok {
		return query, nil
	}
	return heuristicQuery(question, history), nil
}

// quote answers without a model.
func (q *QA) quote(ctx context.Context, query, language string, passages []source, answer *Answer, emit func(Event) error) error {
	answer.Passages = passagesOf(passages)
	if err := emit(Sources{Passages: answer.Passages}); err != nil {
		return err
	}
	if err := emit(Status{Stage: "generating"}); err != nil {
		return err
	}
	from := make([]llm.Passage, len(passages))
	for i, p := range passages {
		from[i] = llm.Passage{Text: p.Text, Similarity: p.similarity, Context: cmp.Or(p.context, strings.Join(append([]string{p.Document}, p.Headings...), "\n"))}
	}
	picked, err := q.extractive.SelectFrom(ctx, query, from)
	if err != nil {
		return err
	}
	if len(picked) == 0 {
		answer.Declined, answer.Text = true, declineText(language)
		return emit(Token{Text: answer.Text})
	}
	// Sentences of one passage in the order in which they stand there; passages by their best sentence.
	order := map[int]int{}
	for i, s := range picked {
		if _, ok := order[s.Passage]; !ok {
			order[s.Passage] = i
		}
	}
	slices.SortStableFunc(picked, func(a, b llm.Sentence) int {
		return cmp.Or(cmp.Compare(order[a.Passage], order[b.Passage]), cmp.Compare(a.Start, b.Start))
	})
	var text strings.Builder
	quotes := map[int]prose.Span{}
	for i, s := range picked {
		p := passages[s.Passage]
		span, seen := quotes[p.N]
		if !seen {
			span = prose.Span{Start: s.Start, End: s.End}
		}
		quotes[p.N] = prose.Span{Start: min(span.Start, s.Start), End: max(span.End, s.End)}
		sentence := plainText(p.Text[s.Start:s.End])
		piece := sentence + " [" + strconv.Itoa(p.N) + "]"
		if strings.HasSuffix(sentence, "。") || strings.HasSuffix(sentence, "！") || strings.HasSuffix(sentence, "；") {
			piece = sentence + "[" + strconv.Itoa(p.N) + "]"
		}
		if i > 0 {
			piece = "\n\n" + piece
		}
		text.WriteString(piece)
		if err := emit(Token{Text: piece}); err != nil {
			return err
		}
	}
	answer.Text = text.String()
	for _, p := range passages {
		if span, ok := quotes[p.N]; ok {
			answer.Citations = append(answer.Citations, p.cite(span))
		}
	}
	return nil
}

// notice says that no language model answers, and why not when one was asked for.
func (q *QA) notice(question string, declined bool) string {
	return joinSentences(q.cfg.Notice, noticeText(question, declined))
}

// joinSentences makes one text of those that are not empty.
func joinSentences(sentences ...string) string {
	var b strings.Builder
	for _, s := range sentences {
		if s == "" {
			continue
		}
		if before := b.String(); before != "" {
			if !strings.ContainsAny(before[len(before)-1:], ".!?") && !strings.HasSuffix(before, "。") {
				b.WriteByte('.')
			}
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}

// plainText is what is quoted without its Markdown marks: a sentence on one line, a list with a line for
// each of its items.
func plainText(quote string) string {
	spans := prose.Sentences(quote)
	var b strings.Builder
	last := prose.Flowing
	for i, s := range spans {
		line := quote[s.Start:s.End]
		shape := prose.ShapeOf(line)
		switch {
		case i == 0:
		case shape != prose.Flowing && last == prose.Flowing:
			b.WriteString("\n\n")
		case shape != prose.Flowing:
			b.WriteString("\n")
		default:
			b.WriteString(" ")
		}
		if strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "•") {
			if len(spans) > 1 {
				b.WriteString("- ")
			}
		}
		b.WriteString(plainLine(line))
		last = shape
	}
	return cmp.Or(b.String(), plainLine(quote))
}

// plainLine is a sentence as one line, without the Markdown marks before it. Brackets that would read
// as citations are opened.
func plainLine(sentence string) string {
	line := oneLine(sentence)
	line = strings.TrimSpace(strings.TrimLeft(line, "#>*-+• "))
	f := &filter{state: inAnswer} // no marker is good: those of the document are not ours
	f.write(line)
	f.close()
	out, _ := f.result()
	return cmp.Or(out, line)
}

// generate answers with the model.
func (q *QA) generate(ctx context.Context, text, language string, style *style, question Question, passages []source, options []llms.CallOption, answer *Answer, emit func(Event) error) error {
	asked := text
	if len(question.Choices) > 0 {
		asked = withChoices(text, language, question.Choices)
	}
	reply := q.cfg.AnswerTokens
	if reply <= 0 {
		most := 1024
		if style.reasoning {
			most = 2048
		}
		reply = min(q.cfg.ContextTokens/4, most)
	}
	window := q.cfg.ContextTokens - reply
	for attempt := 0; ; attempt++ {
		p, err := style.fit(asked, question, passages, window, q.cfg.CountTokens)
		if err != nil {
			return err
		}
		answer.Passages, answer.Dropped = passagesOf(p.passages), p.dropped
		if err := emit(Sources{Passages: answer.Passages}); err != nil {
			return err
		}
		if err := emit(Status{Stage: "generating"}); err != nil {
			return err
		}
		f := &filter{passages: len(p.passages), labels: style.reasoning}
		deliver := func(pieces []piece) error {
			for _, piece := range pieces {
				var e Event = Token{Text: piece.text}
				if piece.reasoning {
					e = Reasoning{Text: piece.text}
				}
				if err := emit(e); err != nil {
					return err
				}
			}
			return nil
		}
		streamed, apart := false, strings.Builder{}
		opts := append([]llms.CallOption{llms.WithMaxTokens(reply), llms.WithTemperature(q.cfg.Temperature)}, slices.Concat(options, question.Options)...)
		if len(question.Choices) > 0 {
			answer.Choices, err = q.choose(ctx, p.messages, question.Choices, question.Scoring, &answer.Usage, opts)
			if err != nil && attempt < 3 && llm.IsContextOverflow(err) {
				window = window * 6 / 10
				continue
			}
			if err != nil {
				return err
			}
			answer.Text = answer.Choices[0].Text
			return emit(Token{Text: answer.Text})
		}
		resp, err := q.call(ctx, p.messages, func(d delta) error {
			if d.thought != "" {
				apart.WriteString(d.thought)
				return emit(Reasoning{Text: d.thought})
			}
			streamed = true
			return deliver(f.write(d.text))
		}, opts...)
		if err != nil {
			// The guess was too low, or the server's window is smaller than said.
			if attempt < 3 && !streamed && llm.IsContextOverflow(err) {
				q.log.Warn("prompt does not fit the model's context: trying with less", "window", window, "error", err)
				window = window * 6 / 10
				continue
			}
			return err
		}
		if !streamed { // a model that does not stream
			if err := deliver(f.write(resp.Content)); err != nil {
				return err
			}
		}
		if err := deliver(f.close()); err != nil {
			return err
		}
		answer.Usage.Add(resp)
		answer.Truncated = resp.StopReason == "length"
		text, reasoning := f.result()
		thoughts := strings.TrimSpace(cmp.Or(apart.String(), resp.ReasoningContent))
		answer.Reasoning = strings.TrimSpace(strings.Join([]string{thoughts, reasoning}, "\n"))
		if text == "" {
			if answer.Reasoning != "" {
				return fmt.Errorf("%w: its reply of at most %d tokens ended while it was thinking: allow more, or use a style without reasoning", ErrNoAnswer, reply)
			}
			return fmt.Errorf("%w: the reply is empty", ErrNoAnswer)
		}
		if declined(text) {
			answer.Declined = true
			text = strings.TrimSpace(withoutMarkers(text))
			if prose.Language(text) != language {
				text = declineText(language)
			}
			answer.Text = text
			return nil
		}
		if len(markers(text)) == 0 {
			text = attach(text, answer.Passages)
		}
		answer.Text = text
		answer.Citations = cite(text, asked, answer.Passages)
		return nil
	}
}

// choose maps the model's answer to one of the choices.
func (q *QA) choose(ctx context.Context, messages []llms.MessageContent, choices []string, by Scoring, usage *Usage, options []llms.CallOption) ([]Choice, error) {
	if _, ok := q.cfg.Model.(Scorer); ok {
		chosen, read, err := Choose(ctx, q.cfg.Model, messages, choices, by)
		usage.PromptTokens += read.PromptTokens
		return chosen, err
	}
	resp, err := q.call(ctx, messages, nil, options...)
	if err != nil {
		return nil, err
	}
	usage.Add(resp)
	f := &filter{labels: true}
	f.write(resp.Content)
	f.close()
	reply, _ := f.result()
	return byReply(choices, reply)
}

// A delta is what a model streams at a time.
type delta struct{ text, thought string }

// call runs the model in a goroutine of its own, so that one that is slow to notice a cancelled context
// does not hold the caller up, and hands what it streams to each, in the caller's goroutine.
func (q *QA) call(ctx context.Context, messages []llms.MessageContent, each func(delta) error, options ...llms.CallOption) (*llms.ContentChoice, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	deltas := make(chan delta)
	send := func(d delta) error {
		select {
		case deltas <- d:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if each != nil {
		options = append(options,
			llms.WithStreamingFunc(func(_ context.Context, chunk []byte) error {
				if len(chunk) == 0 {
					return nil
				}
				return send(delta{text: string(chunk)})
			}),
			llms.WithStreamingReasoningFunc(func(_ context.Context, thought, _ []byte) error {
				if len(thought) == 0 {
					return nil
				}
				return send(delta{thought: string(thought)})
			}))
	}
	var resp *llms.ContentResponse
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("language model panicked: %v\n%s", p, debug.Stack())
			}
		}()
		resp, err = q.cfg.Model.GenerateContent(ctx, messages, options...)
	}()
	leave := func(err error) (*llms.ContentChoice, error) {
		cancel()
		select {
		case <-done:
		case <-time.After(stopGrace):
			q.log.Warn("language model does not stop")
		}
		return nil, err
	}
	for {
		select {
		case d := <-deltas:
			if err := each(d); err != nil {
				return leave(err)
			}
		case <-ctx.Done():
			return leave(ctx.Err())
		case <-done:
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			if resp == nil || len(resp.Choices) == 0 || resp.Choices[0] == nil {
				return nil, fmt.Errorf("%w: its response holds no choice", ErrNoAnswer)
			}
			return resp.Choices[0], nil
		}
	}
}
