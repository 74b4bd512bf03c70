package agent

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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

type label int

const (
	labelThought label = iota
	labelAction
	labelInput
	labelObservation
	labelFinal
)

// labelRE finds a label at the start of a line, whatever Markdown it wears: "**Action:** ", "> 行动：",
// "Thought 2:". Longer labels come first. The match is made on the original bytes: lower-casing first
// changes the length of some letters, and with it every offset.
var labelRE = regexp.MustCompile(`(?im)^[ \t]*(?:[>#*•-]+[ \t]*)*[*_` + "`" + `]{0,3}(?:` +
	`(?P<final>final[ \t_-]*answer|answer|最终(?:答案|回答|答复)|答案)|` +
	`(?P<input>action[ \t_-]*input|tool[ \t_-]*input|(?:行动|动作|工具|操作)(?:的)?(?:输入|参数))|` +
	`(?P<action>action|tool|行动|动作|工具|操作)|` +
	`(?P<thought>thoughts?|thinking|reasoning|思考|想法|思路)|` +
	`(?P<observation>observations?|观察(?:结果)?|观测)` +
	`)(?:[ \t]*\d{1,2})?[*_` + "`" + `]{0,3}[ \t]*[:：][*_` + "`" + `]{0,3}[ \t]*`)

// Labels that models also write in the middle of a line.
var (
	inlineInputRE = regexp.MustCompile(`(?i)[\s,，;；|]*(?:action[ \t_-]*input|(?:行动|动作|工具)输入)[ \t]*[:：][ \t]*`)
	inlineFinalRE = regexp.MustCompile(`(?i)(?:final[ \t_-]*answer|最终(?:答案|回答|答复))[ \t]*[:：][ \t]*`)
	inlineCallRE  = regexp.MustCompile(`(?i)(?:action|行动|动作)[ \t]*[:：][ \t]*`)
)

// Markup that chat templates use for tool calls, and control tokens that leak into text.
var (
	thinkRE     = regexp.MustCompile(`(?is)<(?:think|thinking|thought|reasoning)>(.*?)(?:</(?:think|thinking|thought|reasoning)>|\z)`)
	thinkTailRE = regexp.MustCompile(`(?is)\A(.*?)</(?:think|thinking|thought|reasoning)>`)
	toolTagRE   = regexp.MustCompile(`(?is)(?:<\|?(?:tool_call|tool_calls|function_call|toolcall)\|?>|\[TOOL_CALLS?\]|<\|python_tag\|>)(.*?)(?:<\|?/\|?(?:tool_call|tool_calls|function_call|toolcall)\|?>|<\|?tool_call_end\|?>|\z)`)
	functionRE  = regexp.MustCompile(`(?is)<function=["']?([\w .-]+)["']?>(.*?)(?:</function>|\z)`)
	invokeRE    = regexp.MustCompile(`(?is)<invoke name=["']([\w .-]+)["']>(.*?)(?:</invoke>|\z)`)
	parameterRE = regexp.MustCompile(`(?is)<parameter(?:=| name=)["']?([\w-]+)["']?>(.*?)(?:</parameter>|\z)`)
	xmlActionRE = regexp.MustCompile(`(?is)<action>(.*?)</action>\s*(?:<(?:action_)?input>(.*?)(?:</(?:action_)?input>|\z))?`)
	controlRE   = regexp.MustCompile(`<\|(?:im_end|im_start|eot_id|eom_id|end|endoftext|end_of_text)\|>(?:assistant)?|</s>|</?(?:function_calls|tool_calls|answer|final_answer)>`)
	fenceRE     = regexp.MustCompile("(?s)\\A\\s*```[a-zA-Z_]*[ \\t]*\\n?(.*?)(?:\n?```\\s*)?\\z")
	looseNameRE = regexp.MustCompile(`(?i)["'](?:action|tool|tool_name|name)["']\s*:\s*["']([^"'\n]{1,80})["']`)
	looseArgRE  = regexp.MustCompile(`(?is)["'](?:action_input|tool_input|input|arguments|query|expression)["']\s*:\s*(.+)`)
)

type section struct {
	kind       label
	start, end int // of the label itself
	body       string
}

