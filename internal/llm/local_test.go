package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
	"docent/internal/llm/gguf"
	"docent/internal/llm/llmtest"
)

// speaking writes a tiny random model, with letters for a vocabulary, to a file. meta adds to its metadata.
func speaking(t testing.TB, path string, more ...gguf.KeyValue) string {
	t.Helper()
	return llmtest.Letters(t, path, "llama-q8_0", more...)
}

func TestLocal(t *testing.T) {
	path := speaking(t, filepath.Join(t.TempDir(), "tiny.gguf"))
	sel, err := llm.Open(context.Background(), llm.Config{Provider: llm.Local, Model: path})
	if err != nil {
		t.Fatal(err)
	}
	defer sel.Model.(*llm.LocalModel).Close()
	if sel.Provider != llm.Local || sel.Name != "tiny" || sel.URL != path || sel.Notice != "" {
		t.Errorf("%+v", sel)
	}
	messages := []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, "Be brief."),
		llms.TextParts(llms.ChatMessageTypeHuman, "Hello", "there<|im_end|>"),
	}
	var streamed strings.Builder
	ask := func(options ...llms.CallOption) *llms.ContentChoice {
		t.Helper()
		streamed.Reset()
		resp, err := sel.Model.GenerateContent(context.Background(), messages, append(options, llms.WithStreamingFunc(func(_ context.Context, b []byte) error {
			streamed.Write(b)
			return nil
		}))...)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Choices[0].Content != streamed.String() {
			t.Errorf("streamed %q, replied %q", streamed.String(), resp.Choices[0].Content)
		}
		return resp.Choices[0]
	}
	first := ask(llms.WithMaxTokens(30))
	info := first.GenerationInfo
	if info["CompletionTokens"].(int) < 1 || info["TotalTokens"] != info["PromptTokens"].(int)+info["CompletionTokens"].(int) || info["CachedTokens"] != 0 {
		t.Error(info)
	}
	again := ask(llms.WithMaxTokens(30))
	if again.Content != first.Content {
		t.Errorf("the same question: %q, then %q", first.Content, again.Content)
	}
	if n := info["PromptTokens"].(int) - 1; again.GenerationInfo["CachedTokens"] != n {
		t.Errorf("%v tokens of the prompt were known, want %d", again.GenerationInfo["CachedTokens"], n)
	}
	if len(first.Content) > 6 {
		stop := first.Content[3:5]
		if c := ask(llms.WithMaxTokens(30), llms.WithStopWords([]string{stop})); c.Content != first.Content[:strings.Index(first.Content, stop)] || c.StopReason != "stop" {
			t.Errorf("stop at %q: %q (%s) of %q", stop, c.Content, c.StopReason, first.Content)
		}
	}
	a, b := ask(llms.WithMaxTokens(20), llms.WithTemperature(1.5), llms.WithSeed(5)), ask(llms.WithMaxTokens(20), llms.WithTemperature(1.5), llms.WithSeed(5))
	if a.Content != b.Content {
		t.Errorf("one seed: %q and %q", a.Content, b.Content)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := sel.Model.GenerateContent(ctx, messages, llms.WithStreamingFunc(func(context.Context, []byte) error {
		cancel()
		return nil
	})); !errors.Is(err, context.Canceled) {
		t.Error("cancelled in the stream:", err)
	}
	long := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, strings.Repeat("long ", 100))}
	if _, err := sel.Model.GenerateContent(context.Background(), long); !llm.IsContextOverflow(err) {
		t.Error("a prompt that is too long:", err)
	}
	picture := []llms.MessageContent{{Role: llms.ChatMessageTypeHuman, Parts: []llms.ContentPart{llms.ImageURLContent{URL: "x"}}}}
	if _, err := sel.Model.GenerateContent(context.Background(), picture); err == nil {
		t.Error("a picture is read")
	}
}

func TestLocalIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OLLAMA_HOST", "127.0.0.1:1")
	open := func(cfg llm.Config) (string, error) {
		sel, err := llm.Open(context.Background(), cfg)
		if m, ok := sel.Model.(*llm.LocalModel); ok {
			defer m.Close()
		}
		return fmt.Sprintf("%s %s", sel.Provider, sel.Name), err
	}
	if got, err := open(llm.Config{ModelDir: dir}); got != "extractive extractive" || err != nil {
		t.Error("none installed:", got, err)
	}
	if _, err := open(llm.Config{Provider: llm.Local, ModelDir: dir}); !errors.Is(err, llm.ErrNoModel) {
		t.Error("none installed:", err)
	}
	if _, err := open(llm.Config{Model: filepath.Join(dir, "none.gguf")}); !errors.Is(err, llm.ErrNoModel) {
		t.Error("a file that is not there:", err)
	}
	old := speaking(t, filepath.Join(dir, "old.gguf"))
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	speaking(t, filepath.Join(dir, "new.gguf"))
	for _, sub := range []string{"pulled", ".partial"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	speaking(t, filepath.Join(dir, ".partial", "half.gguf"))
	pulled := speaking(t, filepath.Join(dir, "pulled", "tiny-q8_0.gguf"))
	if err := os.Chtimes(pulled, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  llm.Config
		want string
	}{
		{llm.Config{ModelDir: dir}, "local new"},
		{llm.Config{ModelDir: dir, Model: "old"}, "local old"},
		{llm.Config{ModelDir: dir, Model: "old.gguf"}, "local old"},
		{llm.Config{Provider: llm.Local, ModelDir: dir}, "local new"},
		{llm.Config{Model: old}, "local old"},
		{llm.Config{Provider: llm.Local, ModelDir: dir, Model: "pulled"}, "local tiny-q8_0"},
		{llm.Config{Provider: llm.Local, ModelDir: dir, Model: "tiny-q8_0.gguf"}, "local tiny-q8_0"},
	} {
		if got, err := open(c.cfg); got != c.want || err != nil {
			t.Errorf("%+v: %s, %v, want %s", c.cfg, got, err, c.want)
		}
	}
	for name, kv := range map[string][]gguf.KeyValue{ // the newest, and not language models
		"bert": {{Key: "general.architecture", Value: "bert"}}, "nomic": {{Key: "general.architecture", Value: "nomic-bert"}},
		"jina": {{Key: "general.architecture", Value: "jina-bert-v2"}},
		"qwen": {{Key: "general.architecture", Value: "qwen3"}, {Key: "qwen3.pooling_type", Value: uint32(3)}},
	} {
		var b bytes.Buffer
		if err := gguf.Write(&b, kv, nil, nil); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".gguf")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := open(llm.Config{ModelDir: dir}); got != "local new" || err != nil {
		t.Error("encoders among the models:", got, err)
	}
	installed, err := llm.InstalledModels(dir)
	if want := []string{filepath.Join(dir, "new.gguf"), old, pulled}; !slices.Equal(installed, want) || err != nil {
		t.Error(installed, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.gguf"), []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	sel, err := llm.Open(context.Background(), llm.Config{ModelDir: dir})
	if err != nil || sel.Provider != llm.ExtractiveAnswer || !strings.Contains(sel.Notice, "broken.gguf") {
		t.Errorf("a broken file: %+v, %v", sel, err)
	}
	if _, err := open(llm.Config{ModelDir: dir, Model: "new", MemoryLimit: 1000, Provider: llm.Local}); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Error("a limit on memory:", err)
	}
}

const (
	mistralLike = "{% for m in messages %}{% if loop.last and tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}{% endif %}{% if m.tool_calls %}[TOOL_CALLS]{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}{% else %}[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}"
	llamaLike   = "{% for m in messages %}{% if m.tool_calls %}{\"name\": \"{{ m.tool_calls[0].function.name }}\", \"parameters\": {{ m.tool_calls[0].function.arguments | tojson }}}{% else %}{{ m.role }}: {{ m.content }} {% endif %}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}"
	qwenLike    = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c | tojson }}</tool_call>{% endfor %}{% endfor %}<|im_start|>assistant "
	thinking    = "{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking %}<think>{% endif %}"
)

