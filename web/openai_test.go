package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/chain"
	"docent/internal/llm"
	"docent/internal/llm/llmtest"
	"docent/retriever"
	"docent/web"
)

// tiny is a small random model that the engine computes, with a context of 2,048 tokens.
func tiny(t testing.TB, cfg llm.Config) *llm.LocalModel {
	t.Helper()
	m, err := llm.OpenFile(llmtest.Letters(t, filepath.Join(t.TempDir(), "tiny.gguf"), "llama-q8_0", llmtest.ContextLength(2048)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// speaks gives a house a language model, by the name of "tiny", for itself and for answers from documents.
func speaks(m *llm.LocalModel) option {
	return func(c *web.Config) {
		c.Model = func(context.Context) web.Model {
			return web.Model{Provider: llm.Local, Name: "tiny", LLM: m, Adapters: m.Adapters()}
		}
		store := c.Store
		c.Ask = func(ctx context.Context, collection string, q chain.Question) iter.Seq2[chain.Event, error] {
			qa, err := chain.NewQA(chain.Config{Model: m, ModelName: "tiny", ContextTokens: 2048, CountTokens: func(s string) int { return len(s) },
				Search: func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
					return store.Search(ctx, collection, query, append(opts, retriever.TopK(k))...)
				}})
			if err != nil {
				return func(yield func(chain.Event, error) bool) { yield(nil, err) }
			}
			return qa.Stream(ctx, q)
		}
	}
}

// completed is a reply, or the pieces of a stream put together.
type completed struct {
	ID, Object, Model string
	Choices           []struct {
		Index   int
		Message struct {
			Role      string
			Content   *string
			ToolCalls []called `json:"tool_calls"`
		}
		LogProbs     *struct{ Content []prob }
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Citations []chain.Citation
	Docent    *struct {
		Answer   string
		Passages []chain.Passage
		Declined bool
		Notice   string
		Model    string
	}
}

type called struct {
	Index    int
	ID, Type string
	Function struct{ Name, Arguments string }
}

type prob struct {
	Token   string
	LogProb float64
	Bytes   []int
	Top     []prob `json:"top_logprobs"`
}

func (c *completed) text(i int) string {
	if c.Choices[i].Message.Content == nil {
		return ""
	}
	return *c.Choices[i].Message.Content
}

// complete asks for a reply in one, and fails the test where there is none.
func (h *house) complete(t testing.TB, body string) *completed {
	t.Helper()
	status, raw := h.do(t, "POST", "/v1/chat/completions", body)
	var out completed
	if err := json.Unmarshal([]byte(raw), &out); err != nil || status != 200 || out.Object != "chat.completion" {
		t.Fatalf("%s: %d, %v, %s", body, status, err, raw)
	}
	return &out
}

// stream asks for the same as a stream and puts its pieces together. texts are those of the first choice as they came.
func (h *house) stream(t testing.TB, body string) (out *completed, texts []string) {
	t.Helper()
	body = strings.TrimSuffix(body, "}") + `,"stream":true,"stream_options":{"include_usage":true}}`
	resp := h.send(t, t.Context(), "POST", "/v1/chat/completions", body)
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || !strings.HasPrefix(kind, "text/event-stream") {
		raw, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %d, %s, %s", body, resp.StatusCode, kind, raw)
	}
	type delta struct {
		Role, Content *string
		ToolCalls     []called `json:"tool_calls"`
	}
	out = &completed{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	ended := false
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			ended = true
			continue
		}
		var chunk struct {
			completed
			Choices []struct {
				Index        int
				Delta        delta
				LogProbs     *struct{ Content []prob }
				FinishReason *string `json:"finish_reason"`
			}
			Usage *json.RawMessage
			Error json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil || ended || chunk.Object != "chat.completion.chunk" || chunk.Error != nil {
			t.Fatalf("%v: %s", err, data)
		}
		if !strings.Contains(data, `"usage":`) {
			t.Fatalf("no usage, not even null: %s", data)
		}
		out.ID, out.Model = chunk.ID, chunk.Model
		if chunk.Citations != nil || chunk.Docent != nil {
			out.Citations, out.Docent = chunk.Citations, chunk.Docent
		}
		for _, c := range chunk.Choices {
			for c.Index >= len(out.Choices) {
				out.Choices = append(out.Choices, make([]struct {
					Index   int
					Message struct {
						Role      string
						Content   *string
						ToolCalls []called `json:"tool_calls"`
					}
					LogProbs     *struct{ Content []prob }
					FinishReason string `json:"finish_reason"`
				}, 1)...)
			}
			to := &out.Choices[c.Index]
			to.Index = c.Index
			if to.FinishReason != "" {
				t.Fatalf("choice %d goes on after its end: %s", c.Index, data)
			}
			if c.Delta.Role != nil {
				to.Message.Role += *c.Delta.Role
			}
			if c.Delta.Content != nil {
				text := *c.Delta.Content
				if to.Message.Content != nil {
					text = *to.Message.Content + text
				}
				to.Message.Content = &text
				if c.Index == 0 && *c.Delta.Content != "" {
					texts = append(texts, *c.Delta.Content)
				}
			}
			for _, x := range c.Delta.ToolCalls {
				if x.Index == len(to.Message.ToolCalls) {
					to.Message.ToolCalls = append(to.Message.ToolCalls, x)
				} else {
					to.Message.ToolCalls[x.Index].Function.Arguments += x.Function.Arguments
				}
			}
			if c.LogProbs != nil {
				if to.LogProbs == nil {
					to.LogProbs = c.LogProbs
				} else {
					to.LogProbs.Content = append(to.LogProbs.Content, c.LogProbs.Content...)
				}
			}
			if c.FinishReason != nil {
				to.FinishReason = *c.FinishReason
			}
		}
		if chunk.Usage != nil && string(*chunk.Usage) != "null" {
			if err := json.Unmarshal(*chunk.Usage, &out.Usage); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !ended {
		t.Fatalf("the stream ends without [DONE]: %v", lines.Err())
	}
	return out, texts
}

func TestOpenAIModels(t *testing.T) {
	h := filled(t, speaks(tiny(t, llm.Config{})), func(c *web.Config) {
		c.Encoder = &web.Encoder{Name: "letters", Dim: 4, MaxTokens: 8, Embedder: letters{}}
	})
	h.run(t, []scenario{
		{"list", "GET", "/v1/models", nil, nil, 200, []string{`"object":"list"`, `"id":"docent/docs"`, `"id":"tiny"`, `"id":"letters"`, `"owned_by":"docent"`}, nil},
		{"one", "GET", "/v1/models/docent%2Fdocs", nil, nil, 200, []string{`"id":"docent/docs"`, `"object":"model"`}, []string{"tiny"}},
		{"one, as it is", "GET", "/v1/models/docent/docs", nil, nil, 200, []string{`"id":"docent/docs"`}, nil},
		{"none", "GET", "/v1/models/gpt-4", nil, nil, 404, []string{`"code":"model_not_found"`, `"type":"invalid_request_error"`, `"param":"model"`, "docent/docs, tiny, letters"}, nil},
		{"no such address", "GET", "/v1/nothing", nil, nil, 404, []string{`"error":{"message":`, `"type":"invalid_request_error"`}, nil},
		{"no such method", "GET", "/v1/chat/completions", nil, nil, 405, []string{`"type":"invalid_request_error"`}, nil},
		{"another site", "GET", "/v1/models", nil, []string{"Origin", "https://evil.example"}, 403, []string{`"type":"permission_error"`}, nil},
		{"another site's post", "POST", "/v1/chat/completions", `{}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, []string{`"type":"permission_error"`}, nil},
		{"rebound name", "GET", "/v1/models", nil, []string{"Host", "evil.example"}, 403, []string{`"type":"permission_error"`}, nil},
	})
	quoting := filled(t)
	quoting.run(t, []scenario{
		{"without a model", "GET", "/v1/models", nil, nil, 200, []string{`"id":"docent/docs"`}, []string{"extractive"}},
		{"its name is no model", "POST", "/v1/chat/completions", `{"model":"extractive","messages":[{"role":"user","content":"x"}]}`, nil, 404, []string{"model_not_found"}, nil},
		{"nor is an encoder", "POST", "/v1/embeddings", `{"model":"letters","input":"x"}`, nil, 404, []string{"model_not_found"}, nil},
	})
}

const hello = `{"model":"tiny","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hello"}]}],"max_tokens":24`

// TestChatCompletions: what is asked for comes, in one and as a stream, which say the same.
func TestChatCompletions(t *testing.T) {
	h := newHouse(t, speaks(tiny(t, llm.Config{})))
	plain := h.complete(t, hello+`,"temperature":0}`)
	if plain.text(0) == "" || plain.Choices[0].Message.Role != "assistant" || plain.Choices[0].FinishReason != "length" && plain.Choices[0].FinishReason != "stop" {
		t.Fatalf("%+v", plain)
	}
	const tool = `"tools":[{"type":"function","function":{"name":"search","parameters":{"type":"object","properties":{"q":{"type":"string","maxLength":6},"n":{"type":"integer"}},"required":["q","n"]}}},{"type":"function","function":{"name":"now"}}]`
	for _, tt := range []struct {
		name, options string
		check         func(t *testing.T, c *completed)
	}{
		{"greedy", `"temperature":0`, func(t *testing.T, c *completed) {
			if c.text(0) != plain.text(0) {
				t.Errorf("%q, before %q", c.text(0), plain.text(0))
			}
		}},
		{"sampled", `"temperature":1.2,"top_p":0.9,"top_k":30,"min_p":0.01,"typical_p":0.99,"repeat_penalty":1.1,"presence_penalty":0.5,"frequency_penalty":0.5,"seed":7`, nil},
		{"mirostat", `"mirostat":2,"mirostat_tau":4,"mirostat_eta":0.2,"seed":7`, nil},
		{"one token", `"max_completion_tokens":1,"temperature":0`, func(t *testing.T, c *completed) {
			if c.Usage.Completion != 1 || c.Choices[0].FinishReason != "length" {
				t.Errorf("%+v", c)
			}
		}},
		{"stop", fmt.Sprintf(`"temperature":0,"stop":%q`, plain.text(0)[2:4]), func(t *testing.T, c *completed) {
			if before, _, _ := strings.Cut(plain.text(0), plain.text(0)[2:4]); c.text(0) != before || c.Choices[0].FinishReason != "stop" {
				t.Errorf("%q (%s), want %q", c.text(0), c.Choices[0].FinishReason, before)
			}
		}},
		{"one letter", `"logit_bias":{"70":100},"temperature":0`, func(t *testing.T, c *completed) {
			if text := c.text(0); len(text) != 24 || strings.Trim(text, text[:1]) != "" {
				t.Errorf("%q", text)
			}
		}},
		{"three", `"n":3,"seed":1,"temperature":1.5`, func(t *testing.T, c *completed) {
			if len(c.Choices) != 3 || c.Choices[2].Index != 2 || c.text(0) == c.text(1) || c.Usage.Completion > 72 || c.Usage.Completion <= 24 {
				t.Errorf("%+v", c)
			}
		}},
		{"JSON", `"response_format":{"type":"json_object"},"seed":3`, func(t *testing.T, c *completed) {
			var v map[string]any
			if err := json.Unmarshal([]byte(c.text(0)), &v); err != nil {
				t.Errorf("%q: %v", c.text(0), err)
			}
		}},
		{"schema", `"response_format":{"type":"json_schema","json_schema":{"name":"days","schema":{"type":"object","properties":{"days":{"type":"integer","minimum":1,"maximum":366}},"required":["days"]}}},"seed":3`, func(t *testing.T, c *completed) {
			if !regexp.MustCompile(`^\{\s*"days"\s*:\s*\d{1,3}\s*\}$`).MatchString(c.text(0)) {
				t.Errorf("%q", c.text(0))
			}
		}},
		{"grammar", `"grammar":"root ::= (\"yes\" | \"no\") \".\"","seed":3`, func(t *testing.T, c *completed) {
			if text := c.text(0); text != "yes." && text != "no." {
				t.Errorf("%q", text)
			}
		}},
		{"regular expression", `"regex":"[a-c]{5}","seed":3`, func(t *testing.T, c *completed) {
			if !regexp.MustCompile(`^[a-c]{5}$`).MatchString(c.text(0)) {
				t.Errorf("%q", c.text(0))
			}
		}},
		{"likelihoods", `"logprobs":true,"top_logprobs":3,"temperature":0`, func(t *testing.T, c *completed) {
			p := c.Choices[0].LogProbs
			if p == nil || len(p.Content) != c.Usage.Completion && len(p.Content) != c.Usage.Completion-1 {
				t.Fatalf("%+v", p)
			}
			var text []byte
			for _, p := range p.Content {
				for _, b := range p.Bytes {
					text = append(text, byte(b))
				}
				if p.LogProb > 0 || len(p.Top) != 3 || p.Top[0].LogProb < p.Top[1].LogProb {
					t.Errorf("%+v", p)
				}
			}
			if string(text) != c.text(0) {
				t.Errorf("tokens of %q, text %q", text, c.text(0))
			}
		}},
		{"a call", tool + `,"tool_choice":"required","seed":5,"max_tokens":150`, func(t *testing.T, c *completed) {
			calls := c.Choices[0].Message.ToolCalls
			if len(calls) == 0 || c.Choices[0].FinishReason != "tool_calls" {
				t.Fatalf("%+v", c)
			}
			for _, x := range calls {
				var v map[string]any
				if err := json.Unmarshal([]byte(x.Function.Arguments), &v); err != nil || x.ID == "" || x.Type != "function" || x.Function.Name != "search" && x.Function.Name != "now" {
					t.Errorf("%+v, %v", x, err)
				}
			}
		}},
		{"this call, and one", tool + `,"tool_choice":{"type":"function","function":{"name":"search"}},"parallel_tool_calls":false,"seed":5,"max_tokens":200`, func(t *testing.T, c *completed) {
			if calls := c.Choices[0].Message.ToolCalls; len(calls) != 1 || calls[0].Function.Name != "search" || !strings.Contains(calls[0].Function.Arguments, `"n":`) {
				t.Errorf("%+v", calls)
			}
		}},
		{"no call", tool + `,"tool_choice":"none","temperature":0`, func(t *testing.T, c *completed) {
			if len(c.Choices[0].Message.ToolCalls) != 0 {
				t.Errorf("%+v", c)
			}
		}},
		{"cut call", tool + `,"tool_choice":{"type":"function","function":{"name":"search"}},"seed":5,"max_tokens":10`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := hello + "," + tt.options + "}"
			whole := h.complete(t, body)
			streamed, texts := h.stream(t, body)
			if tt.check != nil {
				tt.check(t, whole)
				tt.check(t, streamed)
			}
			if len(whole.text(0)) > 12 && len(texts) < 4 {
				t.Errorf("%d pieces of %q", len(texts), whole.text(0))
			}
			if tt.name == "cut call" { // what of it was streamed cannot be taken back
				return
			}
			if whole.Usage.Total != whole.Usage.Prompt+whole.Usage.Completion || whole.Usage.Prompt == 0 {
				t.Errorf("%+v", whole.Usage)
			}
			for _, c := range []*completed{whole, streamed} {
				c.ID, c.Object = "", ""
				for i := range c.Choices {
					if text := c.text(i); text == "" {
						c.Choices[i].Message.Content = nil
					}
					for j := range c.Choices[i].Message.ToolCalls {
						x := &c.Choices[i].Message.ToolCalls[j]
						x.ID, x.Index = "", 0
					}
				}
			}
			if diff := cmp.Diff(whole, streamed); diff != "" {
				t.Error("in one, and as a stream:", diff)
			}
		})
	}
}

func TestChatErrors(t *testing.T) {
	h := filled(t, speaks(tiny(t, llm.Config{})))
	const tiny, docs = `{"model":"tiny","messages":[{"role":"user","content":"x"}],`, `{"model":"docent/docs","messages":[{"role":"user","content":"x"}],`
	for _, tt := range []struct {
		name, body  string
		status      int
		param, code string
		says        string
	}{
		{"no model", `{"messages":[{"role":"user","content":"x"}]}`, 400, "model", "", "missing"},
		{"unknown model", `{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}`, 404, "model", "model_not_found", "docent/docs"},
		{"unknown collection", `{"model":"docent/none","messages":[{"role":"user","content":"x"}]}`, 404, "model", "model_not_found", "docent/docs"},
		{"broken body", `{"model":`, 400, "", "", "JSON"},
		{"wrong type", `{"model":"tiny","messages":7}`, 400, "", "", "messages"},
		{"no messages", `{"model":"tiny","messages":[]}`, 400, "messages", "", "none"},
		{"unknown role", `{"model":"tiny","messages":[{"role":"narrator","content":"x"}]}`, 400, "messages", "", "narrator"},
		{"a picture", `{"model":"tiny","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://localhost/x.png"}}]}]}`, 400, "messages", "", "text only"},
		{"too long", `{"model":"tiny","messages":[{"role":"user","content":"` + strings.Repeat("word ", 600) + `"}]}`, 400, "messages", "context_length_exceeded", "window 2048"},
		{"temperature", tiny + `"temperature":-1}`, 400, "temperature", "", "0 or more"},
		{"temperature of the engine", tiny + `"temperature":1000}`, 400, "", "", "temperature"},
		{"top_p", tiny + `"top_p":1.5}`, 400, "top_p", "", "1.5"},
		{"many", tiny + `"n":17}`, 400, "n", "", "1 to 16"},
		{"no tokens", tiny + `"max_tokens":0}`, 400, "max_tokens", "", "1 or more"},
		{"likelihoods", tiny + `"top_logprobs":3}`, 400, "top_logprobs", "", "logprobs"},
		{"bias", tiny + `"logit_bias":{"x":1}}`, 400, "logit_bias", "", "number"},
		{"format", tiny + `"response_format":{"type":"xml"}}`, 400, "response_format", "", "xml"},
		{"schema missing", tiny + `"response_format":{"type":"json_schema"}}`, 400, "response_format", "", "schema"},
		{"schema not kept to", tiny + `"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","if":{}}}}}`, 400, "", "", `"if"`},
		{"grammar", tiny + `"grammar":"root ::= ("}`, 400, "", "", "grammar"},
		{"choice of no tool", tiny + `"tool_choice":"required"}`, 400, "", "", "there are no tools"},
		{"unknown tool", tiny + `"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}}}`, 400, "", "", `"b"`},
		{"old functions", tiny + `"functions":[{"name":"a"}]}`, 400, "functions", "", "tools"},
		{"audio", tiny + `"modalities":["text","audio"]}`, 400, "modalities", "", "text only"},
		{"adapter", tiny + `"adapter":"legal"}`, 400, "adapter", "", "legal"},
		{"documents with tools", docs + `"tools":[{"type":"function","function":{"name":"a"}}]}`, 400, "tools", "", "documents"},
		{"documents with a form", docs + `"response_format":{"type":"json_object"}}`, 400, "response_format", "", "documents"},
		{"documents in twos", docs + `"n":2}`, 400, "n", "", "documents"},
		{"documents without a question", `{"model":"docent/docs","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`, 400, "messages", "", "last"},
		{"documents, no style", docs + `"style":"verse"}`, 400, "", "", "verse"},
		{"documents, bad filter", docs + `"where":"path ="}`, 400, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, body := range []string{tt.body, strings.TrimSuffix(tt.body, "}") + `,"stream":true}`} {
				status, raw := h.do(t, "POST", "/v1/chat/completions", body)
				var got struct {
					Error struct {
						Message, Type string
						Param, Code   *string
					}
				}
				if err := json.Unmarshal([]byte(raw), &got); err != nil {
					t.Fatalf("%d: %s", status, raw)
				}
				value := func(s *string) string {
					if s == nil {
						return ""
					}
					return *s
				}
				if status != tt.status || got.Error.Type != "invalid_request_error" || value(got.Error.Param) != tt.param || value(got.Error.Code) != tt.code || !strings.Contains(got.Error.Message, tt.says) {
					t.Errorf("%d %s, want %d about %q, %q, with %q", status, raw, tt.status, tt.param, tt.code, tt.says)
				}
				if tt.name == "broken body" {
					return
				}
			}
		})
	}
}

