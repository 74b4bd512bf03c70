package chain

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"docent/chunker"
	"docent/internal/prose"
)

// A mark is a [n] in an answer that is not inside code.
type mark struct{ n, start, end int }

// markers finds the citations of a filtered answer.
func markers(text string) []mark {
	var out []mark
	inline, fence := false, false
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '`':
			run := len(text[i:]) - len(strings.TrimLeft(text[i:], "`"))
			if run >= 3 && !inline {
				fence = !fence
			} else if !fence {
				inline = !inline
			}
			i += run
			continue
		case c == '\n':
			inline = false
		case c == '[' && !inline && !fence:
			j := i + 1
			for j < len(text) && j-i <= 3 && text[j] >= '0' && text[j] <= '9' {
				j++
			}
			if j > i+1 && j < len(text) && text[j] == ']' {
				n, _ := strconv.Atoi(text[i+1 : j])
				out = append(out, mark{n, i, j + 1})
				i = j + 1
				continue
			}
		}
		i++
	}
	return out
}

// withoutMarkers removes the citations of text, and the spaces before them.
func withoutMarkers(text string) string {
	var b strings.Builder
	last := 0
	for _, m := range markers(text) {
		b.WriteString(strings.TrimRight(text[last:m.start], " "))
		last = m.end
	}
	b.WriteString(text[last:])
	return b.String()
}

// claims gives, for each number cited, the sentences of the answer that carry it.
func claims(answer string) map[int][]string {
	ms := markers(answer)
	var b strings.Builder
	at := make([]int, len(ms)) // where each stood in the text without them
	last := 0
	for i, m := range ms {
		b.WriteString(answer[last:m.start])
		at[i] = b.Len()
		last = m.end
	}
	b.WriteString(answer[last:])
	plain := b.String()
	spans := prose.Sentences(plain)
	out := map[int][]string{}
	for i, m := range ms {
		// The marker belongs to the sentence of the last character before it: "Twenty days [1]." and
		// "Twenty days. [1] Ten" alike.
		before := len(strings.TrimRight(plain[:at[i]], " \t\n"))
		k, _ := slices.BinarySearchFunc(spans, max(before, 1), func(s prose.Span, p int) int { return cmp.Compare(s.End, p) })
		if k < len(spans) {
			out[m.n] = append(out[m.n], plain[spans[k].Start:spans[k].End])
		}
	}
	return out
}

// cite resolves the numbers in answer, ascending. Each quotes the sentences of its passage that best
// support the sentences citing it; question helps where these say little.
func cite(answer, question string, passages []Passage) []Citation {
	out := []Citation{}
	said := claims(answer)
	numbers := make([]int, 0, len(said))
	for n := range said {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if n < 1 || n > len(passages) {
			continue // the filter has seen to it; a caller of its own may not have
		}
		p := passages[n-1]
		s, _ := support(strings.Join(said[n], "\n"), question, p.Text)
		out = append(out, p.cite(s))
	}
	return out
}

// cite is the citation of the bytes s of the passage.
func (p Passage) cite(s prose.Span) Citation {
	within := chunker.Chunk{Text: p.Text, Start: p.Start, End: p.End, Labels: p.Labels}
	return Citation{
		N: p.N, ChunkID: p.ChunkID, DocumentID: p.DocumentID, Document: p.Document, Path: p.Path,
		Page: p.Page, Headings: p.Headings, Labels: within.LabelsAt(p.Start+s.Start, p.Start+s.End), Start: p.Start + s.Start, End: p.Start + s.End, Quote: p.Text[s.Start:s.End],
	}
}

// quoteMost is the most sentences a quote has.
const quoteMost = 3

// support finds the run of one to three sentences of passage that shares most with claim, and the share
// of claim's words, weighted by their rarity in the passage, that it holds.
func support(claim, question, passage string) (prose.Span, float64) {
	spans := prose.Sentences(passage)
	if len(spans) == 0 {
		return prose.Span{Start: 0, End: len(passage)}, 0
	}
	want := map[string]float64{}
	for _, t := range prose.QuestionTerms(question) {
		want[t] = 0.25
	}
	total := 0.0
	for _, t := range prose.Terms(claim) {
		want[t] = 1
	}
	sets := make([]map[string]bool, len(spans))
	counts := map[string]int{}
	for i, s := range spans {
		sets[i] = map[string]bool{}
		for _, t := range prose.Terms(passage[s.Start:s.End]) {
			if !sets[i][t] {
				counts[t]++
			}
			sets[i][t] = true
		}
	}
	claimed := 0.0
	for t, w := range want {
		rare := 1 + math.Log(float64(len(spans)+1)/float64(counts[t]+1))
		if utf8.RuneCountInString(t) == 1 && t[0] >= utf8.RuneSelf {
			rare *= 0.2 // a single Chinese character says little beside its pairs
		}
		if t[0] >= '0' && t[0] <= '9' {
			rare *= 2 // a number is what a claim stands on
		}
		want[t] = w * rare
		total += w * rare
		if w == 1 {
			claimed += rare
		}
	}
	if total == 0 {
		return spans[0], 0
	}
	best, bestScore, bestShare := prose.Span{}, math.Inf(-1), 0.0
	for i := range spans {
		got := map[string]bool{}
		sum, claimSum := 0.0, 0.0
		for j := i; j < min(i+quoteMost, len(spans)); j++ {
			for t := range sets[j] {
				if w := want[t]; w > 0 && !got[t] {
					got[t] = true
					sum += w
				}
			}
			claimSum = sum
			// Each further sentence must bring a fifth of what is sought.
			score := sum/total - 0.2*float64(j-i)
			if score > bestScore {
				best, bestScore = prose.Span{Start: spans[i].Start, End: spans[j].End}, score
				bestShare = claimSum / max(claimed, 1e-9)
			}
		}
	}
	return best, min(1, bestShare)
}

const (
	attachShare = 0.6 // of a sentence's words that a passage must hold to be its source
	attachTerms = 3   // least words of meaning for that to say something
)

// attach gives an answer without citations those that are beyond doubt: the passage that holds most of
// a sentence's words is its source.
func attach(answer string, passages []Passage) string {
	type insert struct {
		at, n int
	}
	var inserts []insert
	for _, s := range prose.Sentences(answer) {
		sentence := answer[s.Start:s.End]
		if strings.ContainsRune(sentence, '`') || strings.HasPrefix(sentence, "#") || strings.HasPrefix(sentence, "|") {
			continue
		}
		terms := map[string]bool{}
		for _, t := range prose.Terms(sentence) {
			terms[t] = true
		}
		if len(terms) < attachTerms {
			continue
		}
		n, best := 0, attachShare
		for _, p := range passages {
			if _, share := support(sentence, "", p.Text); share > best {
				n, best = p.N, share
			}
		}
		if n == 0 {
			continue
		}
		end := s.Start + len(strings.TrimRight(sentence, "。.！!？?；;”\"』」)） "))
		inserts = append(inserts, insert{end, n})
	}
	var b strings.Builder
	last := 0
	for _, in := range inserts {
		b.WriteString(answer[last:in.at])
		if r, _ := utf8.DecodeLastRuneInString(answer[:in.at]); r < 0x2E80 {
			b.WriteByte(' ')
		}
		b.WriteString("[" + strconv.Itoa(in.n) + "]")
		last = in.at
	}
	b.WriteString(answer[last:])
	return b.String()
}
