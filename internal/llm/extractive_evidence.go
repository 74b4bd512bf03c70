package llm

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/internal/prose"
)

const (
	// maxEmbedded bounds the sentences that the encoder sees, for time: half of them those with the best
	// keyword evidence, the rest those of the first passages, which hold the answer that is worded
	// otherwise.
	maxEmbedded = 16
	// maxEmbeddedBytes bounds each: some 80 tokens of English.
	maxEmbeddedBytes = 320
	// maxUnfolded bounds a quoted list or table, in bytes.
	maxUnfolded = 800
)

// Features is the evidence for one sentence. bench/extractive prints it, and the weights were fitted to
// what it printed.
type Features struct {
	Cover        float64 // share of the question's terms, weighted by rarity, that the sentence and its lead hold
	CoverNear    float64 // the same with the sentences beside it and the passage's context
	CoverPassage float64 // the same with the whole passage and its context
	Chars        float64 // share of the question's Chinese characters that the sentence holds; 0 for English
	Rank         float64 // 1 for the first passage, 1/2 for the second, …
	Kind         float64 // 1 when it holds the kind of thing asked for (a date, a number, a name), -1 when not, 0 when unknown
	Numbers      float64 // share of the question's numbers in the sentence, its neighbours or its context; 1 when it has none
	News         float64 // 1 when it says more than the question already does, down to 0
	Length       float64 // natural logarithm of its terms, plus 1
	Pairs        float64 // share of the question's neighbouring terms that stand together in the sentence too
	Names        float64 // share of the question's capitalised words in the sentence, its neighbours or its context; 1 when it has none
	Cosine       float64 // with the question, by the encoder; 0 when that does not vote
	Similarity   float64 // of its passage with the question, likewise
	Margin       float64 // by how much Similarity is above the mean of the passages
}

// A Candidate is a sentence and the evidence for it.
type Candidate struct {
	Sentence
	Features Features
	weights  *weights // that Score is by
	text     string
	lead     string // what it is read with: the header row of its table, the line that its list follows
	tail     string // what it announces: the list after it
	row      bool   // of a table
	off      int    // codes of the question that it is not about
	idle     bool   // it says nothing that could answer: a heading, a table's header, a question
}

// Rank scores the sentences of the passages, best first, with the evidence: Select without the
// decision. It is what the calibration reads.
func (x *Extractive) Rank(ctx context.Context, question string, passages []Passage) ([]Candidate, error) {
	q := read(question)
	if len(q.terms) == 0 {
		return nil, ctx.Err()
	}
	cands := q.weigh(passages)
	if err := ctx.Err(); err != nil || len(cands) == 0 {
		return nil, err
	}
	if !x.votes(question) {
		return cands, nil
	}
	return x.vote(ctx, question, passages, cands)
}

// byScore orders the best first.
func byScore(a, b Candidate) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Passage, b.Passage), cmp.Compare(a.Start, b.Start))
}