// TestChatFromDocuments: a collection is a model whose answers have the citations of /api/ask, without a language
// model and with one.
func TestChatFromDocuments(t *testing.T) {
	const question = "How many days of annual leave do employees get?"
	for name, opts := range map[string][]option{"quoted": nil, "written": {speaks(tiny(t, llm.Config{}))}} {
		t.Run(name, func(t *testing.T) {
			h := filled(t, opts...)
			_, raw := h.do(t, "POST", "/api/ask", map[string]any{"collection": "docs", "question": question, "stream": false})
			var asked chain.Answer
			if err := json.Unmarshal([]byte(raw), &asked); err != nil || len(asked.Passages) == 0 {
				t.Fatalf("%v: %s", err, raw)
			}
			body := fmt.Sprintf(`{"model":"docent/docs","messages":[{"role":"user","content":%q}]}`, question)
			whole := h.complete(t, body)
			streamed, _ := h.stream(t, body)
			for kind, c := range map[string]*completed{"in one": whole, "as a stream": streamed} {
				text := c.text(0)
				if c.Docent != nil && c.Docent.Answer != "" {
					text = c.Docent.Answer
				}
				if text != asked.Text || c.Docent == nil || c.Choices[0].Message.Role != "assistant" || c.Model != "docent/docs" {
					t.Fatalf("%s: %q, /api/ask %q; %+v", kind, text, asked.Text, c)
				}
				if diff := cmp.Diff(asked.Citations, c.Citations); diff != "" {
					t.Errorf("%s: citations: %s", kind, diff)
				}
				if diff := cmp.Diff(asked.Passages, c.Docent.Passages); diff != "" {
					t.Errorf("%s: passages: %s", kind, diff)
				}
				if c.Usage.Prompt != asked.Usage.PromptTokens || c.Usage.Completion != asked.Usage.CompletionTokens {
					t.Errorf("%s: usage %+v, /api/ask %+v", kind, c.Usage, asked.Usage)
				}
			}
			if name == "quoted" && (len(whole.Citations) == 0 || !strings.Contains(whole.text(0), "25 days")) {
				t.Errorf("%+v", whole)
			}
			if convs, err := h.store.Catalog().Conversations(t.Context(), 0, 0); err != nil || len(convs) != 1 {
				t.Errorf("%d conversations, want that of /api/ask: %v", len(convs), err)
			}
		})
	}
}

