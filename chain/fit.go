package chain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/prose"
)

// guessTokens estimates how many tokens a model makes of text, rather too many than too few: a
// character of Chinese or another script about one and a quarter, and 3.5 bytes of anything else one.
func guessTokens(text string) int {
	wide, narrow := 0, 0
	for _, r := range text {
		if r >= 0x2E80 || unicode.Is(unicode.Cyrillic, r) || unicode.Is(unicode.Arabic, r) {
			wide++
		} else {
			narrow++
		}
	}
	return (wide*5+3)/4 + (narrow*2+6)/7
}

const (
	messageTokens = 8  // that a chat template spends on a message
	slackTokens   = 32 // kept free for what the count gets wrong
	leastPassage  = 64 // a cut passage shorter than this is of no use
	historyAnswer = 2000
)

// A prompt is what the model is given, and what of the passages is in it.
type prompt struct {
	messages []llms.MessageContent
	passages []source
	dropped  int // passages that did not fit
}

// fit builds the prompt of a question, which is put in the words of question, in at most window tokens: the rules and
// the question always, then examples and
// earlier turns as far as they leave the passages their due, then passages from the best down. The
// first passage is cut between sentences rather than left out.
func (s *style) fit(question string, of Question, passages []source, window int, count func(string) int) (prompt, error) {
	system, err := render(s.system, systemData{Decline: declineText(s.language)})
	if err != nil {
		return prompt{}, err
	}
	if of.Instructions != "" {
		system += "\n\n" + of.Instructions
	}
	history := of.History
	bare, err := s.ask(question, nil)
	if err != nil {
		return prompt{}, err
	}
	cost := func(ms []llms.MessageContent) int {
		n := 0
		for _, m := range ms {
			for _, p := range m.Parts {
				if t, ok := p.(llms.TextContent); ok {
					n += count(t.Text) + messageTokens
				}
			}
		}
		return n
	}
	left := window - slackTokens - count(system) - count(bare) - 2*messageTokens
	p := prompt{messages: []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeSystem, system)}}
	if n := cost(s.examples); n > 0 && n <= left*2/5 {
		p.messages = append(p.messages, s.examples...)
		left -= n
	}
	var turns []llms.MessageContent
	for i := len(history) - 1; i >= 0; i-- {
		// The numbers of earlier answers are of other passages: they would be taken for these.
		t := []llms.MessageContent{
			llms.TextParts(llms.ChatMessageTypeHuman, neutral(history[i].Question)),
			llms.TextParts(llms.ChatMessageTypeAI, neutral(clipText(withoutMarkers(history[i].Answer), historyAnswer))),
		}
		if cost(append(t, turns...)) > left/4 {
			break
		}
		turns = append(t, turns...)
	}
	left -= cost(turns)
	p.messages = append(p.messages, turns...)

	for i, src := range passages {
		src.N = i + 1
		text, err := s.one(src)
		if err != nil {
			return prompt{}, err
		}
		n := count(text) + 2
		if n > left && i == 0 {
			if src, n, err = s.cut(src, left, count); err != nil {
				return prompt{}, err
			}
		}
		if n > left && i > 0 {
			p.dropped = len(passages) - i
			break
		}
		left -= n
		p.passages = append(p.passages, src)
	}
	text, err := s.ask(question, p.passages)
	if err != nil {
		return prompt{}, err
	}
	p.messages = append(p.messages, llms.TextParts(llms.ChatMessageTypeHuman, text))
	return p, nil
}

// cut shortens a passage to its first sentences that fit in room tokens, at least one.
func (s *style) cut(src source, room int, count func(string) int) (source, int, error) {
	spans := prose.Sentences(src.Text)
	best, cost := src, 0
	for i, span := range spans {
		short := src
		short.Text = strings.TrimRight(src.Text[:span.End], " \n")
		short.End = src.Start + len(short.Text)
		text, err := s.one(short)
		if err != nil {
			return src, 0, err
		}
		n := count(text) + 2
		if i > 0 && n > max(room, leastPassage) {
			break
		}
		best, cost = short, n
	}
	// One endless sentence, such as a table without line breaks.
	for n := len(best.Text); cost > max(room, leastPassage) && n > 200; {
		n = n * 3 / 4
		for n > 0 && !utf8.RuneStart(best.Text[n]) {
			n--
		}
		best.Text, best.End = best.Text[:n], best.Start+n
		text, err := s.one(best)
		if err != nil {
			return src, 0, err
		}
		cost = count(text) + 2
	}
	return best, cost, nil
}
