package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"docent/internal/llm/gguf"
	"docent/internal/tokenizer"
)

// vocabulary describes the tokenizer of a folder, for a model of rows tokens.
func vocabulary(dir fs.FS, c *config, rows int) (meta []gguf.KeyValue, err error) {
	l, err := tokenizer.ReadLists(dir)
	if err != nil {
		return nil, err
	}
	if len(l.Tokens) > rows {
		return nil, fmt.Errorf("%w: the tokenizer has %d tokens, the model %d", ErrUnsupported, len(l.Tokens), rows)
	}
	for i := len(l.Tokens); i < rows; i++ {
		l.Tokens, l.Types = append(l.Tokens, fmt.Sprintf("[PAD%d]", i)), append(l.Types, 5)
		if l.Scores != nil {
			l.Scores = append(l.Scores, 0)
		}
	}
	add := func(key string, value any) { meta = append(meta, gguf.KeyValue{Key: "tokenizer." + key, Value: value}) }
	add("ggml.model", l.Model)
	if l.Pre != "" {
		add("ggml.pre", l.Pre)
	}
	add("ggml.tokens", l.Tokens)
	add("ggml.token_type", l.Types)
	if l.Scores != nil {
		add("ggml.scores", l.Scores)
	}
	if l.Merges != nil {
		add("ggml.merges", l.Merges)
	}
	if len(l.Charsmap) > 0 {
		add("ggml.precompiled_charsmap", l.Charsmap)
	}
	if l.Model != "gpt2" {
		add("ggml.add_space_prefix", !l.NoSpacePrefix)
	}
	var gen struct {
		BOS idList `json:"bos_token_id"`
		EOS idList `json:"eos_token_id"`
		Pad idList `json:"pad_token_id"`
	}
	if err := readJSON(dir, "generation_config.json", &gen); err != nil {
		return nil, err
	}
	// The first id that is there: what the tokenizer says comes before the configurations.
	first := func(own int32, lists ...idList) (int32, bool) {
		for _, id := range append([]int32{own}, slices.Concat(lists...)...) {
			if id >= 0 && int(id) < rows {
				return id, true
			}
		}
		return -1, false
	}
	if id, ok := first(l.BOS, gen.BOS, c.BOS); ok {
		add("ggml.bos_token_id", uint32(id))
	}
	eos, ok := first(l.EOS, gen.EOS, c.EOS)
	if ok {
		add("ggml.eos_token_id", uint32(eos))
	}
	// Other tokens that end an answer.
	keys := []string{"ggml.eot_token_id", "ggml.eom_token_id"}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(gen.EOS, c.EOS, l.Ends)))) {
		if id != eos && id >= 0 && int(id) < rows && len(keys) > 0 {
			add(keys[0], uint32(id))
			keys = keys[1:]
		}
	}
	if id, ok := first(l.Pad, gen.Pad, c.Pad); ok {
		add("ggml.padding_token_id", uint32(id))
	}
	if l.Unknown >= 0 {
		add("ggml.unknown_token_id", uint32(l.Unknown))
	}
	if l.AddBOS != nil {
		add("ggml.add_bos_token", *l.AddBOS)
	}
	if l.AddEOS != nil {
		add("ggml.add_eos_token", *l.AddEOS)
	}
	template, err := chatTemplate(dir)
	if err != nil {
		return nil, err
	}
	if template != "" {
		add("chat_template", template)
	}
	return meta, nil
}

// chatTemplate is the text of the template, which is in a file of its own or in the tokenizer's configuration.
func chatTemplate(dir fs.FS) (string, error) {
	text, err := readFile(dir, "chat_template.jinja")
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return string(text), err
	}
	var c struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err := readJSON(dir, "tokenizer_config.json", &c); err != nil || len(c.Template) == 0 {
		return "", err
	}
	var one string
	if json.Unmarshal(c.Template, &one) == nil {
		return one, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(c.Template, &named); err != nil {
		return "", fmt.Errorf("tokenizer_config.json: chat_template: %w", err)
	}
	for _, t := range named {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", nil
}

const maxJSON = 64 << 20

func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err == nil && len(data) > maxJSON {
		err = fmt.Errorf("%s is over %d MiB", name, maxJSON>>20)
	}
	return data, err
}

// readJSON reads a file that need not be there.
func readJSON(dir fs.FS, name string, into any) error {
	data, err := readFile(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
