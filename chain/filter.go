package chain

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A filter reads a model's reply as it streams in and tells the reasoning from the answer. It writes
// every citation as [n], however the model wrote it, and takes out those that point at no passage.
//
// What it makes of a reply does not depend on how the reply was cut into chunks: a decision is made
// only once enough has arrived to make it, from no more than that.
//
//	start ──<think>──▶ thinking ──</think>──▶ start
//	start ─Reasoning:─▶ labelled ─Answer:──▶ answer      (only when the prompt asked for it)
//	start ──other────▶ answer ──</think>──▶ start        (an orphan: what came before was reasoning)
type filter struct {
	passages int  // markers 1 to passages are good
	labels   bool // the prompt asks for reasoning: "Reasoning:" and "Answer:" are borders

	buf       string // arrived, not yet decided on
	state     int
	lineStart bool
	decor     bool // the label's own "**" and spaces are still to be skipped
	labelSeen bool // "Answer:" has been read
	thought   bool // a <think> has been opened

	inline, fence bool         // inside `code` and ```code```
	spaces        string       // held back: a removed marker takes them along
	dropped       bool         // a marker was removed and nothing written since
	run           map[int]bool // the markers written since the last other character
	last          rune         // the last written to the answer
	answer        strings.Builder
	reasoning     strings.Builder

	out []piece
}

const (
	atStart = iota
	inThinking
	inLabelled
	inAnswer
)

// A piece is some of the answer or of the reasoning.
type piece struct {
	text      string
	reasoning bool
}

// write takes in the next chunk and returns what can be shown.
func (f *filter) write(chunk string) []piece {
	f.buf += chunk
	f.drain(false)
	return f.take()
}

// close takes the reply to be complete.
func (f *filter) close() []piece {
	f.drain(true)
	f.spaces = ""
	if f.state == inLabelled && !f.labelSeen {
		// It reasoned, and answered without saying so: the last paragraph is the answer.
		text := strings.TrimSpace(f.reasoning.String())
		f.reasoning.Reset()
		if i := strings.LastIndex(text, "\n\n"); i >= 0 {
			f.reasoning.WriteString(text[:i])
			text = text[i+2:]
		}
		g := filter{passages: f.passages, state: inAnswer}
		f.out = append(f.out, g.write(text)...)
		f.out = append(f.out, g.close()...)
		f.answer.WriteString(g.answer.String())
	}
	return f.take()
}

func (f *filter) take() []piece {
	out := f.out
	f.out = nil
	return out
}

// result is the answer and the reasoning so far.
func (f *filter) result() (answer, reasoning string) {
	return strings.TrimSpace(f.answer.String()), strings.Trim(f.reasoning.String(), " \t\r\n*")
}

func (f *filter) drain(final bool) {
	for f.buf != "" {
		n := 0
		switch f.state {
		case atStart:
			n = f.atStart(final)
		case inThinking:
			n = f.inThinking(final)
		case inLabelled:
			n = f.inLabelled(final)
		case inAnswer:
			n = f.inAnswer(final)
		}
		if n == 0 {
			return
		}
		if n > 0 {
			f.buf = f.buf[n:]
		}
	}
}

// The steps return how many bytes of buf are done with, 0 to wait for more, or again when only the
// state has changed.
const again = -1

func (f *filter) atStart(final bool) int {
	if !final && !utf8.FullRuneInString(f.buf) {
		return 0
	}
	if r, n := utf8.DecodeRuneInString(f.buf); unicode.IsSpace(r) {
		return n
	}
	if f.buf[0] == '<' {
		if n, wait := tag(f.buf, openTags, final); wait {
			return 0
		} else if n > 0 {
			f.state, f.thought = inThinking, true
			return n
		}
	}
	if f.labels && !f.labelSeen {
		head, ok := lineHead(f.buf, final)
		if !ok {
			return 0
		}
		if m := answerLabel.FindString(head); m != "" {
			f.state, f.labelSeen, f.decor = inAnswer, true, true
			return len(m)
		}
		if m := reasoningLabel.FindString(head); m != "" && !f.thought {
			f.state, f.decor = inLabelled, true
			return len(m)
		}
	}
	f.state, f.lineStart = inAnswer, true
	return again
}

func (f *filter) inThinking(final bool) int {
	i := strings.IndexByte(f.buf, '<')
	switch {
	case i < 0:
		n := len(f.buf)
		if !final {
			n -= partialRune(f.buf)
		}
		f.think(f.buf[:n])
		return n
	case i > 0:
		f.think(f.buf[:i])
		return i
	}
	n, wait := tag(f.buf, closeTags, final)
	if wait {
		return 0
	}
	if n > 0 {
		f.state = atStart
		if f.answer.Len() > 0 {
			f.state = inAnswer
		}
		return n
	}
	f.think("<")
	return 1
}

