package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
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
// document and the headings above: it counts as evidence and is never quoted.
type Passage struct{ Text, Context string }

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
	ranked, err := x.rank(ctx, question, passages)
	if err != nil || len(ranked) == 0 {
		return nil, err
	}
	best := ranked[0]
	if best.Score < best.least {
		return nil, nil
	}
	// A second and third sentence are worth the reader's time only when they are nearly as likely, or
	// stand right beside the first and are likely themselves.
	out := []Sentence{best.Sentence}
	said := map[string]bool{oneLine(best.text): true}
	for _, c := range ranked[1:] {
		if c.asks || said[oneLine(c.text)] { // chunks overlap
			continue
		}
		beside := c.Passage == best.Passage && (c.index == best.index+1 || c.index == best.index-1)
		if c.Score >= 0.6*best.Score || beside && c.Score >= 0.4*best.Score {
			out = append(out, c.Sentence)
			said[oneLine(c.text)] = true
		}
		if len(out) == maxSentences {
			break
		}
	}
	return out, nil
}

const (
	maxSentences = 3
	// maxEmbedded bounds the sentences that the encoder sees: the first by keyword evidence. More of
	// them cost time (a sentence is 20 to 40 tokens) and were hardly ever the answer.
	maxEmbedded = 8
)

// Features is the evidence for one sentence. bench/extractive prints it, and the weights below were
// fitted to what it printed.
type Features struct {
	Cover        float64 // share of the question's terms, weighted by rarity, that the sentence holds
	CoverNear    float64 // the same with the sentences beside it
	CoverPassage float64 // the same with the whole passage and its context
	Rank         float64 // 1 for the first passage, 1/2 for the second, …
	Kind         float64 // 1 when it holds the kind of thing asked for (a date, a number, a name), -1 when not, 0 when unknown
	Numbers      float64 // share of the question's numbers in the sentence, its neighbours or its context; 1 when it has none
	News         float64 // 1 when it says more than the question already does, down to 0
	Length       float64 // natural logarithm of its terms, plus 1
	Pairs        float64 // share of the question's neighbouring terms that stand together in the sentence too
	Names        float64 // share of the question's capitalised words in the sentence, its neighbours or its context; 1 when it has none
	Cosine       float64 // with the question, by the encoder; 0 when that does not vote
}

// A Candidate is a sentence and the evidence for it.
type Candidate struct {
	Sentence
	Features Features
	Embedded bool // the encoder has voted
	least    float64
	asks     bool // it says nothing that could answer: a heading, or a question itself
	index    int  // of the sentence in its passage
	text     string
}

// Rank scores every sentence of the passages, best first, with the evidence: Select without the
// decision. It is what the calibration reads.
func (x *Extractive) Rank(ctx context.Context, question string, passages []Passage) ([]Candidate, error) {
	return x.rank(ctx, question, passages)
}

