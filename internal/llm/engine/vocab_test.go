package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
	"docent/internal/llm/grammar"
)

// words is a byte-level vocabulary for the tiny model's 96 ids: letters, some words, and a chat's
// special tokens.
func words() (tokens []string, types []int32, merges []string) {
	special := []string{"<|pad|>", "<|bos|>", "<|im_end|>", "<|im_start|>"}
	tokens = append(tokens, special...)
	for c := 'a'; c <= 'z'; c++ {
		tokens = append(tokens, string(c))
	}
	tokens = append(tokens, "Ġ", "Ċ", ".", "<", "|", ">", "_", "é", "Ã", "©", "y", "u", "s", "0", "1", "2")
	for _, c := range `{}[]":,-\\3456789+/ETZ` {
		tokens = append(tokens, string(c))
	}
	tokens = append(tokens, "th", "the", "Ġthe", "us", "er", "in")
	tokens = slices.Compact(tokens)
	seen := map[string]bool{}
	unique := tokens[:0]
	for _, t := range tokens {
		if !seen[t] {
			seen[t] = true
			unique = append(unique, t)
		}
	}
	for _, t := range unique {
		kind := int32(1)
		if slices.Contains(special, t) {
			kind = 3
		}
		types = append(types, kind)
	}
	return unique, types, []string{"t h", "th e", "Ġ the", "u s", "e r", "i n"}
}

// speaking is the tiny model with a vocabulary and a chat template.
func speaking(t testing.TB, template string) string {
	t.Helper()
	f, err := gguf.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var meta []gguf.KeyValue
	for _, k := range f.Keys() {
		if v, _ := f.Value(k); k != "tokenizer.ggml.model" {
			meta = append(meta, gguf.KeyValue{Key: k, Value: v})
		}
	}
	tokens, types, merges := words()
	meta = append(meta, gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "gpt2"}, gguf.KeyValue{Key: "tokenizer.ggml.pre", Value: "gpt-2"},
		gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: tokens}, gguf.KeyValue{Key: "tokenizer.ggml.token_type", Value: types},
		gguf.KeyValue{Key: "tokenizer.ggml.merges", Value: merges}, gguf.KeyValue{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)},
		gguf.KeyValue{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)})
	if template != "" {
		meta = append(meta, gguf.KeyValue{Key: "tokenizer.chat_template", Value: template})
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, f.Tensors, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "speaking.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func spell(tokens []string, ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, tokens[id])
	}
	return strings.Join(out, " ")
}

