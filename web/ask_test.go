package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"docent/agent"
	"docent/chain"
	"docent/internal/catalog"
	"docent/internal/llm"
	"docent/web"
)

func TestAskBadInput(t *testing.T) {
	h := filled(t)
	conv, err := h.store.Catalog().CreateConversation(t.Context(), catalog.Conversation{Collection: "docs", Title: "x"})
	if err != nil {
		t.Fatal(err)
	}
	h.run(t, []scenario{
		{"no body", "POST", "/api/ask", nil, nil, 400, nil, nil},
		{"malformed", "POST", "/api/ask", `{"question`, nil, 400, []string{`"bad_request"`}, nil},
		{"no question", "POST", "/api/ask", `{"collection":"docs"}`, nil, 400, []string{"question is empty"}, nil},
		{"blank question", "POST", "/api/ask", `{"collection":"docs","question":" \n"}`, nil, 400, nil, nil},
		{"long question", "POST", "/api/ask", map[string]any{"collection": "docs", "question": strings.Repeat("why ", 4000)}, nil, 400, []string{"longer than"}, nil},
		{"no collection", "POST", "/api/ask", `{"question":"x"}`, nil, 400, []string{"collection is missing"}, nil},
		{"unknown collection", "POST", "/api/ask", `{"collection":"nope","question":"x"}`, nil, 404, []string{"nope"}, nil},
		{"unknown conversation", "POST", "/api/ask", `{"collection":"docs","question":"x","conversation_id":"nope"}`, nil, 404, nil, nil},
		{"conversation of another collection", "POST", "/api/ask", map[string]any{"collection": "other", "question": "x", "conversation_id": conv.ID}, nil, 400, []string{"docs"}, nil},
		{"choices without a model", "POST", "/api/ask", `{"collection":"docs","question":"x","choices":["a","b"]}`, nil, 400, []string{"no language model"}, nil},
		{"unknown adapter", "POST", "/api/ask", `{"collection":"docs","question":"x","adapter":"legal"}`, nil, 400, []string{"legal", "there are: none"}, nil},
		{"unknown style", "POST", "/api/ask", `{"collection":"docs","question":"x","style":"haiku"}`, nil, 400, []string{"haiku", "plain, reasoning"}, nil},
		{"agent without a model", "POST", "/api/ask", `{"collection":"docs","question":"x","agent":true}`, nil, 503, []string{`"model_unavailable"`, "language model"}, nil},
		{"wrong method", "GET", "/api/ask", nil, nil, 405, nil, nil},
	})
	if all, err := h.store.Catalog().Conversations(t.Context(), 0, 0); err != nil || len(all) != 1 {
		t.Errorf("refused questions left conversations: %v, %v", all, err)
	}
}