func (x *Extractive) rank(ctx context.Context, question string, passages []Passage) ([]Candidate, error) {
	qterms := unique(prose.QuestionTerms(question))
	names := properNames(question)
	var qpairs [][2]string
	for i := 1; i < len(qterms); i++ {
		qpairs = append(qpairs, [2]string{qterms[i-1], qterms[i]})
	}
	asked := kindAsked(question)
	keywords := &byKeywords
	if prose.IsChinese(question) {
		keywords = &inChinese
	}
	var cands []Candidate
	var sets []map[string]bool     // terms of each candidate
	var near []map[string]bool     // with the neighbours
	var around []map[string]bool   // with the passage and its context
	var contexts []map[string]bool // the context alone
	counts := map[string]int{}     // sentences that hold a term
	for p, passage := range passages {
		spans := prose.Sentences(passage.Text)
		first := len(cands)
		whole := termSet(prose.Terms(passage.Context))
		head := termSet(prose.Terms(passage.Context))
		for i, s := range spans {
			text := passage.Text[s.Start:s.End]
			ts := prose.Terms(text)
			set := termSet(ts)
			joined := map[[2]string]bool{}
			ordered := inOrder(ts)
			for k := 1; k < len(ordered); k++ {
				joined[[2]string{ordered[k-1], ordered[k]}] = true
			}
			together := 0
			for _, p := range qpairs {
				if joined[p] {
					together++
				}
			}
			for t := range set {
				counts[t]++
				whole[t] = true
			}
			cands = append(cands, Candidate{
				Sentence: Sentence{Passage: p, Start: s.Start, End: s.End},
				index:    i, text: text, least: keywords.least,
				Features: Features{Rank: 1 / float64(p+1), Kind: kindOf(asked, text, question), Length: 1 + math.Log(float64(1+len(set))),
					Pairs: float64(together) / float64(max(1, len(qpairs)))},
			})
			sets = append(sets, set)
			around = append(around, whole)
			contexts = append(contexts, head)
		}
		for i := first; i < len(cands); i++ {
			n := map[string]bool{}
			for j := max(first, i-1); j <= min(len(cands)-1, i+1); j++ {
				for t := range sets[j] {
					n[t] = true
				}
			}
			near = append(near, n)
		}
	}
	if len(cands) == 0 || len(qterms) == 0 {
		return nil, ctx.Err()
	}
	// Rarity over the sentences at hand: a term that all of them hold tells them apart in nothing. It
	// is floored so that the subject of the passages still counts.
	idf := map[string]float64{}
	total, numbers := 0.0, 0
	for _, t := range qterms {
		idf[t] = math.Log(1 + (float64(len(cands)-counts[t])+0.5)/(float64(counts[t])+0.5))
		idf[t] = max(idf[t], 0.3)
		if utf8.RuneCountInString(t) == 1 && t[0] >= utf8.RuneSelf {
			idf[t] *= 0.5
		}
		total += idf[t]
		if t[0] >= '0' && t[0] <= '9' {
			numbers++
		}
	}
	share := func(sets ...map[string]bool) float64 {
		sum := 0.0
		for _, t := range qterms {
			for _, s := range sets {
				if s[t] {
					sum += idf[t]
					break
				}
			}
		}
		return sum / total
	}
	inQuestion := termSet(prose.Terms(question))
	for i := range cands {
		f := &cands[i].Features
		f.Cover = share(sets[i])
		f.CoverNear = share(near[i], contexts[i])
		f.CoverPassage = share(around[i])
		f.Numbers = 1
		if numbers > 0 {
			found := 0
			for _, t := range qterms {
				if t[0] >= '0' && t[0] <= '9' && (near[i][t] || contexts[i][t]) {
					found++
				}
			}
			f.Numbers = float64(found) / float64(numbers)
		}
		f.Names = 1
		if len(names) > 0 {
			found := 0
			for _, n := range names {
				if near[i][n] || contexts[i][n] {
					found++
				}
			}
			f.Names = float64(found) / float64(len(names))
		}
		news := 0
		for t := range sets[i] {
			if !inQuestion[t] {
				news++
			}
		}
		f.News = min(1, float64(news)/3)
		cands[i].asks = news == 0 || title(cands[i].text, passages[cands[i].Passage].Text[cands[i].End:])
		cands[i].Score = cands[i].weigh(keywords)
	}
	byScore := func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Passage, b.Passage), cmp.Compare(a.Start, b.Start))
	}
	slices.SortFunc(cands, byScore)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !x.votes(question) {
		return cands, nil
	}
	n := min(maxEmbedded, len(cands))
	var texts []string
	var at []int
	for i := range n {
		if x.votes(cands[i].text) {
			texts = append(texts, clip(cands[i].text, 600))
			at = append(at, i)
		}
	}
	if len(texts) == 0 {
		return cands, nil
	}
	q, err := x.enc.EmbedQuery(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("embed the question: %w", err)
	}
	rows, err := x.enc.EmbedDocuments(ctx, texts)
	if err != nil {
		return nil, fmt.Errorf("embed %d sentences: %w", len(texts), err)
	}
	if len(rows) != len(texts) {
		return nil, fmt.Errorf("embed %d sentences: got %d vectors", len(texts), len(rows))
	}
	// Only what the encoder saw stays in the race; scores with and without it are not of one scale.
	voted := make([]Candidate, 0, len(at))
	for i, row := range rows {
		c := cands[at[i]]
		c.Features.Cosine = cosine(q, row)
		c.Embedded = true
		c.least = withEncoder.least
		c.Score = c.weigh(&withEncoder)
		voted = append(voted, c)
	}
	slices.SortFunc(voted, byScore)
	return voted, nil
}

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

