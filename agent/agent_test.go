package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/tools"

	"docent/agent"
	"docent/chain"
	"docent/chunker"
	"docent/retriever"
)

// script is a model that gives its replies in order, and its last one from then on. It streams them in
// small pieces.
type script struct {
	mu      sync.Mutex
	replies []any // string, llms.ContentChoice, error, func(ctx) (string, error)
	calls   [][]llms.MessageContent
	tooled  []bool
	piece   int // bytes a piece; 0 means 5
}

func (s *script) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, s, prompt, options...)
}

func (s *script) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	var opts llms.CallOptions
	for _, o := range options {
		o(&opts)
	}
	s.mu.Lock()
	reply := s.replies[min(len(s.calls), len(s.replies)-1)]
	s.calls = append(s.calls, messages)
	s.tooled = append(s.tooled, len(opts.Tools) > 0)
	s.mu.Unlock()
	var choice llms.ContentChoice
	switch r := reply.(type) {
	case string:
		choice.Content = r
	case llms.ContentChoice:
		choice = r
	case error:
		return nil, r
	case func(context.Context) (string, error):
		text, err := r(ctx)
		if err != nil {
			return nil, err
		}
		choice.Content = text
	}
	if opts.StreamingFunc != nil {
		n := s.piece
		if n == 0 {
			n = 5
		}
		for rest := choice.Content; rest != ""; {
			k := min(n, len(rest))
			if err := opts.StreamingFunc(ctx, []byte(rest[:k])); err != nil {
				return nil, err
			}
			rest = rest[k:]
		}
		for _, tc := range choice.ToolCalls { // as langchaingo's OpenAI client does
			if tc.FunctionCall == nil {
				continue
			}
			_ = opts.StreamingFunc(ctx, fmt.Appendf(nil, `[{"id":%q,"type":"function","function":{"name":%q,"arguments":%q}}]`, tc.ID, tc.FunctionCall.Name, tc.FunctionCall.Arguments))
		}
	}
	choice.GenerationInfo = map[string]any{"PromptTokens": 10, "CompletionTokens": 2}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{&choice}}, nil
}

func nativeCall(id, name, args string) llms.ToolCall {
	return llms.ToolCall{ID: id, Type: "function", FunctionCall: &llms.FunctionCall{Name: name, Arguments: args}}
}

// handbook finds the same two passages for every query.
func handbook(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return []retriever.Hit{
		{ChunkID: 1, Score: 0.9, Chunk: chunker.Chunk{Text: "Employees get 25 days of annual leave. 员工每年享有25天年假。", Start: 10, End: 90, FirstPage: 3, Headings: []string{"Leave"}},
			Document: retriever.Document{ID: "d1", Title: "Handbook", Path: "handbook.pdf"}},
		{ChunkID: 2, Score: 0.5, Chunk: chunker.Chunk{Text: "Unused leave is paid out at the end of the year.", Start: 100, End: 150},
			Document: retriever.Document{ID: "d1", Title: "Handbook", Path: "handbook.pdf"}},
	}, nil
}

type toolFunc struct {
	name string
	f    func(context.Context, string) (string, error)
}

func (t toolFunc) Name() string                                        { return t.name }
func (t toolFunc) Description() string                                 { return "a tool of the tests" }
func (t toolFunc) Call(ctx context.Context, in string) (string, error) { return t.f(ctx, in) }

func testTools() []tools.Tool {
	return []tools.Tool{
		agent.NewKnowledgeSearch(handbook, 0),
		agent.Calculator{},
		toolFunc{"panics", func(context.Context, string) (string, error) { panic("boom: secret") }},
		toolFunc{"hangs", func(ctx context.Context, _ string) (string, error) { select {} }},
		toolFunc{"fails", func(context.Context, string) (string, error) { return "", errors.New("the disk is on fire") }},
		toolFunc{"floods", func(context.Context, string) (string, error) { return strings.Repeat("flood ", 1<<14), nil }},
	}
}

