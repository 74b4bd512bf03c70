package agent_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"docent/agent"
)

var toolNames = []string{"knowledge_search", "calculator"}

// replies are the shapes in which models were seen to write calls and answers; the fuzz target starts
// from them too.
var replies = []struct {
	name string
	text string
	want agent.Reply
}{
	{"react", "Thought: look it up\nAction: knowledge_search\nAction Input: annual leave",
		agent.Reply{Thought: "look it up", Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"full-width colons", "Thought：look\nAction：knowledge_search\nAction Input：annual leave",
		agent.Reply{Thought: "look", Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"chinese labels", "思考：需要查找年假规定\n行动：knowledge_search\n行动输入：年假规定",
		agent.Reply{Thought: "需要查找年假规定", Calls: []agent.Call{{Tool: "knowledge_search", Input: "年假规定"}}}},
	{"chinese labels, other words", "想法: 算一下\n工具: calculator\n工具输入: 12*3",
		agent.Reply{Thought: "算一下", Calls: []agent.Call{{Tool: "calculator", Input: "12*3"}}}},
	{"markdown labels", "**Thought:** look\n\n**Action:** `knowledge_search`\n**Action Input:** \"annual leave\"",
		agent.Reply{Thought: "look", Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"numbered labels", "Thought 1: look\nAction 1: knowledge_search[annual leave]",
		agent.Reply{Thought: "look", Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"lower case, one line", "thought: look action: knowledge_search action input: annual leave",
		agent.Reply{Thought: "look", Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"function syntax", "Action: calculator(2 * (3 + 4))", agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "2 * (3 + 4)"}}}},
	{"keyword argument", `Action: knowledge_search(query="annual leave")`, agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"name then input", "Action: knowledge_search annual leave", agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"name spelled freely", "Action: Knowledge Search\nAction Input: leave", agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"json input", "Action: knowledge_search\nAction Input: {\"query\": \"annual leave\"}", agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "annual leave"}}}},
	{"fenced input", "Action: calculator\nAction Input:\n```\n1 + 1\n```", agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "1 + 1"}}}},
	{"invented observation", "Action: knowledge_search\nAction Input: leave\nObservation: 99 days\nThought: I know\nFinal Answer: 99 days",
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"invented chinese observation", "行动：knowledge_search\n行动输入：年假\n观察：99天\n最终答案：99天",
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "年假"}}}},
	{"input that speaks of the answer", "Action: knowledge_search\nAction Input: what the answer is: leave",
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "what the answer is: leave"}}}},
	{"unknown tool", "Action: google\nAction Input: leave", agent.Reply{Calls: []agent.Call{{Tool: "google", Input: "leave"}}}},
	{"json fence", "```json\n{\"action\": \"knowledge_search\", \"action_input\": \"leave\"}\n```",
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"text, then json fence", "I will search.\n```json\n{\"action\": \"knowledge_search\", \"action_input\": {\"query\": \"leave\"}}\n```",
		agent.Reply{Thought: "I will search.", Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"json with thought", `{"thought": "look", "action": "knowledge_search", "input": "leave"}`,
		agent.Reply{Thought: "look", Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"json, openai shape", `{"name": "calculator", "arguments": "{\"expression\": \"2+2\"}"}`,
		agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "2+2"}}}},
	{"json array", `[{"name": "knowledge_search", "arguments": {"query": "a"}}, {"name": "knowledge_search", "arguments": {"query": "b"}}]`,
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "a"}, {Tool: "knowledge_search", Input: "b"}}}},
	{"almost json", "{'action': 'calculator', 'action_input': '2+2'}", agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "2+2"}}}},
	{"json without end", `{"action": "calculator", "action_input": "2+2"`, agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "2+2"}}}},
	{"json final", `{"action": "Final Answer", "action_input": "Five days [1]."}`, agent.Reply{Answer: "Five days [1]."}},
	{"json final_answer", "```json\n{\"final_answer\": \"Five days [1].\"}\n```", agent.Reply{Answer: "Five days [1]."}},
	{"tool_call tag", "<tool_call>\n{\"name\": \"knowledge_search\", \"arguments\": {\"query\": \"leave\"}}\n</tool_call>",
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"tool_call tag, not closed", "Let me see. <tool_call>{\"name\": \"knowledge_search\", \"arguments\": {\"query\": \"leave\"}}",
		agent.Reply{Thought: "Let me see.", Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"two tool_call tags", "<tool_call>{\"name\":\"calculator\",\"arguments\":{\"expression\":\"1+1\"}}</tool_call>\n<tool_call>{\"name\":\"calculator\",\"arguments\":{\"expression\":\"2+2\"}}</tool_call>",
		agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "1+1"}, {Tool: "calculator", Input: "2+2"}}}},
	{"mistral", `[TOOL_CALLS][{"name": "calculator", "arguments": {"expression": "1+1"}}]`, agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "1+1"}}}},
	{"python tag", `<|python_tag|>{"name": "calculator", "parameters": {"expression": "1+1"}}`, agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "1+1"}}}},
	{"function tag", "<function=knowledge_search>{\"query\": \"leave\"}</function>", agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"function tag with parameters", "<tool_call>\n<function=knowledge_search>\n<parameter=query>\nleave\n</parameter>\n</function>\n</tool_call>",
		agent.Reply{Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"invoke tag", `<function_calls><invoke name="calculator"><parameter name="expression">1+1</parameter></invoke></function_calls>`,
		agent.Reply{Calls: []agent.Call{{Tool: "calculator", Input: "1+1"}}}},
	{"think, then call", "<think>I should search\nAction: nothing</think>\nAction: knowledge_search\nAction Input: leave",
		agent.Reply{Thought: "I should search\nAction: nothing", Calls: []agent.Call{{Tool: "knowledge_search", Input: "leave"}}}},
	{"think closed only", "I should say five.</think>Five days [1].", agent.Reply{Thought: "I should say five.", Answer: "Five days [1]."}},
	{"think never closed", "<think>I wonder and wonder", agent.Reply{Thought: "I wonder and wonder"}},
	{"final answer", "Thought: I know\nFinal Answer: Five days [1].", agent.Reply{Thought: "I know", Answer: "Five days [1]."}},
	{"final answer on the thought's line", "Thought: I know now. Final Answer: Five days [1].", agent.Reply{Thought: "I know now.", Answer: "Five days [1]."}},
	{"chinese final", "思考：知道了\n最终答案：五天 [1]。", agent.Reply{Thought: "知道了", Answer: "五天 [1]。"}},
	{"action is final answer", "Action: Final Answer\nAction Input: Five days [1].", agent.Reply{Answer: "Five days [1]."}},
	{"scratchpad after the answer", "Final Answer: Five days [1].\nThought: done\nAction: knowledge_search\nAction Input: more", agent.Reply{Answer: "Five days [1]."}},
	{"made-up question after the answer", "Final Answer: Five days [1].\nObservation: ok", agent.Reply{Answer: "Five days [1]."}},
	{"control tokens", "Final Answer: Five days [1].<|im_end|>", agent.Reply{Answer: "Five days [1]."}},
	{"answer of several lines", "Final Answer:\n1. Five days [1].\n\n2. Ten days [2].", agent.Reply{Answer: "1. Five days [1].\n\n2. Ten days [2]."}},
	{"plain chat", "Hello! How can I help?", agent.Reply{Answer: "Hello! How can I help?"}},
	{"plain chat with json", "Use this body:\n```json\n{\"name\": \"Bob\", \"action\": \"create\"}\n```\nand send it.",
		agent.Reply{Answer: "Use this body:\n```json\n{\"name\": \"Bob\", \"action\": \"create\"}\n```\nand send it."}},
	{"bytes change length when lowered", "ȺȺȺȺ Thought: final answer: x\nFinal Answer: ok", agent.Reply{Thought: "ȺȺȺȺ Thought: final answer: x", Answer: "ok"}},
	{"thought only", "Thought: I wonder what to do", agent.Reply{Thought: "I wonder what to do"}},
	{"empty", "", agent.Reply{}},
	{"blank", " \n\t", agent.Reply{}},
	{"label only", "Final Answer:", agent.Reply{}},
	{"action none", "Thought: nothing to do\nAction: None\nAction Input: n/a\nFinal Answer: Hello.", agent.Reply{Thought: "nothing to do", Answer: "Hello."}},
}