// TestChatTurns: the conversation, the instructions and the options reach the chain.
func TestChatTurns(t *testing.T) {
	var mu sync.Mutex
	var got chain.Question
	h := filled(t, speaks(tiny(t, llm.Config{})), func(c *web.Config) {
		c.Ask = func(_ context.Context, _ string, q chain.Question) iter.Seq2[chain.Event, error] {
			mu.Lock()
			defer mu.Unlock()
			got = q
			return func(yield func(chain.Event, error) bool) {
				yield(chain.Done{Answer: chain.Answer{Text: "ok", Truncated: true}}, nil)
			}
		}
	})
	c := h.complete(t, `{"model":"docent/docs","temperature":0.3,"style":"reasoning","where":"path = handbook.md","messages":[{"role":"developer","content":"In verse."},
		{"role":"assistant","content":"Hello!"},{"role":"user","content":"One?"},{"role":"assistant","content":"1"},{"role":"user","content":"Two?"},{"role":"user","content":"Now."}]}`)
	if c.Choices[0].FinishReason != "length" {
		t.Errorf("%+v", c)
	}
	options := len(got.Options)
	got.Options, got.Search = nil, nil
	where := got.Where
	got.Where = retriever.Filter{}
	want := chain.Question{Text: "Two?\nNow.", History: []chain.Turn{{Question: "One?", Answer: "1"}}, Style: "reasoning", Instructions: "In verse."}
	if !reflect.DeepEqual(got, want) || options == 0 || len(where.Values) != 1 {
		t.Errorf("%+v, %d options, %+v", got, options, where)
	}
}