// sections cuts text at the labels that open a line. Text before the first label is returned apart.
func sections(text string) (preamble string, out []section) {
	matches := labelRE.FindAllStringSubmatchIndex(text, -1)
	if len(matches) == 0 {
		return text, nil
	}
	for i, m := range matches {
		s := section{start: m[0], end: m[1]}
		for kind, group := range map[label]string{labelFinal: "final", labelInput: "input",
			labelAction: "action", labelThought: "thought", labelObservation: "observation"} {
			if g := labelRE.SubexpIndex(group); m[2*g] >= 0 {
				s.kind = kind
			}
		}
		stop := len(text)
		if i+1 < len(matches) {
			stop = matches[i+1][0]
		}
		s.body = text[m[1]:stop]
		out = append(out, s)
	}
	return text[:matches[0][0]], out
}

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

// firstDecision is the offset of the first label that would decide the reply.
func (p parser) firstDecision(preamble string, secs []section) (int, bool) {
	for _, s := range secs {
		if s.kind == labelFinal || s.kind == labelAction {
			return s.start, true
		}
		if s.kind == labelThought {
			if m := inlineFinalRE.FindStringIndex(s.body); m != nil {
				return s.end + m[0], true
			}
		}
	}
	return 0, false
}

// labelled reads sections in order up to the first call, or to the first answer, which it puts in r.
func (p parser) labelled(preamble string, secs []section, r *Reply) (calls []Call, thought string, ok bool) {
	thoughts := []string{}
	if t := strings.TrimSpace(preamble); t != "" && len(secs) > 0 {
		thoughts = append(thoughts, t)
	}
	for i, s := range secs {
		switch s.kind {
		case labelThought:
			if before, call, found := p.inlineCall(s.body, secs[i+1:]); found {
				return []Call{call}, joinThought(strings.Join(thoughts, "\n"), before), true
			}
			if m := inlineFinalRE.FindStringIndex(s.body); m != nil {
				r.Thought = joinThought(r.Thought, joinThought(strings.Join(thoughts, "\n"), s.body[:m[0]]))
				r.Answer = p.answerFrom(s.body[m[1]:], secs[i+1:])
				return nil, "", false
			}
			thoughts = append(thoughts, strings.TrimSpace(s.body))
		case labelAction:
			if answer, isFinal := finalAction(s.body, secs[i+1:]); isFinal {
				r.Thought = joinThought(r.Thought, strings.Join(thoughts, "\n"))
				r.Answer = p.cleanAnswer(answer)
				return nil, "", false
			}
			if cs, found := p.action(s.body, secs[i+1:]); found {
				return cs, strings.Join(thoughts, "\n"), true
			}
		case labelFinal:
			r.Thought = joinThought(r.Thought, strings.Join(thoughts, "\n"))
			r.Answer = p.answerFrom(s.body, secs[i+1:])
			if r.Answer != "" {
				return nil, "", false
			}
		case labelInput, labelObservation:
			// An input without an action or an observation before any call is the model talking to
			// itself.
		}
	}
	return nil, "", false
}

// inlineCall finds "… Action: tool … Action Input: …" inside a thought's line. Only tools that exist
// count here, since prose speaks of actions too.
func (p parser) inlineCall(body string, rest []section) (before string, call Call, ok bool) {
	for _, m := range inlineCallRE.FindAllStringIndex(body, 8) {
		cs, found := p.action(body[m[1]:], rest)
		if found && len(cs) == 1 && slices.Contains(p.tools, cs[0].Tool) {
			return body[:m[0]], cs[0], true
		}
	}
	return "", Call{}, false
}

// finalAction recognises "Action: Final Answer" followed by its input.
func finalAction(body string, rest []section) (string, bool) {
	head := body
	var tail string
	if m := inlineInputRE.FindStringIndex(body); m != nil {
		head, tail = body[:m[0]], body[m[1]:]
	}
	switch foldName(head) {
	case "finalanswer", "finish", "最终答案", "最终回答":
	default:
		return "", false
	}
	if tail == "" && len(rest) > 0 && rest[0].kind == labelInput {
		tail = rest[0].body
	}
	return unwrapInput(tail), tail != ""
}

