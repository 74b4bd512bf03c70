package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tmc/langchaingo/llms"

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

// TestCallsInPieces: what is streamed of calls that are held to their form is, put together, what they are in the end,
// wherever the reply is cut.
func TestCallsInPieces(t *testing.T) {
	for _, tt := range []struct {
		name, reply string
		style       toolStyle
		single      bool
		want        []string
		text        string
	}{
		{"hermes", "I look.\n<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"a \\\" } b\", \"n\": [1, {\"x\": 2}]}}\n</tool_call>", hermes, false, []string{`search{"query":"a \" } b","n":[1,{"x":2}]}`}, "I look."},
		{"two", "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"search\",\"arguments\":{\"q\": 1}}</tool_call>", hermes, false, []string{`now{}`, `search{"q":1}`}, ""},
		{"one of two", "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"search\",\"arguments\":{\"q\": 1}}</tool_call>", hermes, true, []string{`now{}`}, ""},
		{"a list", "[TOOL_CALLS] [{\"name\": \"search\", \"arguments\": {\"q\": [1, 2]}}, {\"name\": \"now\", \"arguments\": {}}]", mistral, false, []string{`search{"q":[1,2]}`, `now{}`}, ""},
		{"without marks", "{\"name\": \"search\", \"parameters\": {\"q\": \"年假\"}}", llama, false, []string{`search{"q":"年假"}`}, ""},
		{"cut short", "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"q\": \"wh", hermes, false, []string{`search{"q":"wh`}, ""},
		{"cut in the name", "<tool_call>\n{\"name\": \"sea", hermes, false, nil, "\n{\"name\": \"sea"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check := func(pieces []string) (most int) {
				p := newReplyParser(&toolUse{style: tt.style, single: tt.single, tools: []engine.Tool{{Name: "search"}, {Name: "now"}}}, false)
				p.sure = true
				var text, got, final []string
				var ids []string
				take := func(deltas []CallDelta) {
					for _, d := range deltas {
						if d.Index == len(got) {
							got, ids = append(got, d.Name), append(ids, d.ID)
						} else if d.Name != "" || d.ID != "" {
							t.Fatalf("named twice: %+v", d)
						}
						got[d.Index] += d.Arguments
					}
					most = max(most, len(deltas))
				}
				for _, piece := range pieces {
					_, x := p.add(piece)
					text = append(text, x)
					take(p.progress())
				}
				_, x, calls := p.finish()
				text = append(text, x)
				take(p.progress())
				for i, c := range calls {
					final = append(final, c.Name+c.Arguments)
					if c.ID != ids[i] {
						t.Fatalf("call %d was %s and is %s", i, ids[i], c.ID)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Fatalf("%q: %s", pieces, diff)
				}
				if diff := cmp.Diff(tt.want, final); diff != "" {
					t.Fatalf("%q in the end: %s", pieces, diff)
				}
				if all := strings.Join(text, ""); all != tt.text {
					t.Fatalf("%q: text %q", pieces, all)
				}
				return len(got)
			}
			check([]string{tt.reply})
			check(strings.Split(tt.reply, ""))
			for at := range tt.reply {
				check([]string{tt.reply[:at], tt.reply[at:]})
			}
		})
	}
}

func TestRemoteOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		provider, option string
		opts             llms.CallOptions
		local            LocalOptions
	}{
		"grammar":           {OpenAI, "grammar", llms.CallOptions{}, LocalOptions{Grammar: "root ::= x"}},
		"regex":             {Ollama, "regex", llms.CallOptions{}, LocalOptions{Regex: "a"}},
		"logprobs":          {OpenAI, "logprobs", llms.CallOptions{}, LocalOptions{LogProbs: -1}},
		"adapter":           {OpenAI, "adapter", llms.CallOptions{}, LocalOptions{Adapter: "legal"}},
		"mirostat":          {OpenAI, "mirostat", llms.CallOptions{}, LocalOptions{Mirostat: 2}},
		"typical":           {OpenAI, "typical_p", llms.CallOptions{}, LocalOptions{Typical: 0.5}},
		"two streams":       {OpenAI, "n", llms.CallOptions{N: 2}, LocalOptions{Deltas: func(Delta) error { return nil }}},
		"two of Ollama":     {Ollama, "n", llms.CallOptions{N: 2}, LocalOptions{}},
		"weights of tokens": {Ollama, "logit_bias", llms.CallOptions{}, LocalOptions{Bias: map[int32]float32{1: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &remote{provider: tt.provider}
			_, err := m.GenerateContent(context.Background(), nil, llms.WithOptions(tt.opts), WithLocal(tt.local))
			var refused *OptionError
			if !errors.As(err, &refused) || refused.Option != tt.option {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRemoteMembers: what langchaingo's clients have no way to send is in the request.
func TestRemoteMembers(t *testing.T) {
	local := LocalOptions{Schema: []byte(`{"type":"object"}`), MinP: 0.1, OneCall: true, OwnTemperature: true, Adapter: NoAdapter}
	sent := func(provider string, local LocalOptions, opts llms.CallOptions, body string) string {
		t.Helper()
		m := &remote{provider: provider}
		x := &exchange{}
		var err error
		if x.members, x.options, err = m.members(&opts, local); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest("POST", "http://localhost/", strings.NewReader(body))
		if err == nil {
			req, err = x.fill(req)
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(req.Body)
		if err != nil || int64(len(raw)) != req.ContentLength {
			t.Fatalf("%v, %d bytes, said to be %d", err, len(raw), req.ContentLength)
		}
		return string(raw)
	}
	tool := llms.CallOptions{TopP: 0.5, TopK: 20, Tools: []llms.Tool{{Type: "function", Function: &llms.FunctionDefinition{Name: "f"}}}}
	if got, want := sent(OpenAI, local, tool, `{"model":"m","temperature":0,"seed":12345678901234567}`),
		`{"min_p":0.1,"model":"m","parallel_tool_calls":false,"response_format":{"json_schema":{"name":"answer","schema":{"type":"object"},"strict":true},"type":"json_schema"},"seed":12345678901234567,"top_k":20,"top_p":0.5}`; got != want {
		t.Errorf("to OpenAI\n%s\nwant\n%s", got, want)
	}
	if got, want := sent(OpenAI, LocalOptions{Bias: map[int32]float32{42: -100}}, llms.CallOptions{}, `{"temperature":0}`), `{"logit_bias":{"42":-100},"temperature":0}`; got != want {
		t.Errorf("to OpenAI %s, want %s", got, want)
	}
	if got, want := sent(Ollama, local, llms.CallOptions{}, `{"format":"","options":{"temperature":0,"num_ctx":8192}}`),
		`{"format":{"type":"object"},"options":{"min_p":0.1,"num_ctx":8192}}`; got != want {
		t.Errorf("to Ollama %s, want %s", got, want)
	}
	if got := sent(OpenAI, LocalOptions{}, llms.CallOptions{}, `{"a": 1}`); got != `{"a": 1}` {
		t.Errorf("nothing to add: %s", got)
	}
}