// letters is an encoder that counts letters.
type letters struct{}

func (letters) EmbedDocuments(_ context.Context, texts []string) ([][]float32, error) {
	var out [][]float32
	for _, text := range texts {
		out = append(out, []float32{float32(len(text)), 0, 0.5, -1})
	}
	return out, nil
}

func (letters) EmbedQuery(_ context.Context, text string) ([]float32, error) {
	return []float32{float32(len(text)), 1, 0.5, -1}, nil
}

func (letters) TokenStarts(dst []int, text string) []int {
	for i := range len(text) {
		dst = append(dst, i)
	}
	return dst
}

func TestEmbeddings(t *testing.T) {
	h := newHouse(t, func(c *web.Config) {
		c.Encoder = &web.Encoder{Name: "letters", Dim: 4, MaxTokens: 8, Embedder: letters{}}
	})
	_, raw := h.do(t, "POST", "/v1/embeddings", `{"model":"letters","input":["one","twenty-two"],"encoding_format":"base64"}`)
	var coded struct {
		Data []struct {
			Index     int
			Embedding string
		}
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(raw), &coded); err != nil || len(coded.Data) != 2 || coded.Data[1].Index != 1 || coded.Usage.Prompt != 11 {
		t.Fatalf("%v: %s", err, raw)
	}
	b, err := base64.StdEncoding.DecodeString(coded.Data[1].Embedding)
	v := make([]float32, 4)
	if err == nil {
		err = binary.Read(bytes.NewReader(b), binary.LittleEndian, v)
	}
	if err != nil || !slices.Equal(v, []float32{10, 0, 0.5, -1}) {
		t.Errorf("%v, %v", v, err)
	}
	many, _ := json.Marshal(make([]string, 2049))
	h.run(t, []scenario{
		{"numbers", "POST", "/v1/embeddings", `{"model":"letters","input":"four"}`, nil, 200, []string{`"embedding":[4,0,0.5,-1]`, `"object":"list"`, `"prompt_tokens":4`}, nil},
		{"query", "POST", "/v1/embeddings", `{"model":"letters","input":"four","input_type":"query"}`, nil, 200, []string{`"embedding":[4,1,0.5,-1]`}, nil},
		{"dimensions", "POST", "/v1/embeddings", `{"model":"letters","input":"four","dimensions":2}`, nil, 400, []string{`"param":"dimensions"`}, nil},
		{"too long", "POST", "/v1/embeddings", `{"model":"letters","input":"twenty-two","truncate":false}`, nil, 400, []string{`"code":"context_length_exceeded"`}, nil},
		{"tokens", "POST", "/v1/embeddings", `{"model":"letters","input":[1,2,3]}`, nil, 400, []string{`"param":"input"`, "tokens"}, nil},
		{"nothing", "POST", "/v1/embeddings", `{"model":"letters","input":[]}`, nil, 400, []string{`"param":"input"`}, nil},
		{"empty", "POST", "/v1/embeddings", `{"model":"letters","input":[""]}`, nil, 400, []string{"empty"}, nil},
		{"too many", "POST", "/v1/embeddings", `{"model":"letters","input":` + string(many) + `}`, nil, 400, []string{"2049"}, nil},
		{"format", "POST", "/v1/embeddings", `{"model":"letters","input":"x","encoding_format":"int8"}`, nil, 400, []string{`"param":"encoding_format"`}, nil},
		{"another", "POST", "/v1/embeddings", `{"model":"text-embedding-3-small","input":"x"}`, nil, 404, []string{"model_not_found"}, nil},
	})
}

