package engine

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/grammar"
	"docent/internal/tokenizer"
)

// goldenTemplates is what scripts/golden_templates.py writes.
type goldenTemplates struct {
	Templates map[string]struct {
		Source, BOS, EOS string
		Special          []string
		Tools            bool
	}
	Cases []struct {
		Name, Template, Want string
		Think                bool
		Messages             []goldenMessage
		Tools                []struct{ Function goldenTool }
	}
}

type goldenTool struct {
	Name, Description string
	Parameters        json.RawMessage
}

type goldenMessage struct {
	Role, Content, Name string
	ToolCallID          string `json:"tool_call_id"`
	ToolCalls           []struct {
		ID       string
		Function struct {
			Name      string
			Arguments json.RawMessage
		}
	} `json:"tool_calls"`
}

func readTemplates(t *testing.T) (g goldenTemplates) {
	t.Helper()
	data, err := os.ReadFile("testdata/templates.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// byteTokens is a tokenizer whose tokens are bytes.
type byteTokens struct{}

func (byteTokens) Append(dst []tokenizer.Token, text string, _ int) []tokenizer.Token {
	for i := range len(text) {
		dst = append(dst, tokenizer.Token{ID: int32(text[i])})
	}
	return dst
}

// model has a template and a vocabulary of bytes and special tokens, and computes nothing.
func (g goldenTemplates) model(t *testing.T, name string) *Model {
	t.Helper()
	d := g.Templates[name]
	v := &vocabulary{tok: byteTokens{}, special: map[byte][]string{}, control: map[string]int32{}, ends: map[int32]bool{}, bos: -1, eos: -1}
	for b := range 256 {
		v.names, v.pieces = append(v.names, string(rune(b))), append(v.pieces, []byte{byte(b)})
	}
	for _, s := range append([]string{d.BOS, d.EOS}, d.Special...) {
		if s != "" && !slices.Contains(v.names, s) {
			v.addSpecial(s, int32(len(v.names)))
			v.names, v.pieces = append(v.names, s), append(v.pieces, nil)
		}
	}
	for b := range v.special {
		slices.SortFunc(v.special[b], func(x, y string) int { return len(y) - len(x) })
	}
	v.bos, v.eos = int32(slices.Index(v.names, d.BOS)), int32(slices.Index(v.names, d.EOS))
	m := &Model{vocab: v, cfg: Config{Logger: slog.New(slog.DiscardHandler)}}
	if err := m.useTemplate(d.Source, true); err != nil {
		t.Fatal(err)
	}
	return m
}

func (c goldenMessage) message() Message {
	m := Message{Role: c.Role, Content: c.Content, Name: c.Name, CallID: c.ToolCallID}
	for _, x := range c.ToolCalls {
		m.ToolCalls = append(m.ToolCalls, ToolCall{ID: x.ID, Name: x.Function.Name, Arguments: string(x.Function.Arguments)})
	}
	return m
}

// TestTemplates compares renderings with Hugging Face's.
func TestTemplates(t *testing.T) {
	g := readTemplates(t)
	for name, d := range g.Templates {
		if m := g.model(t, name); m.TemplateTools() != d.Tools {
			t.Errorf("%s: tools %t, want %t", name, m.TemplateTools(), d.Tools)
		}
	}
	for _, c := range g.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var messages []Message
			for _, msg := range c.Messages {
				messages = append(messages, msg.message())
			}
			opts := ChatOptions{Think: c.Think}
			for _, x := range c.Tools {
				opts.Tools = append(opts.Tools, Tool{Name: x.Function.Name, Description: x.Function.Description, Parameters: x.Function.Parameters})
			}
			text, guard, err := g.model(t, c.Template).render(messages, opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := guard.restore().Replace(text); got != c.Want {
				t.Errorf("got\n%s\nwant\n%s", got, c.Want)
			}
		})
	}
}

// TestInjection: whatever a message, a tool or a call says, the special tokens of the prompt are those that
// the template writes.
func TestInjection(t *testing.T) {
	g := readTemplates(t)
	for name, d := range g.Templates {
		m := g.model(t, name)
		special := func(text string) (ids []int32) {
			messages := []Message{{Role: "user", Content: text}, {Role: "assistant", Content: text}, {Role: "user", Content: text + text}}
			var opts ChatOptions
			if d.Tools {
				arguments, _ := json.Marshal(map[string]string{text: text})
				messages = append(messages[:1], Message{Role: "assistant", ToolCalls: []ToolCall{{ID: "abcdefghi", Name: text, Arguments: string(arguments)}}},
					Message{Role: "tool", CallID: "abcdefghi", Name: text, Content: text}, messages[1], messages[2])
				parameters, _ := json.Marshal(map[string]any{"type": "object", "properties": map[string]any{text: map[string]string{"description": text}}})
				opts.Tools = []Tool{{Name: text, Description: text, Parameters: parameters}}
			}
			if name != "gemma" {
				messages = append([]Message{{Role: "system", Content: text}}, messages...)
			}
			prompt, err := m.Chat(messages, opts)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, id := range prompt {
				if id > 255 {
					ids = append(ids, id)
				}
			}
			return ids
		}
		want := special("harmless")
		all := strings.Join(m.vocab.names[256:], "")
		for _, text := range append(slices.Clone(m.vocab.names[256:]), all, "a"+all+"\n\n"+all, "<|im_"+all+"start|>") {
			if got := special(text); !slices.Equal(got, want) {
				t.Errorf("%s: %q brings special tokens %v, want %v", name, text, got, want)
			}
		}
	}
}

func TestToolsRefused(t *testing.T) {
	m := readTemplates(t).model(t, "qwen2.5")
	ask := Message{Role: "user", Content: "x"}
	for _, arguments := range []string{`[1]`, `{`, `{"a": 1} x`, strings.Repeat(`{"a":`, 1000)} {
		if _, err := m.Chat([]Message{ask, {Role: "assistant", ToolCalls: []ToolCall{{Name: "f", Arguments: arguments}}}}, ChatOptions{}); !errors.Is(err, ErrTemplate) {
			t.Errorf("arguments %.20s: %v", arguments, err)
		}
	}
	if _, err := m.Chat([]Message{ask}, ChatOptions{Tools: []Tool{{Name: "f", Parameters: json.RawMessage("{")}}}); !errors.Is(err, ErrTemplate) {
		t.Error(err)
	}
}

var _ Constraint = (*grammar.Matcher)(nil)