func (f *filter) inLabelled(final bool) int {
	if !final && !utf8.FullRuneInString(f.buf) {
		return 0
	}
	r, n := utf8.DecodeRuneInString(f.buf)
	if f.decor {
		if r == '*' || r == '_' || unicode.IsSpace(r) {
			return n
		}
		f.decor = false
	}
	if f.lineStart {
		head, ok := lineHead(f.buf, final)
		if !ok {
			return 0
		}
		if m := answerLabel.FindString(head); m != "" {
			f.state, f.labelSeen, f.decor = inAnswer, true, true
			return len(m)
		}
	}
	f.lineStart = r == '\n'
	f.think(f.buf[:n])
	return n
}

func (f *filter) inAnswer(final bool) int {
	if !final && !utf8.FullRuneInString(f.buf) {
		return 0
	}
	r, n := utf8.DecodeRuneInString(f.buf)
	if f.decor {
		if r == '*' || r == '_' || unicode.IsSpace(r) {
			return n
		}
		f.decor = false
	}
	if f.lineStart && f.labels && !f.labelSeen {
		head, ok := lineHead(f.buf, final)
		if !ok {
			return 0
		}
		if m := answerLabel.FindString(head); m != "" {
			f.orphan()
			f.state, f.labelSeen, f.decor = inAnswer, true, true
			return len(m)
		}
	}
	f.lineStart = r == '\n'
	code := f.inline || f.fence
	switch {
	case r == '<' && !code:
		m, wait := tag(f.buf, openTags, final)
		if m > 0 {
			f.state, f.thought = inThinking, true
			return m
		}
		c, wait2 := tag(f.buf, closeTags, final)
		if c > 0 {
			if !f.thought {
				f.orphan()
				f.thought = true
			}
			f.state = atStart
			if f.answer.Len() > 0 {
				f.state = inAnswer
			}
			return c
		}
		if wait || wait2 {
			f.lineStart = false
			return 0
		}
	case r == '`':
		run := len(f.buf) - len(strings.TrimLeft(f.buf, "`"))
		if run == len(f.buf) && !final {
			return 0
		}
		if run >= 3 && !f.inline {
			f.fence = !f.fence
		} else if !f.fence {
			f.inline = !f.inline
		}
		f.put(f.buf[:run])
		return run
	case r == '\n':
		f.inline = false
	case r == ' ' || r == '\t':
		f.spaces += f.buf[:n]
		return n
	case (r == '[' || r == '【' || r == '［') && !code:
		numbers, m, wait := marker(f.buf, final)
		if wait {
			return 0
		}
		if m > 0 {
			f.cite(numbers)
			return m
		}
	default:
		// A run of ordinary characters at once.
		if i := strings.IndexAny(f.buf[n:], "<`[【［ \t\n"); i >= 0 {
			n += i
		} else if n = len(f.buf); !final {
			n -= partialRune(f.buf)
		}
	}
	f.put(f.buf[:n])
	return n
}

// cite writes the markers that are good and new in their run.
func (f *filter) cite(numbers []int) {
	var good []int
	for _, n := range numbers {
		if n >= 1 && n <= f.passages && !f.run[n] {
			if f.run == nil {
				f.run = map[int]bool{}
			}
			f.run[n] = true
			good = append(good, n)
		}
	}
	if len(good) == 0 {
		f.spaces, f.dropped = "", true
		return
	}
	if len(f.run) > len(good) {
		f.spaces = "" // between two markers
	}
	run := f.run
	for _, n := range good {
		f.put("[" + strconv.Itoa(n) + "]")
	}
	f.run = run
}

// put writes to the answer, after the spaces held back.
func (f *filter) put(text string) {
	text = string([]rune(text)) // each invalid byte becomes U+FFFD, however the bytes were cut
	first, _ := utf8.DecodeRuneInString(text)
	if f.dropped && f.spaces == "" && wordRune(first) && wordRune(f.last) {
		f.spaces = " " // the marker stood between two words
	}
	if first == '\n' && len(f.spaces) < 2 {
		f.spaces = "" // two are a line break in Markdown
	}
	text = f.spaces + text
	f.spaces, f.dropped, f.run = "", false, nil
	f.last, _ = utf8.DecodeLastRuneInString(text)
	f.answer.WriteString(text)
	f.emit(piece{text: text})
}

func wordRune(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unicode.Is(unicode.Han, r)
}

func (f *filter) think(text string) {
	text = string([]rune(text)) // each invalid byte becomes U+FFFD, however the bytes were cut
	f.reasoning.WriteString(text)
	f.emit(piece{text: text, reasoning: true})
}