func newAgent(t *testing.T, model llms.Model, steps int) *agent.Agent {
	t.Helper()
	a, err := agent.New(agent.Config{Model: model, ModelName: "script", Tools: testTools(), MaxSteps: steps, ToolTimeout: 50 * time.Millisecond, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestMalformedReplies is the acceptance table: whatever shape the first replies have, the run ends
// within its budget in a cited answer without a trace of the scratchpad.
func TestMalformedReplies(t *testing.T) {
	const (
		search = "Thought: look\nAction: knowledge_search\nAction Input: leave"
		final  = "Thought: I have it\nFinal Answer: You get 25 days [1]."
	)
	tests := []struct {
		name    string
		replies []any
		observe string // wanted in some tool result or message to the model
	}{
		{"well formed", []any{search, final}, "25 days"},
		{"full-width colons", []any{"Thought：look\nAction：knowledge_search\nAction Input：leave", "Final Answer：You get 25 days [1]."}, "25 days"},
		{"chinese labels", []any{"思考：查一下\n行动：knowledge_search\n行动输入：年假", "思考：知道了\n最终答案：每年25天年假 [1]。"}, "25天"},
		{"mixed languages", []any{"思考：查一下\nAction: knowledge_search\n行动输入：年假", "Final Answer：每年25天 [1]。"}, "25天"},
		{"json fence", []any{"```json\n{\"action\":\"knowledge_search\",\"action_input\":\"leave\"}\n```", "```json\n{\"action\":\"Final Answer\",\"action_input\":\"You get 25 days [1].\"}\n```"}, "25 days"},
		{"bare json", []any{`{"tool":"knowledge_search","input":"leave"}`, `{"final_answer":"You get 25 days [1]."}`}, "25 days"},
		{"tool_call tag", []any{"<tool_call>{\"name\":\"knowledge_search\",\"arguments\":{\"query\":\"leave\"}}</tool_call>", final}, "25 days"},
		{"tool_call tag left open", []any{"<tool_call>\n{\"name\":\"knowledge_search\",\"arguments\":{\"query\":\"leave\"}}", final}, "25 days"},
		{"text, then tool", []any{"Sure, I will look that up for you.\n\nAction: knowledge_search\nAction Input: leave", final}, "25 days"},
		{"text, then native tool", []any{llms.ContentChoice{Content: "Sure, I will look that up.", ToolCalls: []llms.ToolCall{nativeCall("a", "knowledge_search", `{"query":"leave"}`)}}, "You get 25 days [1]."}, "25 days"},
		{"invented observation", []any{search + "\nObservation: 99 days\nThought: so\nFinal Answer: You get 99 days [1].", final}, "25 days"},
		{"unknown tool", []any{"Action: google\nAction Input: leave", search, final}, "There is no tool named \"google\". The tools are: knowledge_search, calculator"},
		{"unknown native tool", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{nativeCall("a", "google", `{"q":"leave"}`)}}, search, final}, "There is no tool named \"google\""},
		{"same call for ever", []any{search}, "very call before"},
		{"same call three times", []any{search, search, search, final}, "very call before"},
		{"different calls for ever", []any{search, "Action: calculator\nAction Input: 1+1", "Action: calculator\nAction Input: 1+2", "Action: calculator\nAction Input: 1+3",
			"Action: calculator\nAction Input: 1+4", "Action: calculator\nAction Input: 1+5", "Action: calculator\nAction Input: 1+6", "Action: calculator\nAction Input: 1+7"}, "25 days"},
		{"tool panics", []any{"Action: panics\nAction Input: x", search, final}, "panics failed: it broke on this input"},
		{"tool hangs", []any{"Action: hangs\nAction Input: x", search, final}, "hangs took longer than 50ms"},
		{"tool fails", []any{"Action: fails\nAction Input: x", search, final}, "fails failed: the disk is on fire"},
		{"tool floods", []any{"Action: floods\nAction Input: x", search, final}, "(cut)"},
		{"empty reply", []any{"", search, final}, "neither a tool call nor an answer"},
		{"thought only", []any{search, "Thought: I wonder", final}, "neither a tool call nor an answer"},
		{"thoughts for ever", []any{search, "Thought: I wonder"}, "neither a tool call nor an answer"},
		{"think tags", []any{"<think>secret plan</think>" + search, "<think>secret plan</think>You get 25 days [1]."}, "25 days"},
		{"think never closed", []any{search, "<think>secret plan", final}, "neither a tool call nor an answer"},
		{"scratchpad after the answer", []any{search, final + "\nThought: done\nAction: knowledge_search\nAction Input: secret"}, "25 days"},
		{"answer without citation", []any{search, "Final Answer: 25.", final}, "number of the passage it rests on"},
		{"answer without citation to the end", []any{search, "Final Answer: Employees get 25 days of annual leave."}, "25 days"},
		{"answer cites nothing that is", []any{search, "Final Answer: 25 [7].", final}, "number of the passage it rests on"},
		{"empty arguments", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{nativeCall("a", "knowledge_search", "")}}, search, final}, "the query is empty"},
		{"broken arguments", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{nativeCall("a", "knowledge_search", `{"query": "leave`)}}, final}, "25 days"},
		{"arguments in pieces", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{nativeCall("a", "knowledge_search", `{"que`), nativeCall("", "", `ry":"leave"}`)}}, final}, "25 days"},
		{"native call without id", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{nativeCall("", "knowledge_search", `{"query":"leave"}`)}}, final}, "25 days"},
		{"call without a function", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{{ID: "x"}}}, search, final}, "neither a tool call"},
		{"deprecated function call", []any{llms.ContentChoice{FuncCall: &llms.FunctionCall{Name: "knowledge_search", Arguments: `{"query":"leave"}`}}, final}, "25 days"},
		{"two native calls", []any{llms.ContentChoice{ToolCalls: []llms.ToolCall{nativeCall("a", "knowledge_search", `{"query":"leave"}`), nativeCall("a", "calculator", `{"expression":"5*5"}`)}}, final}, "25"},
		{"server refuses tools", []any{errors.New("API returned unexpected status code: 400: model does not support tools"), search, final}, "25 days"},
		{"model breaks off", []any{search, errors.New("connection reset")}, "25 days"},
		{"model panics", []any{search, func(context.Context) (string, error) { panic("model") }}, "25 days"},
		{"control tokens", []any{search + "<|im_end|>", final + "<|im_end|>"}, "25 days"},
		{"letters that change length", []any{"ȺȺȺ final answer: \n" + search, final}, "25 days"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			model := &script{replies: tt.replies}
			const steps = 6
			var done *chain.Answer
			var observed, tokens strings.Builder
			open := map[string]bool{}
			for event, err := range newAgent(t, model, steps).Stream(t.Context(), "How much leave do I get?") {
				if err != nil {
					t.Fatal(err)
				}
				if done != nil {
					t.Errorf("%T after Done", event)
				}
				switch e := event.(type) {
				case chain.Status:
					tokens.Reset()
				case chain.ToolCall:
					if open[e.ID] {
						t.Errorf("two calls with id %q", e.ID)
					}
					open[e.ID] = true
					tokens.Reset()
				case chain.ToolResult:
					if !open[e.ID] {
						t.Errorf("result of the unknown call %q", e.ID)
					}
					observed.WriteString(e.Output + e.Error + "\n")
				case chain.Token:
					tokens.WriteString(e.Text)
				case chain.Done:
					done = &e.Answer
				}
			}
			if done == nil {
				t.Fatal("no answer")
			}
			model.mu.Lock()
			defer model.mu.Unlock()
			for _, messages := range model.calls {
				for _, m := range messages {
					for _, p := range m.Parts {
						if text, ok := p.(llms.TextContent); ok {
							observed.WriteString(text.Text + "\n")
						}
					}
				}
			}
			if n := len(model.calls); n > steps+1 { // one more where tools are refused
				t.Errorf("%d calls of the model for a budget of %d", n, steps)
			}
			if !strings.Contains(done.Text, "25") {
				t.Errorf("answer %q, citations %v", done.Text, done.Citations)
			}
			if len(done.Citations) == 0 || done.Citations[0].N != 1 || done.Citations[0].DocumentID != "d1" {
				t.Errorf("citations %+v", done.Citations)
			}
			for _, leak := range []string{"Thought", "Action", "Observation", "思考", "行动", "<tool_call", "<think", "secret", "99", "<|", "{\""} {
				if strings.Contains(done.Text, leak) {
					t.Errorf("%q in the answer %q", leak, done.Text)
				}
				if strings.Contains(tokens.String(), leak) {
					t.Errorf("%q in the tokens %q", leak, tokens.String())
				}
			}
			if strings.Contains(observed.String(), "boom: secret") {
				t.Error("the panic's value reached the model")
			}
			if !strings.Contains(observed.String(), tt.observe) {
				t.Errorf("the model was never told %q", tt.observe)
			}
			if len(done.Passages) != 2 {
				t.Errorf("%d passages, want each once", len(done.Passages))
			}
		})
	}
}