// action reads the body of an action label: a tool's name with its input on the same line, after an
// input label, or as JSON.
func (p parser) action(body string, rest []section) ([]Call, bool) {
	if calls, _, _, ok := p.jsonReply(body); ok && len(calls) > 0 {
		return calls, true
	}
	name, input, hasInput := strings.TrimSpace(body), "", false
	if m := inlineInputRE.FindStringIndex(body); m != nil {
		name, input, hasInput = body[:m[0]], body[m[1]:], true
	} else if len(rest) > 0 && rest[0].kind == labelInput {
		input, hasInput = rest[0].body, true
	}
	name = strings.TrimSpace(name)
	firstLine, restOfBody, _ := strings.Cut(name, "\n")
	if !hasInput {
		// knowledge_search("leave policy"), knowledge_search[leave], knowledge_search: leave
		if i := strings.IndexAny(firstLine, "([（【"); i > 0 {
			if tool, known := p.known(firstLine[:i]); known {
				arg := strings.TrimSpace(name[i:])
				_, n := utf8.DecodeRuneInString(arg)
				arg = strings.TrimRight(arg[n:], " \t\r\n")
				for _, closing := range []string{")", "]", "）", "】"} {
					if strings.HasSuffix(arg, closing) {
						arg = strings.TrimSuffix(arg, closing)
						break
					}
				}
				return []Call{{Tool: tool, Input: unwrapInput(stripKeyword(arg))}}, true
			}
		}
		if i := strings.IndexAny(firstLine, ":：,，"); i > 0 {
			if tool, known := p.known(firstLine[:i]); known {
				_, n := utf8.DecodeRuneInString(firstLine[i:])
				return []Call{{Tool: tool, Input: unwrapInput(name[i+n:])}}, true
			}
		}
		// "knowledge_search leave policy": the name, then the input without any label.
		if head, tail, cut := strings.Cut(strings.TrimSpace(firstLine), " "); cut {
			if tool, known := p.known(head); known {
				return []Call{{Tool: tool, Input: unwrapInput(tail + "\n" + restOfBody)}}, true
			}
		}
		if tool, known := p.known(firstLine); known {
			return []Call{{Tool: tool, Input: unwrapInput(restOfBody)}}, true
		}
		// A longer phrase is an instruction in an answer ("Action: restart the pump"), not a tool.
		if tool, _ := p.known(firstLine); tool != "" && !strings.ContainsAny(tool, " \t") &&
			utf8.RuneCountInString(tool) <= 40 && restOfBody == "" && asciiWord(tool) {
			return []Call{{Tool: tool}}, true
		}
		return nil, false
	}
	tool, _ := p.known(firstLine)
	if tool == "" {
		return nil, false
	}
	// "none" is how models say that they need no tool.
	switch strings.ToLower(tool) {
	case "none", "n/a", "无", "no action", "不需要":
		return nil, false
	}
	return []Call{{Tool: tool, Input: unwrapInput(input)}}, true
}