// TestChatOnServer: a model on a server is asked for what its protocol and langchaingo have words for.
func TestChatOnServer(t *testing.T) {
	var mu sync.Mutex
	var body map[string]any
	reply, status := "", 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			fmt.Fprint(w, `{"data":[{"id":"big"}]}`)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		body = map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if status == 429 {
			w.Header().Set("Retry-After", "77")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, reply)
	}))
	defer server.Close()
	sel, err := llm.Open(t.Context(), llm.Config{Provider: llm.OpenAI, BaseURL: server.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(c *web.Config) {
		c.Model = func(context.Context) web.Model {
			return web.Model{Provider: sel.Provider, Name: sel.Name, LLM: sel.Model}
		}
	})
	const big = `{"model":"big","messages":[{"role":"user","content":"x"}],`
	reply = `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"Ho"},"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}`
	got := h.complete(t, big+`"n":2,"top_p":0.5,"max_tokens":9,"stop":["a"],"seed":5,"logit_bias":{"3":-1},"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}},"presence_penalty":0.5}`)
	if got.text(1) != "Ho" || got.Choices[1].FinishReason != "length" || got.Usage.Prompt != 7 || got.Usage.Completion != 2 {
		t.Errorf("%+v", got)
	}
	for key, want := range map[string]any{
		"n": 2.0, "top_p": 0.5, "max_tokens": 9.0, "stop": []any{"a"}, "seed": 5.0, "logit_bias": map[string]any{"3": -1.0}, "presence_penalty": 0.5, "temperature": nil,
	} {
		if !reflect.DeepEqual(body[key], want) {
			t.Errorf("%s: sent %v, want %v", key, body[key], want)
		}
	}
	if f, _ := body["response_format"].(map[string]any); f["type"] != "json_schema" {
		t.Errorf("form: %v", body["response_format"])
	}
	h.complete(t, big+`"temperature":0}`)
	if body["temperature"] != 0.0 {
		t.Errorf("temperature: %v", body["temperature"])
	}
	reply = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi \"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"there\"}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"
	streamed, texts := h.stream(t, big+`"tools":[{"type":"function","function":{"name":"f"}}]}`)
	if len(texts) != 2 || streamed.text(0) != "Hi there" || streamed.Choices[0].FinishReason != "tool_calls" || len(streamed.Choices[0].Message.ToolCalls) != 1 ||
		streamed.Choices[0].Message.ToolCalls[0].Function.Arguments != `{"a":1}` {
		t.Errorf("%q, %+v", texts, streamed)
	}
	h.run(t, []scenario{
		{"likelihoods", "POST", "/v1/chat/completions", big + `"logprobs":true}`, nil, 400, []string{`"param":"logprobs"`, "server"}, nil},
		{"grammar", "POST", "/v1/chat/completions", big + `"grammar":"root ::= \"a\""}`, nil, 400, []string{`"param":"grammar"`}, nil},
		{"two streams", "POST", "/v1/chat/completions", big + `"n":2,"stream":true}`, nil, 400, []string{`"param":"n"`}, nil},
	})
	for _, tt := range []struct {
		name, reply  string
		status, want int
		says         string
	}{
		{"refused", `{"error":{"message":"no such thing"}}`, 400, 400, "no such thing"},
		{"too long", `{"error":{"message":"This model's maximum context length is 8 tokens"}}`, 400, 400, `"code":"context_length_exceeded"`},
		{"limited", `{"error":{"message":"slow down"}}`, 429, 429, `"type":"rate_limit_error"`},
		{"broken", `{}`, 500, 502, `"type":"server_error"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reply, status = tt.reply, tt.status
			resp := h.send(t, t.Context(), "POST", "/v1/chat/completions", big+`"stream":true}`)
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.want || !strings.Contains(string(raw), tt.says) {
				t.Errorf("%d %s, want %d with %s", resp.StatusCode, raw, tt.want, tt.says)
			}
			if tt.status == 429 && resp.Header.Get("Retry-After") != "77" {
				t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
		})
	}
}