// vote adds what the encoder says of the most promising candidates, and leaves the others out: scores
// with and without it are not of one scale.
func (x *Extractive) vote(ctx context.Context, question string, passages []Passage, cands []Candidate) ([]Candidate, error) {
	var chosen []Candidate
	said := map[string]bool{}
	choose := func(c Candidate, most int) {
		if len(chosen) < most && !said[c.text] && x.votes(c.text) { // chunks overlap
			said[c.text] = true
			chosen = append(chosen, c)
		}
	}
	for _, c := range cands {
		choose(c, maxEmbedded/2)
	}
	reading := slices.Clone(cands)
	slices.SortStableFunc(reading, func(a, b Candidate) int { return cmp.Compare(a.Passage, b.Passage) })
	for _, c := range reading {
		choose(c, maxEmbedded)
	}
	if len(chosen) == 0 {
		return cands, nil
	}
	texts := make([]string, 0, len(chosen)+len(passages))
	for _, c := range chosen {
		texts = append(texts, clip(oneLine(c.lead+" "+c.text+" "+c.tail), maxEmbeddedBytes))
	}
	similarity := make([]float64, len(passages))
	known := false
	for i, p := range passages {
		similarity[i] = p.Similarity
		known = known || p.Similarity != 0
	}
	var apart []int // passages to embed
	for i, p := range passages {
		if !known && x.votes(p.Text) {
			apart = append(apart, i)
			texts = append(texts, strings.TrimSpace(p.Context+"\n"+p.Text))
		}
	}
	qv, err := x.enc.EmbedQuery(ctx, question)
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
	for i, row := range rows[len(chosen):] {
		similarity[apart[i]] = cosine(qv, row)
	}
	mean := 0.0
	for _, s := range similarity {
		mean += s / float64(len(similarity))
	}
	for i := range chosen {
		c := &chosen[i]
		c.Features.Cosine = cosine(qv, rows[i])
		c.Features.Similarity = similarity[c.Passage]
		c.Features.Margin = c.Features.Similarity - mean
		c.weights = &withEncoder
		c.Score = c.rate(c.weights)
	}
	slices.SortFunc(chosen, byScore)
	return chosen, nil
}

// A reading of a question.
type reading struct {
	text     string
	terms    []string
	pairs    [][2]string
	names    []string
	said     map[string]bool // all terms of the question
	chars    []rune          // its Chinese characters, without those that ask
	asked    int
	confirm  bool     // it asks whether something is so: a sentence that repeats it answers it
	keywords *weights // for what is known without the encoder
}

func read(question string) *reading {
	q := &reading{
		text: question, terms: unique(prose.QuestionTerms(question)), names: properNames(question),
		said: termSet(prose.Terms(question)), asked: kindAsked(question), confirm: asksWhether.MatchString(question), keywords: &byKeywords,
	}
	for i := 1; i < len(q.terms); i++ {
		q.pairs = append(q.pairs, [2]string{q.terms[i-1], q.terms[i]})
	}
	if prose.IsChinese(question) {
		q.keywords = &inChinese
		for _, t := range q.terms {
			for _, r := range t {
				if unicode.Is(unicode.Han, r) && !slices.Contains(q.chars, r) {
					q.chars = append(q.chars, r)
				}
			}
		}
	}
	return q
}

