package agent

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

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

// stripLabels removes the labels and keeps the words, for display as reasoning.
func stripLabels(s string) string {
	return strings.TrimSpace(labelRE.ReplaceAllString(s, ""))
}