func TestChat(t *testing.T) {
	tokens, _, _ := words()
	user := []engine.Message{{Role: "user", Content: "the <|im_end|> in"}}
	for _, c := range []struct {
		name, template string
		messages       []engine.Message
		want           string
	}{
		// The name of a special token in a message is letters, and so is what a template is not asked for.
		{"chatml by default", "", user,
			"<|im_start|> us er Ċ the Ġ < | i m _ e n d | > Ġ in <|im_end|> Ċ <|im_start|> a s s i s t a n t Ċ"},
		{"template", "{{ bos_token }}{%- for m in messages %}\n<|im_start|>{{ m['content'] | trim }}{{ eos_token }}{% endfor %}",
			[]engine.Message{{Role: "user", Content: " the "}}, "<|bos|> <|im_start|> the <|im_end|>"},
		{"system refused", "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{% for m in messages %}{{ m.role }}.{{ m.content }}{% endfor %}",
			[]engine.Message{{Role: "system", Content: "the"}, {Role: "user", Content: "in"}}, "us er . the Ċ Ċ in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, speaking(t, c.template), engine.Config{})
			ids, err := m.Chat(c.messages, engine.ChatOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := spell(tokens, ids); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestChatBounded(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, template := range map[string]string{
		"a large range": "{% for i in range(1000000000) %}{% endfor %}",
		"much text":     "{% for i in range(90000) %}{% for j in range(90000) %}" + strings.Repeat("the", 100) + "{% endfor %}{% endfor %}",
		"a file":        "{% include '" + secret + "' %}",
		"refused":       "{{ raise_exception('only the best') }}",
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, speaking(t, template), engine.Config{})
			ids, err := m.Chat([]engine.Message{{Role: "user", Content: "in"}}, engine.ChatOptions{})
			if name == "a file" && err == nil && len(ids) > 0 {
				// The template is not read, and a plain one used.
				tokens, _, _ := words()
				if s := spell(tokens, ids); strings.Contains(s, "the") {
					t.Error(s)
				}
				return
			}
			if !errors.Is(err, engine.ErrTemplate) {
				t.Errorf("%v, %v", ids, err)
			}
		})
	}
}

func TestEncodeDecode(t *testing.T) {
	m := open(t, speaking(t, ""), engine.Config{})
	tokens, _, _ := words()
	for text, want := range map[string]string{
		"the thin":   "the Ġ th in",
		"<|im_end|>": "< | i m _ e n d | >",
		"é":          "Ã ©",
		"":           "",
	} {
		ids, err := m.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := spell(tokens, ids); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if got := m.Decode(ids); got != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
}

// TestStop: stop texts are found across tokens, and nothing that may belong to one is sent before.
func TestStop(t *testing.T) {
	m := open(t, speaking(t, ""), engine.Config{})
	prompt, err := m.Encode("the thin user")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(stop ...string) (string, engine.Result) {
		var b strings.Builder
		opts := engine.Options{Sampling: engine.Sampling{Temperature: 2, Seed: 3}, MaxTokens: 40, Stop: stop, IgnoreEnd: true}
		res, err := m.Generate(context.Background(), prompt, opts, func(s string) error {
			b.WriteString(s)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.String(), res
	}
	whole, res := answer()
	if len(whole) < 20 || res.Reason != "length" {
		t.Fatalf("%q %+v", whole, res)
	}
	for _, at := range []int{0, 5, 11} {
		stop := whole[at : at+5]
		want := whole[:strings.Index(whole, stop)]
		got, res := answer("never", stop)
		if got != want || res.Reason != "stop" {
			t.Errorf("stop %q: %q (%s), want %q", stop, got, res.Reason, want)
		}
	}
	if got, _ := answer(whole + "!"); got != whole {
		t.Errorf("held back for ever: %q, want %q", got, whole)
	}
}

// TestConstrain: whatever a random model would say, its answer has the form.
func TestConstrain(t *testing.T) {
	m := open(t, speaking(t, ""), engine.Config{})
	prompt, err := m.Encode("the thin user")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := grammar.Schema([]byte(`{"type": "object", "properties": {"the": {"type": "string", "maxLength": 9}, "n": {"type": "integer", "minimum": 1}}, "required": ["the", "n"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range map[string]*grammar.Grammar{"schema": schema, "json": grammar.JSON(true)} {
		for seed := range uint64(20) {
			c, err := m.Constrain(g)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			res, err := m.Generate(context.Background(), prompt, engine.Options{
				Sampling: engine.Sampling{Temperature: float64(seed%3) * 0.8, Seed: seed}, MaxTokens: 40, Constraint: c,
			}, func(s string) error {
				b.WriteString(s)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.String(); !json.Valid([]byte(got)) || !g.Match(got) || res.Reason != "stop" {
				t.Errorf("%s, seed %d: %q (%s)", name, seed, got, res.Reason)
			}
		}
	}
	g, err := grammar.Regex("日本")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := m.Constrain(g)
	if _, err := m.Generate(context.Background(), prompt, engine.Options{Constraint: c}, nil); !errors.Is(err, grammar.ErrDeadEnd) {
		t.Error("what the vocabulary cannot write:", err)
	}
}

// TestConstrainGuesses: tokens that are guessed and checked leave a constraint where tokens one by one do.
func TestConstrainGuesses(t *testing.T) {
	m := open(t, speaking(t, ""), engine.Config{})
	prompt, err := m.Encode("the user the user the user the user")
	if err != nil {
		t.Fatal(err)
	}
	g, err := grammar.Regex(`(the (user|thin) ){3,8}\.`)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(noGuesses bool) (string, engine.Result) {
		c, err := m.Constrain(g)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		res, err := m.Generate(context.Background(), prompt, engine.Options{MaxTokens: 60, Constraint: c, NoGuesses: noGuesses}, func(s string) error {
			b.WriteString(s)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.String(), res
	}
	one, _ := answer(true)
	guessed, res := answer(false)
	if one != guessed || !g.Match(one) {
		t.Errorf("%q, with guesses %q", one, guessed)
	}
	if res.Guessed == 0 {
		t.Errorf("no guess was right: %+v", res)
	}
}
