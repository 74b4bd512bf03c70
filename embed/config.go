package embed

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// modelConfig is what a checkpoint's configuration files say of the model.
type modelConfig struct {
	ModelType    string  `json:"model_type"`
	Hidden       int     `json:"hidden_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	Intermediate int     `json:"intermediate_size"`
	Activation   string  `json:"hidden_act"`
	Positions    int     `json:"max_position_embeddings"`
	Types        int     `json:"type_vocab_size"`
	Vocab        int     `json:"vocab_size"`
	Epsilon      float64 `json:"layer_norm_eps"`
	PositionType string  `json:"position_embedding_type"`

	pooling   pooling
	normalise bool
	maxTokens int // of a text with its special tokens
}

type pooling string

const (
	poolMean pooling = "mean"
	poolCLS  pooling = "cls"
)

// maxConfig bounds the size of a JSON file of a checkpoint.
const maxConfig = 4 << 20

// readJSON decodes a file of a checkpoint; found is false when there is none.
func readJSON(dir fs.FS, name string, v any) (found bool, err error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxConfig {
		return false, fmt.Errorf("%s is over %d MiB", name, maxConfig>>20)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// readConfig reads config.json and sentence-transformers' modules.json with what it refers to.
func readConfig(dir fs.FS) (*modelConfig, error) {
	c := &modelConfig{Epsilon: 1e-12, Types: 2, Activation: "gelu", pooling: poolMean, normalise: true}
	found, err := readJSON(dir, "config.json", c)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("config.json: %w", fs.ErrNotExist)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	c.maxTokens = c.Positions
	var modules []struct{ Type, Path string }
	if _, err := readJSON(dir, "modules.json", &modules); err != nil {
		return nil, err
	}
	for _, m := range modules {
		sub := path.Clean(m.Path)
		if !fs.ValidPath(sub) {
			return nil, fmt.Errorf("modules.json: path %q leaves the folder", m.Path)
		}
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer":
			var s struct {
				Max int `json:"max_seq_length"`
			}
			if _, err := readJSON(dir, path.Join(sub, "sentence_bert_config.json"), &s); err != nil {
				return nil, err
			}
			if s.Max > 0 {
				c.maxTokens = min(c.maxTokens, s.Max)
			}
		case "Pooling":
			if c.pooling, err = readPooling(dir, path.Join(sub, "config.json")); err != nil {
				return nil, err
			}
		case "Normalize": // vectors always get unit length here
		default:
			return nil, fmt.Errorf("modules.json: module %q is not supported", m.Type)
		}
	}
	return c, nil
}

func readPooling(dir fs.FS, name string) (pooling, error) {
	var p map[string]any
	found, err := readJSON(dir, name, &p)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	var on []string
	for key, v := range p {
		if v == true && strings.HasPrefix(key, "pooling_mode_") {
			on = append(on, strings.TrimPrefix(key, "pooling_mode_"))
		}
	}
	if mode, ok := p["pooling_mode"].(string); ok { // newer files
		on = []string{mode}
	}
	if len(on) == 1 {
		switch on[0] {
		case "mean_tokens", "mean":
			return poolMean, nil
		case "cls_token", "cls":
			return poolCLS, nil
		}
	}
	return "", fmt.Errorf("%s: pooling %q is not supported, only mean or cls", name, on)
}

// check refuses models that this package cannot run, and sizes that no real model has before anything
// is allocated by them.
func (c *modelConfig) check() error {
	if c.ModelType != "bert" {
		return fmt.Errorf("model_type %q is not supported, only bert", c.ModelType)
	}
	if c.Activation != "gelu" {
		return fmt.Errorf("hidden_act %q is not supported, only gelu", c.Activation)
	}
	if c.PositionType != "" && c.PositionType != "absolute" {
		return fmt.Errorf("position_embedding_type %q is not supported, only absolute", c.PositionType)
	}
	for _, s := range []struct {
		name     string
		v, limit int
	}{
		{"hidden_size", c.Hidden, 1 << 14}, {"num_hidden_layers", c.Layers, 1 << 8},
		{"num_attention_heads", c.Heads, 1 << 10}, {"intermediate_size", c.Intermediate, 1 << 16},
		{"max_position_embeddings", c.Positions, 1 << 16}, {"type_vocab_size", c.Types, 1 << 10},
		{"vocab_size", c.Vocab, 1 << 22},
	} {
		if s.v < 1 || s.v > s.limit {
			return fmt.Errorf("%s is %d, want 1 to %d", s.name, s.v, s.limit)
		}
	}
	if c.Hidden%c.Heads != 0 {
		return fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d", c.Hidden, c.Heads)
	}
	if !(c.Epsilon >= 0 && c.Epsilon < 1) {
		return fmt.Errorf("layer_norm_eps is %v, want 0 to 1", c.Epsilon)
	}
	return nil
}

// readLanguages reads the languages from the front matter of a model card; nil when it names none.
func readLanguages(dir fs.FS) []string {
	f, err := dir.Open("README.md")
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 1<<16))
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != "---" {
		return nil
	}
	var out []string
	add := func(s string) {
		s = strings.ToLower(strings.Trim(strings.TrimSpace(s), `"'`))
		if s == "multilingual" {
			out = nil
		} else if len(s) == 2 || len(s) == 3 {
			out = append(out, s)
		}
	}
	in := false
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \t\r")
		item, isItem := strings.CutPrefix(strings.TrimLeft(line, " "), "- ")
		switch {
		case line == "---":
			return out
		case in && isItem:
			add(item)
		case strings.HasPrefix(line, "language:"):
			rest := strings.Trim(strings.TrimSpace(strings.TrimPrefix(line, "language:")), "[]")
			for s := range strings.SplitSeq(rest, ",") {
				add(s)
			}
			in = rest == ""
		default:
			in = false
		}
	}
	return nil // no end of the front matter: not front matter
}
