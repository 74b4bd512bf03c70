package models

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"docent/internal/llm/gguf"
	"docent/internal/tensor/safetensors"
)

// Info is what a model's own files say of it. Fields that they are silent about are empty or 0.
type Info struct {
	Path          string   `json:"path"`
	Format        string   `json:"format"` // safetensors or gguf
	Kind          Kind     `json:"kind"`
	Architecture  string   `json:"architecture"` // "bert", "qwen3", …
	Layers        int      `json:"layers"`
	Dim           int      `json:"dim"`
	Vocabulary    int      `json:"vocabulary"`
	MaxTokens     int      `json:"max_tokens"` // with special tokens
	Pooling       string   `json:"pooling,omitempty"`
	Normalised    bool     `json:"normalised"`
	QueryPrefix   string   `json:"query_prefix"`   // that the authors prescribe before a question
	PassagePrefix string   `json:"passage_prefix"` // and before a passage
	Parameters    int64    `json:"parameters"`
	Types         []string `json:"types"` // of the tensors, most frequent first
	Bytes         int64    `json:"bytes"`
	Licence       string   `json:"licence"`      // as the card or the file's header names it
	LicenceFile   string   `json:"licence_file"` // its path; empty when there is none
	Languages     []string `json:"languages"`    // as the card names them
}

const maxConfigSize = 16 << 20

// Inspect reads what a model's files say of it, not its weights. p is a folder or a .gguf file. A file
// that is damaged is an error that names it.
func Inspect(p string) (Info, error) {
	stat, err := os.Stat(p)
	if err != nil {
		return Info{}, fmt.Errorf("inspect: %w", err)
	}
	info := Info{Path: p}
	dir, file := p, ""
	if !stat.IsDir() {
		dir, file = filepath.Dir(p), p
		info.Bytes = stat.Size()
	} else {
		entries, err := os.ReadDir(p)
		if err != nil {
			return Info{}, fmt.Errorf("inspect: %w", err)
		}
		for _, e := range entries { // sorted, so that the first part of several comes first
			if file == "" && isGGUF(e.Name()) {
				file = filepath.Join(p, e.Name())
			}
			if info.LicenceFile == "" && isLicence(e.Name()) && !strings.HasPrefix(strings.ToUpper(e.Name()), "NOTICE") {
				info.LicenceFile = filepath.Join(p, e.Name())
			}
		}
		info.Bytes = folderBytes(p)
		info.card(filepath.Join(p, "README.md"))
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil && stat.IsDir() && !hasOnlyGGUF(dir, file) {
		err = info.checkpoint(dir)
		if err != nil {
			return Info{}, fmt.Errorf("inspect %s: %w", p, err)
		}
		return info, nil
	}
	if file == "" {
		return Info{}, fmt.Errorf("inspect %s: %w: neither config.json with model.safetensors nor a .gguf file is there", p, ErrNoModel)
	}
	if err := info.gguf(file); err != nil {
		return Info{}, fmt.Errorf("inspect: %w", err)
	}
	return info, nil
}

func hasOnlyGGUF(dir, file string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	return file != "" && len(found) == 0
}

func folderBytes(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}

// readJSON decodes a file of a model; found is false when there is none.
func readJSON(dir, name string, v any) (found bool, err error) {
	data, err := readSmall(filepath.Join(dir, filepath.FromSlash(name)), maxConfigSize)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

func (i *Info) checkpoint(dir string) error {
	i.Format = "safetensors"
	var c struct {
		Type          string `json:"model_type"`
		Architectures []string
		Hidden        int `json:"hidden_size"`
		Dim           int
		NEmbd         int `json:"n_embd"`
		Layers        int `json:"num_hidden_layers"`
		NLayers       int `json:"n_layers"`
		Positions     int `json:"max_position_embeddings"`
		Vocab         int `json:"vocab_size"`
	}
	if _, err := readJSON(dir, "config.json", &c); err != nil {
		return err
	}
	i.Architecture, i.Vocabulary = clean(c.Type, 60), c.Vocab
	i.Layers, i.Dim = cmp.Or(c.Layers, c.NLayers), cmp.Or(c.Hidden, c.Dim, c.NEmbd)
	i.MaxTokens = c.Positions
	if strings.Contains(c.Type, "roberta") && c.Positions > 2 {
		i.MaxTokens -= 2 // positions begin at 2
	}
	i.Kind = EncoderModel
	for _, a := range c.Architectures {
		switch {
		case strings.HasSuffix(a, "ForSequenceClassification"):
			i.Kind = RerankerModel
		case strings.HasSuffix(a, "ForCausalLM"):
			i.Kind = ChatModel
		}
	}
	if i.Kind == EncoderModel {
		if err := i.sentence(dir); err != nil {
			return err
		}
	}
	return i.weights(dir)
}

// sentence reads what sentence-transformers keeps of an encoder.
func (i *Info) sentence(dir string) error {
	i.Pooling = "mean"
	var modules []struct{ Type, Path string }
	if _, err := readJSON(dir, "modules.json", &modules); err != nil {
		return err
	}
	for _, m := range modules {
		sub := path.Clean(m.Path)
		if !fs.ValidPath(sub) {
			return fmt.Errorf("modules.json: %w: path %q", ErrUnsafe, m.Path)
		}
		switch m.Type[strings.LastIndexByte(m.Type, '.')+1:] {
		case "Transformer":
			var s struct {
				Max int `json:"max_seq_length"`
			}
			if _, err := readJSON(dir, path.Join(sub, "sentence_bert_config.json"), &s); err != nil {
				return err
			}
			if s.Max > 0 && (i.MaxTokens == 0 || s.Max < i.MaxTokens) {
				i.MaxTokens = s.Max
			}
		case "Pooling":
			var p map[string]any
			if _, err := readJSON(dir, path.Join(sub, "config.json"), &p); err != nil {
				return err
			}
			var on []string
			for _, k := range slices.Sorted(maps.Keys(p)) {
				if v, ok := p[k].(bool); ok && v && strings.HasPrefix(k, "pooling_mode_") {
					on = append(on, strings.TrimSuffix(strings.TrimPrefix(k, "pooling_mode_"), "_tokens"))
				}
			}
			if mode, ok := p["pooling_mode"].(string); ok {
				on = []string{mode}
			}
			i.Pooling = strings.TrimSuffix(strings.Join(on, "+"), "_token")
		case "Normalize":
			i.Normalised = true
		}
	}
	var st struct {
		Prompts map[string]string
		Default string `json:"default_prompt_name"`
	}
	if _, err := readJSON(dir, "config_sentence_transformers.json", &st); err != nil {
		return err
	}
	i.QueryPrefix = cmp.Or(st.Prompts["query"], st.Prompts["search_query"], st.Prompts["retrieval.query"])
	i.PassagePrefix = cmp.Or(st.Prompts["passage"], st.Prompts["document"], st.Prompts["search_document"], st.Prompts["retrieval.passage"])
	return nil
}

// weights reads the headers of the safetensors.
func (i *Info) weights(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "model*.safetensors"))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("model.safetensors: %w", fs.ErrNotExist)
	}
	types := map[string]int64{}
	for _, name := range names {
		if err := i.weightsFile(name, types); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	i.Types = frequent(types)
	return nil
}