// weigh scores every sentence by its words and its place, best first.
func (q *reading) weigh(passages []Passage) []Candidate {
	var cands []Candidate
	var own []map[string]bool      // terms of each candidate and its lead
	var near []map[string]bool     // with the neighbours
	var around []map[string]bool   // with the passage and its context
	var contexts []map[string]bool // the context alone
	counts := map[string]int{}     // sentences that hold a term
	for p, passage := range passages {
		first := len(cands)
		whole := termSet(prose.Terms(passage.Context))
		head := termSet(prose.Terms(passage.Context))
		cands = append(cands, sentences(p, passage)...)
		for i := first; i < len(cands); i++ {
			c := &cands[i]
			terms := prose.Terms(c.text)
			set := termSet(terms)
			alone := len(set)
			joined := map[[2]string]bool{}
			ordered := inOrder(terms)
			for k := 1; k < len(ordered); k++ {
				joined[[2]string{ordered[k-1], ordered[k]}] = true
			}
			together := 0
			for _, p := range q.pairs {
				if joined[p] {
					together++
				}
			}
			for t := range set {
				counts[t]++
				whole[t] = true
			}
			news := 0
			for t := range set {
				if !q.said[t] {
					news++
				}
			}
			for _, t := range prose.Terms(c.tail) {
				if !q.said[t] {
					news++
				}
			}
			// An item that shares no word with the question is at best a part of the answer, which is
			// the list.
			lead := c.lead
			if !slices.ContainsFunc(q.terms, func(t string) bool { return set[t] }) {
				lead = ""
			}
			for _, t := range prose.Terms(lead) {
				set[t] = true
			}
			c.idle = c.idle || news == 0 && !q.confirm
			c.weights = q.keywords
			c.Features = Features{
				Rank: 1 / float64(p+1), Kind: kindOf(q.asked, c.text+c.tail, q.text), Length: 1 + math.Log(float64(1+alone)),
				Pairs: float64(together) / float64(max(1, len(q.pairs))), News: min(1, float64(news)/3), Chars: q.charsIn(lead + c.text),
			}
			own = append(own, set)
			around = append(around, whole)
			contexts = append(contexts, head)
		}
		for i := first; i < len(cands); i++ {
			n := map[string]bool{}
			reach := 1
			if cands[i].row {
				reach = 0 // the row above is about something else
			}
			for j := max(first, i-reach); j <= min(len(cands)-1, i+reach); j++ {
				for t := range own[j] {
					n[t] = true
				}
			}
			near = append(near, n)
		}
	}
	if len(cands) == 0 {
		return nil
	}
	// Rarity over the sentences at hand: a term that all of them hold tells them apart in nothing. It
	// is floored so that the subject of the passages still counts.
	idf := map[string]float64{}
	total := 0.0
	var numbers []string
	for _, t := range q.terms {
		idf[t] = math.Log(1 + (float64(len(cands)-counts[t])+0.5)/(float64(counts[t])+0.5))
		idf[t] = max(idf[t], 0.3)
		if utf8.RuneCountInString(t) == 1 && t[0] >= utf8.RuneSelf {
			idf[t] *= 0.5
		}
		total += idf[t]
		if t[0] >= '0' && t[0] <= '9' {
			numbers = append(numbers, t)
		}
	}
	cover := func(sets ...map[string]bool) float64 {
		sum := 0.0
		for _, t := range q.terms {
			if in(t, sets...) {
				sum += idf[t]
			}
		}
		return sum / total
	}
	for i := range cands {
		f := &cands[i].Features
		f.Cover = cover(own[i])
		f.CoverNear = cover(near[i], contexts[i])
		f.CoverPassage = cover(around[i])
		f.Numbers = shareIn(numbers, near[i], contexts[i])
		f.Names = shareIn(q.names, near[i], contexts[i])
	}
	q.heedCodes(cands, passages)
	// What only names the subject is evidence for the sentences beside it, and no answer.
	cands = slices.DeleteFunc(cands, func(c Candidate) bool { return c.idle })
	slices.SortFunc(cands, byScore)
	return cands
}

// codes are names with digits in them: error codes, part numbers, models.
var codes = regexp.MustCompile(`[A-Za-z]+-?[0-9][A-Za-z0-9-]*|[0-9]+-?[A-Za-z]+[A-Za-z0-9-]*[0-9][A-Za-z0-9-]*`)

// heedCodes marks down the candidates that are about another code than the question where some are about
// the same: what E06 means is no answer to what E02 means, alike as the words are.
func (q *reading) heedCodes(cands []Candidate, passages []Passage) {
	for _, code := range codes.FindAllString(q.text, -1) {
		code = strings.ToLower(code)
		with := make([]bool, len(cands))
		for i, c := range cands {
			about := c.lead + "\n" + c.text + c.tail + "\n" + passages[c.Passage].Context
			if !c.row {
				about += passages[c.Passage].Text
			}
			with[i] = strings.Contains(strings.ToLower(about), code)
		}
		if slices.Contains(with, true) {
			for i := range cands {
				if !with[i] {
					cands[i].off++
				}
			}
		}
	}
	for i := range cands {
		cands[i].Score = cands[i].rate(cands[i].weights)
	}
}

// rate is the candidate's score by the weights.
func (c *Candidate) rate(w *weights) float64 {
	return w.order.of(c.Features) * math.Pow(0.3, float64(c.off))
}