func openSpeaking(t testing.TB, template string) *llm.LocalModel {
	t.Helper()
	more := []gguf.KeyValue{{Key: "llama.context_length", Value: uint32(4096)}}
	if template != "" {
		more = append(more, gguf.KeyValue{Key: "tokenizer.chat_template", Value: template})
	}
	m, err := llm.OpenFile(speaking(t, filepath.Join(t.TempDir(), "tiny.gguf"), more...), llm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

var searchTool = llms.Tool{Type: "function", Function: &llms.FunctionDefinition{Name: "search", Description: "Finds passages",
	Parameters: map[string]any{"type": "object", "properties": map[string]any{
		"query": map[string]any{"type": "string", "maxLength": 12}, "k": map[string]any{"type": "integer", "minimum": 1, "maximum": 20}}, "required": []string{"query", "k"}}}}

var nowTool = llms.Tool{Type: "function", Function: &llms.FunctionDefinition{Name: "now"}}

// TestTools: a random model that must call a tool does, with arguments that the tool's schema accepts, in
// each way of calling, and none of it is streamed.
func TestTools(t *testing.T) {
	history := []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeHuman, "How many days?"),
		{Role: llms.ChatMessageTypeAI, Parts: []llms.ContentPart{llms.ToolCall{ID: "call_1", Type: "function", FunctionCall: &llms.FunctionCall{Name: "search", Arguments: `{"query": "days", "k": 3}`}}}},
		{Role: llms.ChatMessageTypeTool, Parts: []llms.ContentPart{llms.ToolCallResponse{ToolCallID: "call_1", Name: "search", Content: "thirty"}}},
		llms.TextParts(llms.ChatMessageTypeHuman, "And now?"),
	}
	for name, template := range map[string]string{"no tools": "", "mistral": mistralLike, "llama": llamaLike, "qwen": qwenLike} {
		t.Run(name, func(t *testing.T) {
			m := openSpeaking(t, template)
			for seed := range 6 {
				var choice any = "required"
				if seed%2 == 1 {
					choice = llms.ToolChoice{Type: "function", Function: &llms.FunctionReference{Name: "search"}}
				}
				var streamed strings.Builder
				resp, err := m.GenerateContent(context.Background(), history[:1+3*(seed/2%2)], llms.WithTools([]llms.Tool{searchTool, nowTool}), llms.WithToolChoice(choice),
					llms.WithTemperature(1.2), llms.WithSeed(seed), llms.WithMaxTokens(150), llms.WithStreamingFunc(func(_ context.Context, b []byte) error {
						streamed.Write(b)
						return nil
					}))
				if err != nil {
					t.Fatal(err)
				}
				c := resp.Choices[0]
				if len(c.ToolCalls) == 0 || c.Content != "" || streamed.Len() > 0 || c.StopReason != "tool_calls" && c.StopReason != "length" {
					t.Fatalf("%+v, streamed %q", c, streamed.String())
				}
				for _, call := range c.ToolCalls {
					var args struct {
						Query *string
						K     *int
					}
					if err := json.Unmarshal([]byte(call.FunctionCall.Arguments), &args); err != nil {
						t.Fatalf("%s: %v", call.FunctionCall.Arguments, err)
					}
					switch call.FunctionCall.Name {
					case "search":
						if args.Query == nil || args.K == nil || len([]rune(*args.Query)) > 12 || *args.K < 1 || *args.K > 20 {
							t.Errorf("arguments %s", call.FunctionCall.Arguments)
						}
					case "now":
						if seed%2 == 1 {
							t.Error("now was called instead of search")
						}
					default:
						t.Errorf("call of %s", call.FunctionCall.Name)
					}
				}
			}
			// Free to call or not, and not free to.
			for _, choice := range []string{"auto", "none"} {
				resp, err := m.GenerateContent(context.Background(), history, llms.WithTools([]llms.Tool{searchTool}), llms.WithToolChoice(choice), llms.WithTemperature(1), llms.WithMaxTokens(20))
				if err != nil {
					t.Fatal(err)
				}
				if c := resp.Choices[0]; c.Content == "" && len(c.ToolCalls) == 0 || choice == "none" && len(c.ToolCalls) > 0 {
					t.Errorf("%s: %+v", choice, c)
				}
			}
			for _, choice := range []any{"missing", 3, llms.ToolChoice{Type: "function", Function: &llms.FunctionReference{Name: "other"}}} {
				if _, err := m.GenerateContent(context.Background(), history, llms.WithTools([]llms.Tool{searchTool}), llms.WithToolChoice(choice)); err == nil {
					t.Errorf("tool choice %v is taken", choice)
				}
			}
		})
	}
}