// TestAskForReal asks the real chain, which quotes, over the real store.
func TestAskForReal(t *testing.T) {
	h := filled(t)
	resp := h.send(t, t.Context(), "POST", "/api/ask", `{"collection":"docs","question":"How many days of annual leave do employees get?"}`)
	defer resp.Body.Close()
	events := readEvents(resp.Body, nil)
	got := names(events)
	if !strings.HasPrefix(got, "started ") || !strings.HasSuffix(got, " done") || !strings.Contains(got, "sources") || !strings.Contains(got, "token") {
		t.Fatalf("events %s", got)
	}
	var started struct {
		ConversationID string `json:"conversation_id"`
		MessageID      string `json:"message_id"`
	}
	if err := json.Unmarshal([]byte(events[0].data), &started); err != nil {
		t.Fatal(err)
	}
	var done struct{ Answer chain.Answer }
	if err := json.Unmarshal([]byte(events[len(events)-1].data), &done); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(done.Answer.Text, "25 days") || len(done.Answer.Citations) == 0 || done.Answer.Citations[0].Path != "handbook.md" {
		t.Errorf("answer %+v", done.Answer)
	}

	status, body := h.do(t, "GET", "/api/conversations/"+started.ConversationID, nil)
	var conv struct {
		Title    string
		Messages []struct {
			ID, Role, Content string
			Answer            *chain.Answer
		}
	}
	if err := json.Unmarshal([]byte(body), &conv); err != nil || status != 200 {
		t.Fatalf("%d %v %s", status, err, body)
	}
	if conv.Title != "How many days of annual leave do employees get?" || len(conv.Messages) != 2 || conv.Messages[0].Role != "user" ||
		conv.Messages[1].ID != started.MessageID || conv.Messages[1].Content != done.Answer.Text || conv.Messages[1].Answer == nil {
		t.Errorf("conversation %s", body)
	}

	// In the same conversation, in one piece, in Chinese.
	status, body = h.do(t, "POST", "/api/ask", map[string]any{"question": "员工每年有多少天年假？", "conversation_id": started.ConversationID, "stream": false})
	var reply struct {
		ConversationID string `json:"conversation_id"`
		MessageID      string `json:"message_id"`
		chain.Answer
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil || status != 200 {
		t.Fatalf("%d %v %s", status, err, body)
	}
	if reply.ConversationID != started.ConversationID || !strings.Contains(reply.Text, "二十五天") || len(reply.Citations) == 0 {
		t.Errorf("reply %s", body)
	}
}

func TestAskEvents(t *testing.T) {
	passage := chain.Passage{N: 1, DocumentID: "d", Document: "D", Path: "d.md", Text: "text"}
	answer := chain.Answer{Text: "The answer [1].", Citations: []chain.Citation{{N: 1}}, Passages: []chain.Passage{passage}, Model: "m"}
	tests := []struct {
		name    string
		script  []any
		events  string
		message []string // in the stored message
	}{
		{"answer", []any{chain.Status{Stage: "searching", Query: "q"}, chain.Sources{Passages: []chain.Passage{passage}}, chain.Token{Text: "The "}, chain.Token{Text: "answer"}, chain.Done{Answer: answer}},
			"started status sources token done", []string{`"content":"The answer [1]."`, `"answer":{"answer":"The answer [1]."`}},
		{"steps", []any{chain.Status{Stage: "thinking"}, chain.Reasoning{Text: "I "}, chain.Reasoning{Text: "think"}, chain.Token{Text: "remark"}, chain.ToolCall{ID: "1", Name: "calculator", Input: "1+1"}, chain.ToolResult{ID: "1", Name: "calculator", Output: "2"}, chain.Done{Answer: answer}},
			"started status reasoning token tool_call tool_result done", []string{`"steps":[{"type":"reasoning","data":{"text":"I think"}},{"type":"tool_call","data":{"id":"1","input":"1+1","name":"calculator"}},{"type":"tool_result"`}},
		{"model fails", []any{chain.Token{Text: "half an ans"}, fmt.Errorf("ask: %w", llm.ErrUnreachable)},
			"started token error", []string{`"content":"half an ans"`, `"error":{"code":"model_unavailable","message":"ask: model server unreachable"}`}},
		{"internal error stays inside", []any{errors.New("secret path /home/x")}, "started error", []string{`"code":"internal"`}},
		{"ends without an answer", []any{chain.Token{Text: "x"}}, "started token error", []string{`"code":"internal"`}},
		{"panics", []any{chain.Token{Text: "x"}, func(context.Context) { panic("secret path") }}, "started token error", []string{`"code":"internal"`}},
		{"heartbeat", []any{120 * time.Millisecond, chain.Done{Answer: answer}}, "started : done", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := filled(t, func(c *web.Config) { c.Ask = scripted(tt.script...); c.Heartbeat = 50 * time.Millisecond })
			resp := h.send(t, t.Context(), "POST", "/api/ask", `{"collection":"docs","question":"x"}`)
			defer resp.Body.Close()
			events := readEvents(resp.Body, nil)
			if got := names(events); got != tt.events {
				t.Errorf("events %q, want %q", got, tt.events)
			}
			for _, e := range events {
				if strings.Contains(e.data, "secret") {
					t.Errorf("%s says %s", e.name, e.data)
				}
			}
			var started struct {
				ID string `json:"conversation_id"`
			}
			if err := json.Unmarshal([]byte(events[0].data), &started); err != nil {
				t.Fatal(err)
			}
			_, body := h.do(t, "GET", "/api/conversations/"+started.ID, nil)
			for _, w := range tt.message {
				if !strings.Contains(body, w) {
					t.Errorf("no %s in %s", w, body)
				}
			}
		})
	}
}

// TestAskStreams: an event reaches the reader before the next one is made.
func TestAskStreams(t *testing.T) {
	seen := make(chan struct{})
	h := filled(t, func(c *web.Config) {
		c.Ask = scripted(chain.Token{Text: "first"}, func(ctx context.Context) {
			select {
			case <-seen:
			case <-time.After(5 * time.Second):
				t.Error("the first token was not seen before the last was made")
			}
		}, chain.Done{Answer: chain.Answer{Text: "first last"}})
	})
	resp := h.send(t, t.Context(), "POST", "/api/ask", `{"collection":"docs","question":"x"}`)
	defer resp.Body.Close()
	readEvents(resp.Body, func(e event) bool {
		if e.name == "token" {
			close(seen)
		}
		return false
	})
}