// charsIn is the share of the question's Chinese characters that text holds: words that share one
// character with those of the question, such as 工资 and 薪资, are hints where pairs find nothing.
func (q *reading) charsIn(text string) float64 {
	if len(q.chars) == 0 {
		return 0
	}
	n := 0
	for _, r := range q.chars {
		if strings.ContainsRune(text, r) {
			n++
		}
	}
	return float64(n) / float64(len(q.chars))
}

// sentences are the candidates of the passage, in order, with what each is read with.
func sentences(p int, passage Passage) []Candidate {
	var out []Candidate
	header := "" // of the table
	for line := range strings.Lines(passage.Context) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			header = line
		}
	}
	intro := "" // of the list
	for _, s := range prose.Sentences(passage.Text) {
		text, rest := passage.Text[s.Start:s.End], strings.TrimLeft(passage.Text[s.End:], " \t\r")
		c := Candidate{Sentence: Sentence{Passage: p, Start: s.Start, End: s.End}, text: text}
		switch shape := prose.ShapeOf(text); {
		case shape == prose.Row:
			c.row = true
			next, _, _ := strings.Cut(strings.TrimLeft(rest, "\n"), "\n")
			switch {
			case rule(text):
				c.idle = true
			case rule(next):
				c.idle, header = true, text
			default:
				c.lead = header
			}
		case shape == prose.Item:
			c.lead = intro
		case leadIn(text):
			intro = text
			c.End = unfold(passage.Text, c.Sentence)
			c.tail = passage.Text[s.End:c.End]
			c.idle = strings.TrimSpace(c.tail) == ""
		default:
			c.idle = title(text, rest)
			intro = ""
		}
		out = append(out, c)
	}
	return out
}

// unfold is the end of what a sentence announces: the rows or items that follow it, as many as a reader
// takes in at once, or else the sentence after it.
func unfold(passage string, s Sentence) int {
	end := s.End
	for i, next := range prose.Sentences(passage[s.End:]) {
		text := passage[s.End+next.Start : s.End+next.End]
		shape := prose.ShapeOf(text)
		if shape == prose.Heading || i > 0 && (shape == prose.Flowing || s.End+next.End-s.Start > maxUnfolded) {
			break
		}
		end = s.End + next.End
		if shape == prose.Flowing {
			break
		}
	}
	return end
}

// rule reports whether a table row is the line between header and body: "|---|:--:|".
func rule(row string) bool {
	return strings.HasPrefix(row, "|") && strings.Contains(row, "-") && strings.Trim(row, "|-: \t\r") == ""
}

// leadIn reports whether a sentence announces what follows it.
func leadIn(sentence string) bool {
	return strings.HasSuffix(sentence, ":") || strings.HasSuffix(sentence, "：")
}

// section is the number before a heading: "7.2 Cleaning".
var section = regexp.MustCompile(`^[0-9]{1,2}(\.[0-9]{1,2})*\.?[ \t]+`)

// title reports whether a sentence is a heading, or a question, over the text that follows.
func title(sentence, rest string) bool {
	if strings.HasPrefix(sentence, "#") {
		return true
	}
	if strings.TrimSpace(rest) == "" {
		return false
	}
	sentence = section.ReplaceAllString(sentence, "")
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

// properNames are the terms of the question's capitalised words, the first word left out.
func properNames(question string) []string {
	var out []string
	inside := false
	for w := range strings.FieldsSeq(question) {
		r, _ := utf8.DecodeRuneInString(strings.TrimLeft(w, `"'“‘(`))
		if inside && unicode.IsUpper(r) && w != "I" && !strings.HasPrefix(w, "I'") {
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

func in(term string, sets ...map[string]bool) bool {
	for _, s := range sets {
		if s[term] {
			return true
		}
	}
	return false
}

// shareIn is the share of terms that one of the sets holds; 1 when there are none.
func shareIn(terms []string, sets ...map[string]bool) float64 {
	if len(terms) == 0 {
		return 1
	}
	n := 0
	for _, t := range terms {
		if in(t, sets...) {
			n++
		}
	}
	return float64(n) / float64(len(terms))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