func (i *Info) weightsFile(name string, types map[string]int64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	st, err := safetensors.Open(f, stat.Size())
	if err != nil {
		return err
	}
	for _, n := range st.Names() {
		t, _ := st.Tensor(n)
		if strings.HasSuffix(n, "position_ids") {
			continue // a buffer, not a parameter
		}
		values := int64(1)
		for _, d := range t.Shape {
			values *= int64(d)
		}
		i.Parameters += values
		types[t.DType] += values
	}
	return nil
}

func frequent(types map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(types), func(a, b string) int {
		return cmp.Or(cmp.Compare(types[b], types[a]), cmp.Compare(a, b))
	})
}

// gguf reads the header of a .gguf file, and of its other parts.
func (i *Info) gguf(name string) error {
	f, err := gguf.Describe(name)
	if err != nil {
		return err
	}
	text := func(key string) string {
		s, _ := f.String(key)
		return s
	}
	number := func(key string) int {
		n, _ := f.Uint(key)
		return int(min(n, math.MaxInt32))
	}
	arch := text("general.architecture")
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	i.Format, i.Architecture = "gguf", clean(arch, 60)
	i.Layers, i.Dim, i.MaxTokens = number(arch+".block_count"), number(arch+".embedding_length"), number(arch+".context_length")
	i.Vocabulary = cmp.Or(len(tokens), number(arch+".vocab_size"))
	i.Licence = cmp.Or(i.Licence, clean(text("general.license"), 100))
	types := map[string]int64{}
	for _, t := range f.Tensors {
		n := int64(t.Values())
		i.Parameters += n
		types[t.Type.String()] += n
	}
	i.Types = frequent(types)
	i.Pooling = f.Pooling()
	switch f.Purpose() {
	case gguf.Encoder:
		i.Kind = EncoderModel
	case gguf.Reranker:
		i.Kind = RerankerModel
	default:
		i.Kind = ChatModel
	}
	return nil
}

// card reads the licence and languages of a model card's front matter.
func (i *Info) card(name string) {
	data, err := readSmall(name, 4<<20)
	if err != nil {
		return // it is for people; nothing depends on it
	}
	head, ok := strings.CutPrefix(strings.ReplaceAll(string(data), "\r\n", "\n"), "---\n")
	if !ok {
		return
	}
	head, _, ok = strings.Cut(head, "\n---")
	if !ok {
		return
	}
	in := ""
	for line := range strings.Lines(head) {
		line = strings.TrimRight(line, " \t\n")
		item, isItem := strings.CutPrefix(strings.TrimLeft(line, " "), "- ")
		key, value, isKey := strings.Cut(line, ":")
		switch {
		case isItem && in == "language":
			i.language(item)
		case isItem && in == "license":
			i.Licence = strings.TrimPrefix(i.Licence+", "+clean(strings.Trim(item, `"'`), 60), ", ")
		case isKey && !strings.HasPrefix(line, " "):
			in = key
			value = strings.Trim(strings.TrimSpace(value), `"'`)
			if key == "license" && value != "" {
				i.Licence = clean(value, 100)
			}
			if key == "language" {
				for s := range strings.SplitSeq(strings.Trim(value, "[]"), ",") {
					i.language(s)
				}
			}
		}
	}
}

func (i *Info) language(s string) {
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), `"'`))
	if (len(s) == 2 || len(s) == 3) && !slices.Contains(i.Languages, s) {
		i.Languages = append(i.Languages, s)
	}
}
