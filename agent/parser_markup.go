package agent

import (
	"regexp"
	"strings"
)

// Markup that chat templates use for tool calls.
var (
	toolTagRE   = regexp.MustCompile(`(?is)(?:<\|?(?:tool_call|tool_calls|function_call|toolcall)\|?>|\[TOOL_CALLS?\]|<\|python_tag\|>)(.*?)(?:<\|?/\|?(?:tool_call|tool_calls|function_call|toolcall)\|?>|<\|?tool_call_end\|?>|\z)`)
	functionRE  = regexp.MustCompile(`(?is)<function=["']?([\w .-]+)["']?>(.*?)(?:</function>|\z)`)
	invokeRE    = regexp.MustCompile(`(?is)<invoke name=["']([\w .-]+)["']>(.*?)(?:</invoke>|\z)`)
	parameterRE = regexp.MustCompile(`(?is)<parameter(?:=| name=)["']?([\w-]+)["']?>(.*?)(?:</parameter>|\z)`)
	xmlActionRE = regexp.MustCompile(`(?is)<action>(.*?)</action>\s*(?:<(?:action_)?input>(.*?)(?:</(?:action_)?input>|\z))?`)
)

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