func (f *filter) emit(p piece) {
	if p.text == "" {
		return
	}
	if n := len(f.out); n > 0 && f.out[n-1].reasoning == p.reasoning {
		f.out[n-1].text += p.text
		return
	}
	f.out = append(f.out, p)
}

// orphan turns what was taken for the answer into reasoning: its end has come without its beginning,
// as from models whose chat template opens the tag for them.
func (f *filter) orphan() {
	if f.reasoning.Len() > 0 && f.answer.Len() > 0 {
		f.reasoning.WriteString("\n")
	}
	f.reasoning.WriteString(f.answer.String())
	f.answer.Reset()
	f.spaces, f.dropped, f.run, f.last = "", false, nil, 0
	f.inline, f.fence = false, false
}

var (
	openTags  = []string{"<think>", "<thinking>", "<thought>", "<reasoning>"}
	closeTags = []string{"</think>", "</thinking>", "</thought>", "</reasoning>"}

	reasoningLabel = regexp.MustCompile(`(?i)^[*#_> ]*(?:chain of thought|reasoning|thinking|thoughts?|推理过程|推理|思考过程|思考|分析)[*_ ]*[:：]`)
	answerLabel    = regexp.MustCompile(`(?i)^[*#_> ]*(?:final answer|answer|最终答案|最终回答|最終答案|回答|答案)[*_ ]*[:：]`)
)

// tag returns the length of the tag that text begins with, or whether it may still become one.
func tag(text string, tags []string, final bool) (n int, wait bool) {
	for _, t := range tags {
		if len(text) >= len(t) && strings.EqualFold(text[:len(t)], t) {
			return len(t), false
		}
		if !final && len(text) < len(t) && strings.EqualFold(text, t[:len(text)]) {
			wait = true
		}
	}
	return 0, wait
}

// lineHead is as much of a line's beginning as is needed to see whether it is a label: up to its first
// colon or its end, at most 40 bytes. ok is false while that much has not arrived.
func lineHead(text string, final bool) (head string, ok bool) {
	const most = 40
	if !final {
		text = text[:len(text)-partialRune(text)]
	}
	if i := strings.IndexAny(text[:min(len(text), most)], ":\n"); i >= 0 {
		text, ok = text[:i+1], true
	}
	// A full-width colon is three bytes and may lie across the limit: look for it by its rune.
	for i, r := range text {
		if i >= most {
			return text[:i], true
		}
		if r == '：' {
			return text[:i+len("：")], true
		}
	}
	return text, ok || final
}

// partialRune is the length of the incomplete rune at the end of text.
func partialRune(text string) int {
	for n := 1; n <= min(3, len(text)); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if !utf8.FullRuneInString(text[len(text)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

const (
	markerMost = 64 // bytes between the brackets
	markerWord = `(?:passages?|sources?|docs?|documents?|refs?|references?|citations?|段落|来源|來源|资料|資料|文档|文檔|文献|文獻|片段|引用|第)?\s*#?`
)

var (
	markerBody  = regexp.MustCompile(`(?i)^\s*\^?\s*` + markerWord + `\s*([0-9]{1,3}(?:\s*[-–—~]\s*[0-9]{1,3})?(?:\s*(?:[,，、;；/&|]|and|和|\s)\s*\^?\s*` + markerWord + `\s*[0-9]{1,3}(?:\s*[-–—~]\s*[0-9]{1,3})?)*)\s*(?:†.*|段|页)?$`)
	markerRange = regexp.MustCompile(`([0-9]{1,3})(?:\s*[-–—~]\s*([0-9]{1,3}))?`)
)

// marker reads the citation that text begins with: [1], [1, 2], [1-3], [^1], [source 1], 【1】, 【1†x】,
// ［１］. n is its length, 0 when it is none, and wait says that more of the text is needed to tell.
func marker(text string, final bool) (numbers []int, n int, wait bool) {
	_, open := utf8.DecodeRuneInString(text)
	if !final {
		text = text[:len(text)-partialRune(text)]
	}
	for i, r := range text[open:] {
		switch {
		case i > markerMost, r == '\n', r == '[', r == '【', r == '［', r == utf8.RuneError:
			return nil, 0, false
		case r == ']', r == '】', r == '］':
			body := norm.NFKC.String(text[open : open+i])
			m := markerBody.FindStringSubmatch(body)
			if m == nil {
				return nil, 0, false
			}
			for _, one := range markerRange.FindAllStringSubmatch(m[1], -1) {
				a, _ := strconv.Atoi(one[1])
				b := a
				if one[2] != "" {
					b, _ = strconv.Atoi(one[2])
				}
				for k := a; k <= min(b, a+20); k++ {
					numbers = append(numbers, k)
				}
			}
			return numbers, open + i + utf8.RuneLen(r), false
		}
	}
	if len(text)-open > markerMost+4 {
		return nil, 0, false
	}
	return nil, 0, !final
}