func TestParseReply(t *testing.T) {
	for _, tt := range replies {
		t.Run(tt.name, func(t *testing.T) {
			got := agent.ParseReply(tt.text, toolNames)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseReplyIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"braces":   strings.Repeat("{", 1<<20),
		"brackets": strings.Repeat("[{\"a\":", 1<<18),
		"labels":   strings.Repeat("Thought: x\n", 1<<16),
		"actions":  strings.Repeat("Thought: Action: ", 1<<16),
		"tags":     strings.Repeat("<tool_call>{}", 1<<16),
		"thinks":   strings.Repeat("<think>", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			r := agent.ParseReply(text, toolNames)
			if len(r.Calls) > 8 {
				t.Errorf("%d calls", len(r.Calls))
			}
		})
	}
}

func FuzzParseReply(f *testing.F) {
	for _, tt := range replies {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := agent.ParseReply(text, toolNames)
		if len(r.Calls) > 0 && r.Answer != "" {
			t.Errorf("%q: both calls and an answer", text)
		}
		for _, c := range r.Calls {
			if c.Tool == "" {
				t.Errorf("%q: a call without a tool", text)
			}
		}
		for _, s := range []string{r.Answer, r.Thought} {
			if !utf8.ValidString(s) {
				t.Errorf("%q: %q is not UTF-8", text, s)
			}
		}
		if strings.Contains(r.Answer, "<tool_call>") {
			t.Errorf("%q: markup in the answer %q", text, r.Answer)
		}
	})
}