func asciiWord(s string) bool {
	for _, r := range s {
		if r > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// stripKeyword turns query="leave policy" into "leave policy".
func stripKeyword(s string) string {
	if k, v, ok := strings.Cut(s, "="); ok {
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "query", "q", "input", "expression", "expr", "question", "text":
			return v
		}
	}
	return s
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

// scratchpadOnly says that text is thoughts, made-up observations and stray inputs, with nothing said
// to the reader.
func (p parser) scratchpadOnly(preamble string, secs []section) bool {
	for _, s := range secs {
		switch s.kind {
		case labelThought, labelInput:
			return true
		case labelFinal:
			return true // with nothing after it
		case labelObservation, labelAction:
			if strings.TrimSpace(preamble) == "" {
				return true
			}
		}
	}
	return false
}

// tagCalls reads tool-call markup; at is where the first begins.
func (p parser) tagCalls(text string) (calls []Call, at int) {
	at = len(text)
	add := func(start int, cs ...Call) {
		for _, c := range cs {
			if c.Tool == "" || len(calls) >= maxCalls {
				continue
			}
			calls = append(calls, c)
			at = min(at, start)
		}
	}
	for _, m := range toolTagRE.FindAllStringSubmatchIndex(text, maxCalls) {
		body := text[m[2]:m[3]]
		if fm := functionRE.FindStringSubmatch(body); fm != nil {
			tool, _ := p.known(fm[1])
			add(m[0], Call{Tool: tool, Input: xmlInput(fm[2])})
			continue
		}
		if cs, _, _, ok := p.jsonReply(body); ok {
			add(m[0], cs...)
			continue
		}
		// name{"query": …} and name\nargument
		name := strings.TrimSpace(body)
		if i := strings.IndexAny(name, "{(\n"); i > 0 {
			if tool, known := p.known(name[:i]); known {
				add(m[0], Call{Tool: tool, Input: unwrapInput(strings.Trim(name[i:], "()\n"))})
			}
		}
	}
	if len(calls) > 0 {
		return calls, at
	}
	for _, m := range functionRE.FindAllStringSubmatchIndex(text, maxCalls) {
		tool, _ := p.known(text[m[2]:m[3]])
		add(m[0], Call{Tool: tool, Input: xmlInput(text[m[4]:m[5]])})
	}
	for _, m := range invokeRE.FindAllStringSubmatchIndex(text, maxCalls) {
		tool, _ := p.known(text[m[2]:m[3]])
		add(m[0], Call{Tool: tool, Input: xmlInput(text[m[4]:m[5]])})
	}
	for _, m := range xmlActionRE.FindAllStringSubmatchIndex(text, 1) {
		tool, known := p.known(text[m[2]:m[3]])
		input := ""
		if m[4] >= 0 {
			input = text[m[4]:m[5]]
		}
		if known || m[4] >= 0 {
			add(m[0], Call{Tool: tool, Input: unwrapInput(input)})
		}
	}
	return calls, at
}

func xmlInput(body string) string {
	if ms := parameterRE.FindAllStringSubmatch(body, -1); len(ms) > 0 {
		if len(ms) == 1 {
			return strings.TrimSpace(ms[0][2])
		}
		args := map[string]any{}
		for _, m := range ms {
			args[m[1]] = strings.TrimSpace(m[2])
		}
		return unwrapArguments(args)
	}
	return unwrapInput(body)
}

// jsonReply looks for a JSON object (or array of them) that is a call or a final answer. before is
// the text ahead of it. Inside longer prose only an object naming a tool that exists counts, as an
// answer may quote JSON.
func (p parser) jsonReply(text string) (calls []Call, answer, before string, ok bool) {
	trimmed := strings.TrimSpace(text)
	tries := 0
	for i := 0; i < len(text) && tries < 32; i++ {
		if text[i] != '{' && text[i] != '[' {
			continue
		}
		tries++
		var v any
		dec := json.NewDecoder(strings.NewReader(text[i:]))
		dec.UseNumber()
		if dec.Decode(&v) != nil {
			continue
		}
		end := i + int(dec.InputOffset())
		rest := strings.Trim(text[end:], " \t\r\n`}")
		before = strings.TrimSpace(strings.TrimSuffix(strings.TrimRight(strings.TrimSuffix(strings.TrimRight(text[:i], " \t\r\n"), "json"), " \t\r\n"), "```"))
		whole := before == "" || rest == ""
		items, isArray := v.([]any)
		if !isArray {
			items = []any{v}
		}
		for _, item := range items {
			obj, isObj := item.(map[string]any)
			if !isObj {
				continue
			}
			call, final, found := p.jsonObject(obj)
			if !found {
				continue
			}
			if thought := stringOf(obj, "thought", "thoughts", "reasoning", "思考"); thought != "" {
				before = joinThought(before, thought)
			}
			if final != "" {
				if whole && len(calls) == 0 {
					return nil, final, before, true
				}
				continue
			}
			if _, isKnown := p.known(call.Tool); (whole || isKnown) && len(calls) < maxCalls {
				calls = append(calls, call)
			}
		}
		if len(calls) > 0 {
			// Further objects on the following lines are further calls ({…}\n{…}); prose between them
			// ends the list.
			for len(calls) < maxCalls && strings.HasPrefix(strings.TrimSpace(text[end:]), "{") {
				next := strings.TrimLeft(text[end:], " \t\r\n")
				at := len(text) - len(next)
				dec := json.NewDecoder(strings.NewReader(next))
				dec.UseNumber()
				var obj map[string]any
				if dec.Decode(&obj) != nil {
					break
				}
				call, final, found := p.jsonObject(obj)
				if !found || final != "" {
					break
				}
				calls = append(calls, call)
				end = at + int(dec.InputOffset())
			}
			return calls, "", before, true
		}
		i = max(i, end-1)
	}
	// Almost JSON: single quotes, raw newlines in strings, a missing brace.
	if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "```") {
		if m := looseNameRE.FindStringSubmatch(text); m != nil {
			if a := looseArgRE.FindStringSubmatch(text); a != nil {
				arg := strings.TrimSpace(a[1])
				arg = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(arg, " \t\r\n"), "```"), " \t\r\n,}")
				arg = strings.Trim(arg, `"' `)
				if isFinalName(m[1]) {
					return nil, arg, "", arg != ""
				}
				if tool, known := p.known(m[1]); known {
					return []Call{{Tool: tool, Input: unwrapInput(arg)}}, "", "", true
				}
			}
		}
	}
	return nil, "", "", false
}