// The weights were fitted by bench/extractive/fit.py on squad2-public with xquad-en, and on xquad-zh with
// drcd-dev: a conditional logit over the sentences of a question, scaled so that the score is the share
// of questions whose best sentence is right. The thresholds decline about one answerable question in
// fifteen, and two of three whose right passage was not found.
var (
	withEncoder = weights{Cover: 2.770, CoverNear: 1.829, CoverPassage: 0.832, Rank: 1.717, Kind: 1.033, Numbers: 0.549,
		News: 0.052, Length: 0.115, Pairs: 0.966, Names: 0.282, Cosine: 2.680, bias: -8.157, least: 0.18}
	byKeywords = weights{Cover: 3.262, CoverNear: 1.842, CoverPassage: 0.853, Rank: 2.080, Kind: 0.977, Numbers: 0.550,
		News: 0, Length: 0.048, Pairs: 1.124, Names: 0.473, bias: -7.231, least: 0.15}
	inChinese = weights{Cover: 3.389, CoverNear: 2.386, CoverPassage: 1.159, Rank: 2.152, Kind: 0.533, Numbers: 0.819,
		News: 0.449, Length: 0.173, Pairs: 0.645, Names: 0.045, bias: -7.838, least: 0.15}
)

type weights struct {
	Cover, CoverNear, CoverPassage, Rank, Kind, Numbers, News, Length, Pairs, Names, Cosine, bias float64

	least float64 // score below which nothing is quoted
}

// weigh scores the candidate. What only names the subject, or asks, is evidence for the sentences
// beside it and hardly ever an answer.
func (c *Candidate) weigh(w *weights) float64 {
	score := c.Features.score(w)
	if c.asks {
		score *= 0.1
	}
	return score
}