func TestNoModel(t *testing.T) {
	if _, err := agent.New(agent.Config{}); !errors.Is(err, agent.ErrNoModel) {
		t.Errorf("got %v", err)
	}
	if _, err := agent.New(agent.Config{Model: &script{}, Tools: []tools.Tool{agent.Calculator{}, agent.Calculator{}}}); err == nil {
		t.Error("two tools of one name were accepted")
	}
	if _, err := agent.New(agent.Config{Model: &script{}, Tools: []tools.Tool{nil}}); err == nil {
		t.Error("a nil tool was accepted")
	}
}

func TestModelUnreachable(t *testing.T) {
	down := errors.New("dial tcp 127.0.0.1:1: connection refused")
	_, err := newAgent(t, &script{replies: []any{down}}, 4).Run(t.Context(), "leave?")
	if !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
	if _, err := newAgent(t, &script{replies: []any{"x"}}, 4).Run(t.Context(), "  "); err == nil {
		t.Error("an empty goal was accepted")
	}
}

// TestStreaming: the answer flows before it is complete, and the label, the thought and tool JSON never do.
func TestStreaming(t *testing.T) {
	long := "You get 25 days of annual leave [1]. " + strings.TrimSpace(strings.Repeat("This is said at length, so that it takes a while to write. ", 20)) + "\n\nAnd it is paid out [2]."
	for name, last := range map[string]string{"labelled": "Thought: now I know\nFinal Answer: " + long, "plain": long, "think": "<think>hm</think>\n" + long} {
		t.Run(name, func(t *testing.T) {
			model := &script{piece: 7, replies: []any{llms.ContentChoice{Content: "I look it up.", ToolCalls: []llms.ToolCall{nativeCall("1", "knowledge_search", `{"query":"leave"}`)}}, last}}
			var text strings.Builder
			pieces := 0
			for event, err := range newAgent(t, model, 4).Stream(t.Context(), "leave?") {
				if err != nil {
					t.Fatal(err)
				}
				switch e := event.(type) {
				case chain.Token:
					pieces++
					text.WriteString(e.Text)
				case chain.Done:
					if strings.TrimSpace(text.String()) != e.Answer.Text || e.Answer.Text != long {
						t.Errorf("streamed %q\nanswer %q\nwant %q", text.String(), e.Answer.Text, long)
					}
				}
			}
			if pieces < 10 {
				t.Errorf("the answer came in %d pieces", pieces)
			}
		})
	}
}

