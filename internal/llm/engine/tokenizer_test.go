package engine

import (
	"bytes"
	"strings"
	"testing"

	"docent/internal/llm/gguf"
)

// TestMarks: what a vocabulary has as text is a token in a text that is not trusted, but not what marks turns, thoughts
// and calls, whatever the kind the file gives it.
func TestMarks(t *testing.T) {
	marked := []string{"<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_start|>", "<|end|>", "[TOOL_CALLS]", "<start_of_turn>"}
	text := []string{"<td>", "</table>"}
	for _, kind := range []string{"gpt2", "llama"} {
		var tokens []string
		var types []int32
		var scores []float32
		add := func(token string, typ int32) {
			tokens, types, scores = append(tokens, token), append(types, typ), append(scores, 0)
		}
		add("<unk>", tokenUnknown)
		for _, c := range strings.Split("abcdefghijklmnopqrstuvwxyz<>/|_[]TOLCAS", "") {
			add(c, tokenNormal)
		}
		add("xy", tokenNormal)
		for _, m := range append(append([]string(nil), marked...), text...) {
			add(m, tokenUser)
		}
		var file bytes.Buffer
		if err := gguf.Write(&file, []gguf.KeyValue{
			{Key: "tokenizer.ggml.tokens", Value: tokens}, {Key: "tokenizer.ggml.token_type", Value: types},
			{Key: "tokenizer.ggml.scores", Value: scores}, {Key: "tokenizer.ggml.merges", Value: []string{"x y"}},
			{Key: "tokenizer.ggml.add_space_prefix", Value: false},
		}, nil, nil); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		tok, err := newTokenizer(f, kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range marked {
			if ids := tok.Append(nil, "a"+m+"b", -1); len(ids) < len(m) {
				t.Errorf("%s: %q becomes tokens %v", kind, m, ids)
			}
		}
		for _, m := range text {
			if ids := tok.Append(nil, "a"+m+"b", -1); len(ids) != 3 {
				t.Errorf("%s: %q becomes tokens %v", kind, m, ids)
			}
		}
	}
}