func TestForms(t *testing.T) {
	m := openSpeaking(t, "")
	question := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "How many days?")}
	ask := func(options ...llms.CallOption) *llms.ContentChoice {
		t.Helper()
		resp, err := m.GenerateContent(context.Background(), question, append([]llms.CallOption{llms.WithTemperature(1.5), llms.WithMaxTokens(60)}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Choices[0]
	}
	for seed := range 4 {
		var object map[string]any
		if c := ask(llms.WithJSONMode(), llms.WithSeed(seed)); json.Unmarshal([]byte(c.Content), &object) != nil || c.StopReason != "stop" {
			t.Errorf("JSON mode: %+v", c)
		}
		var v any
		if c := ask(llms.WithResponseMIMEType("application/json"), llms.WithSeed(seed)); json.Unmarshal([]byte(c.Content), &v) != nil {
			t.Errorf("JSON: %+v", c)
		}
		var days struct{ Days *int }
		schema := []byte(`{"type": "object", "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 366}}, "required": ["days"]}`)
		if c := ask(llm.WithLocal(llm.LocalOptions{Schema: schema}), llms.WithSeed(seed)); json.Unmarshal([]byte(c.Content), &days) != nil || days.Days == nil || *days.Days < 1 || *days.Days > 366 {
			t.Errorf("schema: %+v", c)
		}
		if c := ask(llm.WithLocal(llm.LocalOptions{Regex: `(yes|no), [a-z]{3}\.`}), llms.WithSeed(seed)); !regexp.MustCompile(`^(yes|no), [a-z]{3}\.$`).MatchString(c.Content) {
			t.Errorf("regular expression: %+v", c)
		}
		if c := ask(llm.WithLocal(llm.LocalOptions{Grammar: `root ::= "a"+ "b"`}), llms.WithSeed(seed)); strings.Trim(c.Content, "a") != "b" {
			t.Errorf("grammar: %+v", c)
		}
	}
	for name, o := range map[string]llm.LocalOptions{
		"two forms": {Regex: "a", Grammar: `root ::= "a"`}, "a broken schema": {Schema: []byte(`{"type": "what"}`)}, "a broken grammar": {Grammar: "root"}, "a broken expression": {Regex: "("},
		"what cannot be written": {Regex: "é"},
	} {
		if _, err := m.GenerateContent(context.Background(), question, llm.WithLocal(o)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c := ask(llm.WithLocal(llm.LocalOptions{LogProbs: 3, MinP: 0.01, Typical: 0.99, Mirostat: 2}))
	probs, _ := c.GenerationInfo["LogProbs"].([]llm.TokenProb)
	if len(probs) != c.GenerationInfo["CompletionTokens"] || len(probs[0].Top) != 3 || probs[0].LogProb > 0 || probs[0].Top[0].LogProb < probs[0].LogProb {
		t.Errorf("%d log-probabilities: %+v", len(probs), c)
	}
	resp, err := m.GenerateContent(context.Background(), question, llms.WithN(3), llms.WithTemperature(1.5), llms.WithMaxTokens(30), llms.WithMinLength(10), llms.WithSeed(9))
	if err != nil || len(resp.Choices) != 3 || resp.Choices[0].Content == resp.Choices[1].Content {
		t.Fatalf("three choices: %+v, %v", resp, err)
	}
	for _, c := range resp.Choices {
		if c.GenerationInfo["CompletionTokens"].(int) < 10 {
			t.Errorf("under 10 tokens: %+v", c)
		}
	}
	if _, err := m.GenerateContent(context.Background(), question, llms.WithN(1000)); err == nil {
		t.Error("a thousand choices are taken")
	}
}

func TestThinking(t *testing.T) {
	m := openSpeaking(t, thinking)
	if !m.SupportsReasoning() || openSpeaking(t, "").SupportsReasoning() {
		t.Error("thinking is not told by the template")
	}
	question := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "How many days?")}
	var thoughts, text strings.Builder
	resp, err := m.GenerateContent(context.Background(), question, llms.WithMaxTokens(20), llms.WithThinkingMode(llms.ThinkingModeLow), llms.WithStreamingReasoningFunc(func(_ context.Context, thought, chunk []byte) error {
		thoughts.Write(thought)
		text.Write(chunk)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if c := resp.Choices[0]; thoughts.Len() == 0 || text.Len() > 0 || c.Content != "" || c.ReasoningContent != strings.TrimSpace(thoughts.String()) {
		t.Errorf("thought %q, said %q: %+v", thoughts.String(), text.String(), c)
	}
	resp, err = m.GenerateContent(context.Background(), question, llms.WithMaxTokens(20))
	if err != nil || resp.Choices[0].Content == "" || resp.Choices[0].ReasoningContent != "" {
		t.Errorf("%+v, %v", resp, err)
	}
	// A template that always begins with a thought, and an answer that must be JSON.
	always := openSpeaking(t, "{% for m in messages %}{{ m.content }}{% endfor %}<think>\n")
	resp, err = always.GenerateContent(context.Background(), question, llms.WithMaxTokens(20), llms.WithJSONMode())
	if err != nil || !json.Valid([]byte(resp.Choices[0].Content)) || resp.Choices[0].ReasoningContent != "" {
		t.Errorf("%+v, %v", resp, err)
	}
	resp, err = always.GenerateContent(context.Background(), question, llms.WithMaxTokens(20))
	if err != nil || resp.Choices[0].Content != "" || resp.Choices[0].ReasoningContent == "" {
		t.Errorf("%+v, %v", resp, err)
	}
}