// TestStreamSplits: how the reply is cut into pieces does not change what is shown.
func TestStreamSplits(t *testing.T) {
	for _, tt := range replies {
		for _, piece := range []int{1, 2, 3, 11, 1 << 20} {
			model := &script{piece: piece, replies: []any{tt.text, "Final Answer: done"}}
			a, err := agent.New(agent.Config{Model: model, Tools: []tools.Tool{agent.NewKnowledgeSearch(func(context.Context, string, int, ...retriever.SearchOption) ([]retriever.Hit, error) {
				return nil, nil
			}, 0), agent.Calculator{}}, MaxSteps: 3})
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for event, err := range a.Stream(t.Context(), "x") {
				if err != nil {
					t.Fatal(err)
				}
				switch e := event.(type) {
				case chain.Status:
					text.Reset()
				case chain.Token:
					text.WriteString(e.Text)
				case chain.Done:
					// No passage exists here, so that the checked answer has lost its markers.
					got := strings.TrimSpace(strings.NewReplacer(" [1]", "", " [2]", "").Replace(text.String()))
					answer := strings.TrimSpace(strings.NewReplacer(" .", ".", " 。", "。").Replace(e.Answer.Text))
					if got != answer {
						t.Errorf("%s in pieces of %d: streamed %q, answer %q", tt.name, piece, got, answer)
					}
					for _, leak := range []string{"Thought:", "Action:", "Observation:", "<think", "<tool_call"} {
						if strings.Contains(got, leak) {
							t.Errorf("%s in pieces of %d: %q streamed in %q", tt.name, piece, leak, got)
						}
					}
				}
			}
		}
	}
}

