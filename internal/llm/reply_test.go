package llm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/internal/llm/engine"
)

// replyCases are replies with what is to be made of them; calls as NAME{ARGUMENTS}.
var replyCases = []struct {
	name, reply   string
	style         *toolStyle // nil: no tools
	thought, text string
	calls         []string
}{
	{"text", "Thirty days.", nil, "", "Thirty days.", nil},
	{"text with tools", "Thirty days. ", &hermes, "", "Thirty days.", nil},
	{"thought", "<think>\nhm <tool_call> hm\n</think>\n\nThirty.", nil, "\nhm <tool_call> hm\n", "Thirty.", nil},
	{"only a thought", " <think>hm", nil, "hm", "", nil},
	{"less than", "<thin> & <", nil, "", "<thin> & <", nil},
	{"hermes", "I look.\n<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"a </b>\"}}\n</tool_call>", &hermes, "", "I look.", []string{`search{"query":"a </b>"}`}},
	{"two", "<tool_call>{\"name\":\"now\"}</tool_call>\n<tool_call>{\"name\":\"search\",\"arguments\":\"{\\\"q\\\": 1}\"}</tool_call>\nSo.", &hermes, "", "So.", []string{`now{}`, `search{"q":1}`}},
	{"thought and call", "<think>x</think>\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>", &hermes, "x", "", []string{`now{}`}},
	{"broken call", "A <tool_call>{\"name\": </tool_call> B", &hermes, "", "A<tool_call>{\"name\": </tool_call> B", nil},
	{"cut short", "<tool_call>\n{\"name\": \"now\", \"argu", &hermes, "", "\n{\"name\": \"now\", \"argu", nil},
	{"without its end", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}", &hermes, "", "", []string{`now{}`}},
	{"no tools asked for", "<tool_call>{\"name\": \"now\"}</tool_call>", nil, "", "<tool_call>{\"name\": \"now\"}</tool_call>", nil},
	{"mistral", "[TOOL_CALLS] [{\"name\": \"search\", \"arguments\": {\"q\": [1]}}, {\"name\": \"now\", \"arguments\": {}}]", &mistral, "", "", []string{`search{"q":[1]}`, `now{}`}},
	{"newer mistral", "[TOOL_CALLS]search[ARGS]{\"q\": 1}", &mistral, "", "", []string{`search{"q":1}`}},
	{"llama", `{"name": "search", "parameters": {"q": "x"}}`, &llama, "", "", []string{`search{"q":"x"}`}},
	{"llama, two", `{"name": "now", "parameters": {}}; {"type": "function", "name": "search", "parameters": {"q": "x"}}`, &llama, "", "", []string{`now{}`, `search{"q":"x"}`}},
	{"python tag", `<|python_tag|>{"name": "search", "parameters": {"q": "x"}}`, &llama, "", "", []string{`search{"q":"x"}`}},
	{"openai's shape", `[{"type": "function", "function": {"name": "now", "arguments": "{}"}}]`, &plain, "", "", []string{`now{}`}},
	{"fence", "Let me see:\n```json\n{\"name\": \"now\", \"arguments\": {}}\n```\nDone", &plain, "", "Let me see:Done", []string{`now{}`}},
	{"fence with an answer", "See:\n```json\n{\"days\": 3}\n```", &plain, "", "See:```json\n{\"days\": 3}\n```", nil},
	{"an answer in JSON", `{"days": 30}`, &llama, "", `{"days": 30}`, nil},
	{"an answer with a name", `{"name": "Ada", "age": 3}`, &llama, "", `{"name": "Ada", "age": 3}`, nil},
	{"later JSON", `So: {"name": "now", "parameters": {}}`, &llama, "", `So: {"name": "now", "parameters": {}}`, nil},
	{"not an object", `{"name": "now", "parameters": [1]}`, &llama, "", `{"name": "now", "parameters": [1]}`, nil},
}

type replyParts struct {
	Thought, Text string
	Calls         []string
}