// title reports whether a sentence is a heading, or a question, over the text that follows.
func title(sentence, rest string) bool {
	if strings.TrimSpace(rest) == "" {
		return false
	}
	if strings.HasPrefix(sentence, "#") {
		return true
	}
	last, _ := utf8.DecodeLastRuneInString(sentence)
	first, _ := utf8.DecodeRuneInString(sentence)
	switch {
	case last == '?' || last == '？':
		return true
	case strings.ContainsRune(".。!！;；:：|)）\"”』」,，", last), strings.ContainsAny(sentence, "0123456789"), strings.ContainsRune("|-*+•>", first):
		return false
	}
	if prose.IsChinese(sentence) {
		return utf8.RuneCountInString(sentence) <= 16 && strings.HasPrefix(rest, "\n")
	}
	return len(strings.Fields(sentence)) <= 8 && strings.HasPrefix(rest, "\n")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func (f Features) score(w *weights) float64 {
	z := w.bias + w.Cover*f.Cover + w.CoverNear*f.CoverNear + w.CoverPassage*f.CoverPassage + w.Rank*f.Rank +
		w.Kind*f.Kind + w.Numbers*f.Numbers + w.News*f.News + w.Length*f.Length +
		w.Pairs*f.Pairs + w.Names*f.Names + w.Cosine*f.Cosine
	return 1 / (1 + math.Exp(-z))
}

// The kinds of thing a question asks for.
const (
	anyKind = iota
	person
	date
	quantity
	place
)

var (
	asksPerson   = regexp.MustCompile(`(?i)\b(who|whom|whose)\b|谁|誰|哪位|哪个人|哪一位|何人|什么人`)
	asksDate     = regexp.MustCompile(`(?i)\b(when|(what|which|in what|in which) (year|date|month|day|decade|century))\b|何时|何時|什么时候|什麼時候|什么时间|什麼時間|哪一?年|何年|哪天|几月|幾月|几号|日期|年份`)
	asksQuantity = regexp.MustCompile(`(?i)\bhow (many|much|long|old|far|tall|high|large|big|often|fast|deep|heavy)\b|\bwhat (percentage|number|amount|proportion|fraction|age|temperature|price)\b|多少|多久|多长|多長|多大|多高|多远|多重|几[个天年次种小位人岁]|幾[個天年次種小位人歲]|百分之几`)
	asksPlace    = regexp.MustCompile(`(?i)\bwhere\b|\b(what|which) (country|city|state|town|continent|region|county|province)\b|哪里|哪裡|哪儿|何地|何处|何處|哪个(国家|城市|地方|省)|哪個(國家|城市|地方|省)|什么地方|什麼地方`)

	holdsDate     = regexp.MustCompile(`(?i)\b(1[0-9]{3}|20[0-9]{2})s?\b|\b(january|february|march|april|may|june|july|august|september|october|november|december|century|monday|tuesday|wednesday|thursday|friday|saturday|sunday|midnight|noon)\b|\b[0-9]{1,2}:[0-9]{2}\b|[0-9０-９一二三四五六七八九十〇零]+\s*(年|月|日|号|號|世纪|世紀|点|點|时|時)|(周|星期)[一二三四五六日天]|年间|年間|时期|時期|朝`)
	holdsQuantity = regexp.MustCompile(`(?i)[0-9０-９]|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|million|billion|half|third|quarter|dozen|percent|once|twice)\b|[一二三四五六七八九十百千万萬亿億两兩半][个個天年次种種小位人岁歲元米公名条條周分倍]`)
	holdsPlace    = regexp.MustCompile(`\b(?:in|at|near|from|to|of)\s+(?:the\s+)?\p{Lu}|[省市县縣区區国國州岛島村镇鎮山河路街洲]`)
)

func kindAsked(question string) int {
	switch {
	case asksQuantity.MatchString(question):
		return quantity
	case asksDate.MatchString(question):
		return date
	case asksPerson.MatchString(question):
		return person
	case asksPlace.MatchString(question):
		return place
	}
	return anyKind
}

// kindOf is 1 when sentence holds the kind asked for beyond what the question says itself, -1 when it
// does not, and 0 when that cannot be told.
func kindOf(asked int, sentence, question string) float64 {
	holds := func(re *regexp.Regexp) float64 {
		for _, m := range re.FindAllString(sentence, -1) {
			if !strings.Contains(question, m) {
				return 1
			}
		}
		return -1
	}
	switch asked {
	case date:
		return holds(holdsDate)
	case quantity:
		return holds(holdsQuantity)
	case place:
		return holds(holdsPlace)
	case person:
		if prose.IsChinese(sentence) {
			return 0 // Chinese names carry no mark
		}
		// A capital inside the sentence that the question does not have is likely a name.
		inside := false
		for w := range strings.FieldsSeq(sentence) {
			r, _ := utf8.DecodeRuneInString(strings.TrimLeft(w, `"'“‘(`))
			name := strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) })
			if inside && unicode.IsUpper(r) && len(name) > 1 && !strings.Contains(question, name) {
				return 1
			}
			inside = true
		}
		return -1
	}
	return 0
}

// properNames are the terms of the question's capitalised words, the first word left out.
func properNames(question string) []string {
	var out []string
	inside := false
	for w := range strings.FieldsSeq(question) {
		r, _ := utf8.DecodeRuneInString(strings.TrimLeft(w, `"'“‘(`))
		if inside && unicode.IsUpper(r) {
			out = append(out, prose.QuestionTerms(w)...)
		}
		inside = true
	}
	return unique(out)
}

// inOrder leaves the single characters out where they repeat the pairs beside them.
func inOrder(terms []string) []string {
	out := make([]string, 0, len(terms))
	for _, t := range terms {
		if r, n := utf8.DecodeRuneInString(t); n == len(t) && r >= utf8.RuneSelf {
			continue
		}
		out = append(out, t)
	}
	return out
}

func unique(terms []string) []string {
	seen := map[string]bool{}
	out := terms[:0]
	for _, t := range terms {
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}

func termSet(terms []string) map[string]bool {
	m := make(map[string]bool, len(terms))
	for _, t := range terms {
		m[t] = true
	}
	return m
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