func TestCancel(t *testing.T) {
	cancelled := make(chan string, 4)
	waiting := make(chan struct{}, 4)
	wait := func(who string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			waiting <- struct{}{}
			<-ctx.Done()
			cancelled <- who
			return "", ctx.Err()
		}
	}
	slow := toolFunc{"slow", func(ctx context.Context, _ string) (string, error) { return wait("tool")(ctx) }}
	for name, replies := range map[string][]any{
		"model": {wait("model")},
		"tool":  {"Action: slow\nAction Input: x"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := agent.New(agent.Config{Model: &script{replies: replies}, Tools: []tools.Tool{slow}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-waiting; cancel() }()
			start := time.Now()
			_, err = a.Run(ctx, "x")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			select {
			case who := <-cancelled:
				if who != name {
					t.Errorf("%s was cancelled", who)
				}
			case <-time.After(time.Second):
				t.Error("not cancelled within a second")
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Run("break", func(t *testing.T) {
		a := newAgent(t, &script{replies: []any{"Action: knowledge_search\nAction Input: x"}}, 4)
		for event := range a.Stream(t.Context(), "x") {
			if _, ok := event.(chain.ToolCall); ok {
				break
			}
		}
	})
	t.Run("deaf model", func(t *testing.T) {
		a := newAgent(t, &script{replies: []any{func(context.Context) (string, error) { select {} }}}, 4)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := a.Run(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestTimeBudget: a run out of time still answers, from what it has found.
func TestTimeBudget(t *testing.T) {
	slow := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	a, err := agent.New(agent.Config{Model: &script{replies: []any{"Action: knowledge_search\nAction Input: leave", slow}}, Tools: testTools(), Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.Run(t.Context(), "leave?")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer.Text, "25 days") || len(answer.Citations) == 0 || answer.Notice == "" {
		t.Errorf("got %+v", answer)
	}
}

func TestHistoryAndUsage(t *testing.T) {
	model := &script{replies: []any{"Final Answer: Ten."}}
	answer, err := newAgent(t, model, 4).Run(t.Context(), "and the second?", chain.Turn{Question: "first?", Answer: "Five."})
	if err != nil {
		t.Fatal(err)
	}
	if len(model.calls[0]) != 4 || answer.Usage.PromptTokens != 10 || answer.Model != "script" {
		t.Errorf("%d messages, %+v", len(model.calls[0]), answer)
	}
	if answer.Citations == nil || answer.Passages == nil {
		t.Error("citations or passages are nil")
	}
}

// TestContextBudget: a long run and a long history still fit the model's context.
func TestContextBudget(t *testing.T) {
	var replies []any
	for i := range 6 {
		replies = append(replies, fmt.Sprintf("Action: big\nAction Input: %d", i))
	}
	model := &script{replies: append(replies, "Final Answer: done")}
	big := toolFunc{"big", func(context.Context, string) (string, error) { return strings.Repeat("word ", 1500), nil }}
	a, err := agent.New(agent.Config{Model: model, Tools: []tools.Tool{big}, ContextTokens: 6000, AnswerTokens: 500})
	if err != nil {
		t.Fatal(err)
	}
	var history []chain.Turn
	for range 20 {
		history = append(history, chain.Turn{Question: strings.Repeat("q ", 200), Answer: strings.Repeat("a ", 200)})
	}
	if _, err := a.Run(t.Context(), "go", history...); err != nil {
		t.Fatal(err)
	}
	for i, messages := range model.calls {
		size := 0
		for _, m := range messages {
			for _, p := range m.Parts {
				size += len(p.(llms.TextContent).Text)
			}
		}
		if size/3 > 6000 {
			t.Errorf("call %d has about %d tokens", i, size/3)
		}
		if messages[0].Role != llms.ChatMessageTypeSystem || i == 1 && messages[1].Role != llms.ChatMessageTypeHuman {
			t.Errorf("call %d begins with %v, %v", i, messages[0].Role, messages[1].Role)
		}
	}
}

func TestConcurrentRunsNumberTheirOwnPassages(t *testing.T) {
	a, err := agent.New(agent.Config{Model: stateless{}, Tools: testTools()})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			answer, err := a.Run(t.Context(), "leave?")
			if err != nil || len(answer.Passages) != 2 || len(answer.Citations) != 1 {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
	wg.Wait()
}

// stateless searches first and answers when it sees a passage.
type stateless struct{}

func (stateless) Call(context.Context, string, ...llms.CallOption) (string, error) { return "", nil }

func (stateless) GenerateContent(_ context.Context, messages []llms.MessageContent, _ ...llms.CallOption) (*llms.ContentResponse, error) {
	text := "Action: knowledge_search\nAction Input: leave"
	if len(messages) > 2 {
		text = "Final Answer: 25 days [1]."
	}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{Content: text}}}, nil
}

func TestKnowledgeSearch(t *testing.T) {
	search := agent.NewKnowledgeSearch(handbook, 3)
	var passages agent.Passages
	bound := search.Bind(&passages)
	first, err := bound.Call(t.Context(), " leave\n days ")
	if err != nil || !strings.HasPrefix(first, "[1] Handbook, page 3, Leave\nEmployees get 25 days") || !strings.Contains(first, "[2] Handbook\nUnused") {
		t.Errorf("%q, %v", first, err)
	}
	again, err := bound.Call(t.Context(), "leave")
	if err != nil || !strings.Contains(again, "[1]") || !strings.Contains(again, "found before") || !strings.Contains(again, "Nothing new") {
		t.Errorf("%q, %v", again, err)
	}
	if got := passages.All(); len(got) != 2 || got[1].N != 2 || got[0].Page != 3 {
		t.Errorf("%+v", got)
	}
	none := agent.NewKnowledgeSearch(func(context.Context, string, int, ...retriever.SearchOption) ([]retriever.Hit, error) {
		return nil, nil
	}, 0)
	if out, err := none.Call(t.Context(), "x"); err != nil || !strings.Contains(out, "No passages found") {
		t.Errorf("%q, %v", out, err)
	}
}

func ExampleAgent() {
	model := &script{replies: []any{
		"Thought: I need the rule.\nAction: knowledge_search\nAction Input: annual leave",
		"Thought: A week is 5 of the 25 days.\nAction: calculator\nAction Input: 5 / 25 * 100",
		"Final Answer: A week is 20 % of the 25 days [1].",
	}}
	a, err := agent.New(agent.Config{Model: model, Tools: []tools.Tool{agent.NewKnowledgeSearch(handbook, 2), agent.Calculator{}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range a.Stream(context.Background(), "What share of my leave is one week?") {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch e := event.(type) {
		case chain.ToolCall:
			fmt.Printf("%s(%s)\n", e.Name, e.Input)
		case chain.Done:
			fmt.Println(e.Answer.Text)
		}
	}
	// Output:
	// knowledge_search(annual leave)
	// calculator(5 / 25 * 100)
	// A week is 20 % of the 25 days [1].
}