func parseReply(style *toolStyle, pieces []string) replyParts {
	var use *toolUse
	if style != nil {
		use = &toolUse{style: *style, tools: []engine.Tool{{Name: "search"}, {Name: "now"}}}
	}
	p := newReplyParser(use, false)
	var out replyParts
	for _, piece := range pieces {
		thought, text := p.add(piece)
		out.Thought += thought
		out.Text += text
	}
	thought, text, calls := p.finish()
	out.Thought += thought
	out.Text += text
	for _, c := range calls {
		if len(c.ID) != 9 {
			panic("an id of " + c.ID)
		}
		out.Calls = append(out.Calls, c.Name+c.Arguments)
	}
	return out
}

func TestReply(t *testing.T) {
	for _, c := range replyCases {
		t.Run(c.name, func(t *testing.T) {
			want := replyParts{c.thought, c.text, c.calls}
			if diff := cmp.Diff(want, parseReply(c.style, []string{c.reply})); diff != "" {
				t.Errorf("as one piece: %s", diff)
			}
			if diff := cmp.Diff(want, parseReply(c.style, strings.Split(c.reply, ""))); diff != "" {
				t.Errorf("letter by letter: %s", diff)
			}
			for at := range c.reply {
				if diff := cmp.Diff(want, parseReply(c.style, []string{c.reply[:at], c.reply[at:]})); diff != "" {
					t.Fatalf("cut at %d: %s", at, diff)
				}
			}
		})
	}
}

// FuzzReply: what is made of a reply does not depend on where it is cut, and no text is lost unless it was
// a call, a mark or a blank.
func FuzzReply(f *testing.F) {
	for i, c := range replyCases {
		f.Add(c.reply, i%len(c.reply), byte(i))
	}
	styles := []*toolStyle{nil, &hermes, &mistral, &llama, &plain}
	f.Fuzz(func(t *testing.T, reply string, at int, style byte) {
		if len(reply) == 0 {
			return
		}
		s := styles[int(style)%len(styles)]
		at = ((at % len(reply)) + len(reply)) % len(reply)
		whole, cut := parseReply(s, []string{reply}), parseReply(s, []string{reply[:at], reply[at:]})
		if diff := cmp.Diff(whole, cut); diff != "" {
			t.Error(diff)
		}
		if s == nil && !strings.Contains(reply, thoughtOpen) && whole.Text != reply {
			t.Errorf("%q became %q", reply, whole.Text)
		}
	})
}

func TestCallIDs(t *testing.T) {
	seen := map[string]string{}
	for i := range 2000 {
		id := fmt.Sprintf("call_%d", i)
		got := callID(id)
		if len(got) != 9 || got != callID(id) || seen[got] != "" {
			t.Fatalf("%s: %s (%s)", id, got, seen[got])
		}
		seen[got] = id
	}
	if callID("abc123xyz") != "abc123xyz" {
		t.Error("a good id is changed")
	}
}

func TestOneCallEach(t *testing.T) {
	call := func(id string) engine.ToolCall { return engine.ToolCall{ID: id, Name: "f", Arguments: "{}"} }
	got := oneCallEach([]engine.Message{
		{Role: "user", Content: "q"}, {Role: "assistant", Content: "x", ToolCalls: []engine.ToolCall{call("a"), call("b")}},
		{Role: "tool", CallID: "b", Content: "B"}, {Role: "tool", CallID: "a", Content: "A"}, {Role: "tool", CallID: "c", Content: "C"}, {Role: "user", Content: "r"},
	})
	want := []engine.Message{
		{Role: "user", Content: "q"}, {Role: "assistant", Content: "x", ToolCalls: []engine.ToolCall{call("a")}}, {Role: "tool", CallID: "a", Content: "A"},
		{Role: "assistant", ToolCalls: []engine.ToolCall{call("b")}}, {Role: "tool", CallID: "b", Content: "B"}, {Role: "tool", CallID: "c", Content: "C"}, {Role: "user", Content: "r"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLocalOnly(t *testing.T) {
	if _, err := new(remote).GenerateContent(context.Background(), nil, WithLocal(LocalOptions{Regex: "a"})); !errors.Is(err, ErrLocalOnly) {
		t.Error(err)
	}
}