// TestAskCancel: closing the connection cancels the work within a second and keeps what was written.
func TestAskCancel(t *testing.T) {
	cancelled := make(chan time.Time, 1)
	h := filled(t, func(c *web.Config) {
		c.Ask = scripted(chain.Token{Text: "half an ans"}, func(ctx context.Context) {
			select {
			case <-ctx.Done():
				cancelled <- time.Now()
			case <-time.After(10 * time.Second):
			}
		}, chain.Done{Answer: chain.Answer{Text: "whole"}})
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp := h.send(t, ctx, "POST", "/api/ask", `{"collection":"docs","question":"What is it?"}`)
	readEvents(resp.Body, func(e event) bool { return e.name == "token" })
	cancel()
	at := time.Now()
	resp.Body.Close()
	select {
	case when := <-cancelled:
		if d := when.Sub(at); d > time.Second {
			t.Errorf("cancelled after %v", d)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not cancelled")
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		convs, err := h.store.Catalog().Conversations(t.Context(), 0, 0)
		if err != nil || len(convs) != 1 {
			t.Fatalf("%v %v", convs, err)
		}
		messages, err := h.store.Catalog().Messages(t.Context(), convs[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 2 {
			if messages[1].Content != "half an ans" || !strings.Contains(string(messages[1].Data), `"code":"cancelled"`) {
				t.Errorf("kept %q %s", messages[1].Content, messages[1].Data)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("what was written is not kept")
		}
	}
}

func TestHistoryReachesTheChain(t *testing.T) {
	var got atomic.Value
	h := filled(t, func(c *web.Config) {
		c.Ask = func(_ context.Context, _ string, q chain.Question) iter.Seq2[chain.Event, error] {
			got.Store(q)
			return func(yield func(chain.Event, error) bool) {
				if strings.HasPrefix(q.Text, "fail") {
					yield(nil, errors.New("x"))
					return
				}
				yield(chain.Done{Answer: chain.Answer{Text: "re: " + q.Text}}, nil)
			}
		}
	})
	id := ""
	for _, q := range []string{"one", "fail", "two", "three"} {
		_, body := h.do(t, "POST", "/api/ask", map[string]any{"collection": "docs", "question": q, "conversation_id": id, "stream": false, "style": "reasoning"})
		var reply struct {
			ID string `json:"conversation_id"`
		}
		if err := json.Unmarshal([]byte(body), &reply); err != nil {
			t.Fatal(err)
		}
		if reply.ID != "" {
			id = reply.ID
		}
	}
	q := got.Load().(chain.Question)
	if q.Text != "three" || q.Style != "reasoning" || fmt.Sprint(q.History) != "[{one re: one} {two re: two}]" {
		t.Errorf("got %+v", q)
	}
}

func TestAgent(t *testing.T) {
	h := filled(t, func(c *web.Config) {
		c.Model = func(context.Context) web.Model {
			return web.Model{Provider: llm.OpenAI, Name: "m", Adapters: []string{"legal"}}
		}
		c.ModelStatus = func() (llm.Status, bool) { return llm.Status{Context: 64, Adapters: []string{"legal"}}, true }
		c.Agent = func(_ context.Context, collection string, goal chain.Question) iter.Seq2[chain.Event, error] {
			return func(yield func(chain.Event, error) bool) {
				if goal.Text == "none" {
					yield(nil, agent.ErrNoModel)
					return
				}
				yield(chain.Done{Answer: chain.Answer{Text: fmt.Sprintf("%s %s, %d, %d", collection, goal.Text, len(goal.Where.Values), len(goal.Search))}}, nil)
			}
		}
	})
	h.run(t, []scenario{
		{"goal", "POST", "/api/ask", `{"collection":"docs","question":"go","agent":true,"stream":false}`, nil, 200, []string{`"answer":"docs go, 0, 0"`}, nil},
		{"filter", "POST", "/api/ask", `{"collection":"docs","question":"go","agent":true,"stream":false,"where":"path = a","retrieval":{"hops":2}}`, nil, 200, []string{`"answer":"docs go, 1, `}, []string{"go, 1, 0"}},
		{"bad setting", "POST", "/api/ask", `{"collection":"docs","question":"go","retrieval":{"hops":"many"}}`, nil, 400, []string{"hops"}, nil},
		{"unknown setting", "POST", "/api/ask", `{"collection":"docs","question":"go","retrieval":{"colour":1}}`, nil, 400, []string{"colour"}, nil},
		{"no model", "POST", "/api/ask", `{"collection":"docs","question":"none","agent":true,"stream":false}`, nil, 503, []string{`"model_unavailable"`}, nil},
		{"info", "GET", "/api/info", nil, nil, 200, []string{`"agent":true`, `"adapters":["legal"]`}, nil},
		{"status", "GET", "/api/status", nil, nil, 200, []string{`"context":64`, `"waiting":0`, `"cache":0`}, nil},
		{"choices for the agent", "POST", "/api/ask", `{"collection":"docs","question":"go","agent":true,"choices":["a","b"]}`, nil, 400, []string{"agent"}, nil},
		{"one choice", "POST", "/api/ask", `{"collection":"docs","question":"go","choices":["a"]}`, nil, 400, []string{"want 2 to 64"}, nil},
	})
}

func TestConcurrentAsks(t *testing.T) {
	h := filled(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			status, body := h.do(t, "POST", "/api/ask", map[string]any{"collection": "docs", "question": "How many days of annual leave do employees get?", "stream": i%2 == 0})
			if status != 200 || !strings.Contains(body, "25 days") {
				t.Errorf("%d %.300s", status, body)
			}
			if i%3 == 0 {
				h.upload(t, "docs", file{fmt.Sprintf("%d.md", i), "Another text about pumps."})
			}
			h.do(t, "GET", "/api/collections", nil)
		})
	}
	wg.Wait()
	h.settle(t, "docs")
	if all, err := h.store.Catalog().Conversations(t.Context(), 0, 0); err != nil || len(all) != 12 {
		t.Errorf("%d conversations, %v", len(all), err)
	}
}
