package agent

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// A Call is a wish of the model to run a tool.
type Call struct {
	ID    string // the model's own id of the call; empty for calls written as text
	Tool  string // the tool's name; as registered when it is known, else as the model wrote it
	Input string // the tool's input, unwrapped from JSON where it was a single value
}

// A Reply is what a model's text amounts to. At most one of Calls and Answer is set; when neither is,
// the reply holds nothing to act upon.
type Reply struct {
	Thought string
	Calls   []Call
	Answer  string
}

// maxReply bounds the text ParseReply looks at, in bytes. A model that writes more is rambling.
const maxReply = 64 << 10

// maxCalls bounds the tool calls taken from one reply.
const maxCalls = 8

// What is taken out of a reply before it is read: thinking, and control tokens of chat templates that leak into text.
var (
	thinkRE     = regexp.MustCompile(`(?is)<(?:think|thinking|thought|reasoning)>(.*?)(?:</(?:think|thinking|thought|reasoning)>|\z)`)
	thinkTailRE = regexp.MustCompile(`(?is)\A(.*?)</(?:think|thinking|thought|reasoning)>`)
	controlRE   = regexp.MustCompile(`<\|(?:im_end|im_start|eot_id|eom_id|end|endoftext|end_of_text)\|>(?:assistant)?|</s>|</?(?:function_calls|tool_calls|answer|final_answer)>`)
)

// ParseReply reads a model's text reply. It never fails: what carries neither a tool call nor a final
// answer under any of the known shapes is a plain chat reply, and that is an answer. tools are the
// names of the tools there are.
//
// Known shapes are the labels of the ReAct paper in English and Chinese with ASCII or full-width
// colons and any Markdown dress, JSON objects bare or fenced ({"action":…,"action_input":…} and its
// cousins), and the tool-call markup of common chat templates (<tool_call>…</tool_call>,
// [TOOL_CALLS], <function=…>, <invoke name=…>). The first call or answer in the text counts;
// observations that the model made up after a call, and all that it concluded from them, are dropped.
func ParseReply(text string, tools []string) Reply {
	if len(text) > maxReply {
		text = text[:maxReply]
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	p := parser{tools: tools}
	var r Reply
	text, r.Thought = p.splitThinking(text)
	text = controlRE.ReplaceAllString(text, "")

	tagCalls, tagAt := p.tagCalls(text)
	preamble, secs := sections(text)

	// A label section counts only where it comes before the first tool-call markup.
	if len(tagCalls) > 0 {
		if first, ok := p.firstDecision(preamble, secs); !ok || first >= tagAt {
			r.Thought = joinThought(r.Thought, stripLabels(text[:tagAt]))
			r.Calls = tagCalls
			return r
		}
	}
	if calls, thought, ok := p.labelled(preamble, secs, &r); ok {
		r.Thought = joinThought(r.Thought, thought)
		r.Calls = calls
		return r
	}
	if r.Answer != "" {
		return r
	}
	if calls, answer, before, ok := p.jsonReply(text); ok {
		r.Thought = joinThought(r.Thought, stripLabels(before))
		r.Calls, r.Answer = calls, answer
		return r
	}
	if len(secs) > 0 && p.scratchpadOnly(preamble, secs) {
		r.Thought = joinThought(r.Thought, stripLabels(text))
		return r
	}
	r.Answer = p.cleanAnswer(text)
	return r
}

type parser struct{ tools []string }

// splitThinking takes <think> blocks out of text. A closing tag without an opening one ends a block
// that began before the text did; an opening one without a closing one runs to the end.
func (p parser) splitThinking(text string) (rest, thought string) {
	if m := thinkTailRE.FindStringSubmatchIndex(text); m != nil {
		if open := thinkRE.FindStringIndex(text); open == nil || open[0] > m[1] {
			thought = strings.TrimSpace(text[m[2]:m[3]])
			text = text[m[1]:]
		}
	}
	rest = thinkRE.ReplaceAllStringFunc(text, func(s string) string {
		thought = joinThought(thought, thinkRE.FindStringSubmatch(s)[1])
		return ""
	})
	return rest, strings.TrimSpace(thought)
}

// known maps a name as a model writes it ("Knowledge Search", "`calculator`") to the tool meant.
func (p parser) known(name string) (string, bool) {
	key := foldName(name)
	for _, t := range p.tools {
		if foldName(t) == key {
			return t, true
		}
	}
	return cleanName(name), false
}

func cleanName(name string) string {
	return strings.Trim(strings.TrimSpace(name), "`*_\"'“”「」『』[]()<>.。,，;；: \t\r\n")
}

func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '_', '-', '\t':
			return -1
		}
		return unicode.ToLower(r)
	}, cleanName(name))
}

// answerFrom is an answer's text up to the scratchpad that some models go on with.
func (p parser) answerFrom(body string, rest []section) string {
	var b strings.Builder
	b.WriteString(body)
	for i, s := range rest {
		if s.kind == labelThought || s.kind == labelObservation {
			break
		}
		if s.kind == labelAction {
			if calls, ok := p.action(s.body, rest[i+1:]); ok && len(calls) > 0 {
				break
			}
		}
		if s.kind == labelInput {
			break
		}
		if s.kind == labelFinal && strings.TrimSpace(b.String()) == "" {
			b.Reset()
		}
		// Words like "Answer:" inside the answer are part of it; their label text is lost with the
		// cut, and an answer reads well without.
		b.WriteString(s.body)
	}
	return p.cleanAnswer(b.String())
}

// cleanAnswer takes what is not meant for the reader out of an answer.
func (p parser) cleanAnswer(s string) string {
	s = toolTagRE.ReplaceAllString(s, "")
	s = strings.TrimSpace(s)
	// A whole answer in a code fence is a wrapper; a JSON one may still name the answer.
	if m := fenceRE.FindStringSubmatch(s); m != nil && !strings.Contains(m[1], "```") && (strings.HasPrefix(s, "```\n") || strings.HasPrefix(s, "```text") || strings.HasPrefix(s, "```markdown")) {
		s = strings.TrimSpace(m[1])
	}
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "```json") {
		if _, answer, _, ok := p.jsonReply(s); ok && answer != "" {
			return answer
		}
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		var inner string
		if json.Unmarshal([]byte(s), &inner) == nil {
			s = strings.TrimSpace(inner)
		}
	}
	if strings.Count(s, "```")%2 == 1 {
		s = strings.TrimSpace(strings.TrimSuffix(s, "```"))
	}
	return s
}

func joinThought(a, b string) string {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + "\n" + b
}