func isFinalName(name string) bool {
	switch foldName(name) {
	case "finalanswer", "finish", "answer", "respond", "最终答案", "最终回答":
		return true
	}
	return false
}

// jsonObject reads one object as a call or a final answer.
func (p parser) jsonObject(obj map[string]any) (call Call, final string, ok bool) {
	if f, isObj := obj["function"].(map[string]any); isObj { // OpenAI's own shape
		return p.jsonObject(f)
	}
	if f, isObj := obj["tool_call"].(map[string]any); isObj {
		return p.jsonObject(f)
	}
	if f, isObj := obj["action"].(map[string]any); isObj {
		return p.jsonObject(f)
	}
	if s := stringOf(obj, "final_answer", "finalAnswer", "Final Answer", "最终答案"); s != "" {
		return Call{}, s, true
	}
	argKeys := []string{"action_input", "actionInput", "tool_input", "input", "arguments", "args", "parameters", "Action Input", "行动输入"}
	var args any
	hasArgs := false
	for _, k := range argKeys {
		if a, has := obj[k]; has {
			args, hasArgs = a, true
			break
		}
	}
	name := stringOf(obj, "action", "Action", "tool", "tool_name", "function", "行动", "工具")
	if name == "" && hasArgs {
		name = stringOf(obj, "name")
	}
	if name == "" {
		if a := stringOf(obj, "answer"); a != "" && len(obj) <= 2 {
			return Call{}, a, true
		}
		return Call{}, "", false
	}
	if !hasArgs {
		if q, has := obj["query"]; has {
			args = q
		} else if x, has := obj["expression"]; has {
			args = x
		}
	}
	input := unwrapArguments(args)
	if isFinalName(name) {
		return Call{}, strings.TrimSpace(input), input != ""
	}
	tool, _ := p.known(name)
	return Call{Tool: tool, Input: input}, "", tool != ""
}

func stringOf(obj map[string]any, keys ...string) string {
	for _, k := range keys {
		if s, ok := obj[k].(string); ok && strings.TrimSpace(s) != "" {
			return strings.TrimSpace(s)
		}
	}
	return ""
}

// unwrapInput takes the quotes, fence or JSON wrapper off a tool's input.
func unwrapInput(s string) string {
	s = strings.TrimSpace(s)
	if m := fenceRE.FindStringSubmatch(s); m != nil {
		s = strings.TrimSpace(m[1])
	}
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "\"") || strings.HasPrefix(s, "[") {
		var v any
		dec := json.NewDecoder(strings.NewReader(s))
		dec.UseNumber()
		if dec.Decode(&v) == nil {
			rest := strings.TrimSpace(s[dec.InputOffset():])
			if str, isStr := v.(string); !isStr || rest == "" {
				if isStr {
					return strings.TrimSpace(str)
				}
				return unwrapArguments(v)
			}
		}
	}
	for _, q := range []string{"`", "“”", "「」", "'"} {
		open, size := utf8.DecodeRuneInString(q)
		closing, _ := utf8.DecodeLastRuneInString(q)
		if len(s) > 2*size && strings.HasPrefix(s, string(open)) && strings.HasSuffix(s, string(closing)) &&
			!strings.ContainsRune(s[size:len(s)-utf8.RuneLen(closing)], open) {
			s = strings.TrimSpace(s[size : len(s)-utf8.RuneLen(closing)])
		}
	}
	return s
}

// unwrapArguments turns a call's JSON arguments into the one string a tool takes: the only value, the
// value under a usual name, else the JSON itself.
func unwrapArguments(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if t := strings.TrimSpace(v); strings.HasPrefix(t, "{") {
			var inner map[string]any
			if json.Unmarshal([]byte(t), &inner) == nil {
				return unwrapArguments(inner)
			}
		}
		return strings.TrimSpace(v)
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
		for _, k := range []string{"input", "query", "expression", "__arg1", "question", "q", "text", "expr", "arg"} {
			if s, ok := v[k].(string); ok && strings.TrimSpace(s) != "" {
				return strings.TrimSpace(s)
			}
		}
		if len(v) == 1 {
			for _, only := range v {
				return unwrapArguments(only)
			}
		}
	case []any:
		if len(v) == 1 {
			return unwrapArguments(v[0])
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

// stripLabels removes the labels and keeps the words, for display as reasoning.
func stripLabels(s string) string {
	return strings.TrimSpace(labelRE.ReplaceAllString(s, ""))
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
