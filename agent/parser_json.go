package agent

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A code fence around a whole text, and the keys of a call in what is almost JSON.
var (
	fenceRE     = regexp.MustCompile("(?s)\\A\\s*```[a-zA-Z_]*[ \\t]*\\n?(.*?)(?:\n?```\\s*)?\\z")
	looseNameRE = regexp.MustCompile(`(?i)["'](?:action|tool|tool_name|name)["']\s*:\s*["']([^"'\n]{1,80})["']`)
	looseArgRE  = regexp.MustCompile(`(?is)["'](?:action_input|tool_input|input|arguments|query|expression)["']\s*:\s*(.+)`)
)

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
