package embed

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// modelConfig is what a checkpoint's configuration files say of the model, the same for all families.
type modelConfig struct {
	arch         *arch
	Hidden       int
	Embedding    int // size of embeddings; that of layers but for ALBERT
	Layers       int
	Groups       int // layers that have weights of their own; ALBERT's share them
	Heads        int
	Intermediate int
	Activation   string
	Positions    int // rows of the table, or how far the model was trained to reach without one
	Types        int
	Vocab        int
	Buckets      int // of distances, of MPNet
	Epsilon      float64

	firstPosition       int     // row of the table for the first token
	ropeBase, localBase float64 // of rotary positions, in layers that see all and in those that see a window
	window              int     // how far a token of a local layer sees
	layerTypes          []string
	every               int // each every-th layer sees all, where layerTypes does not say

	labels         int    // of a classifier
	headActivation string // that config.json names; "" for that of the family
	headPooling    pooling
	identity       bool // scores of a cross-encoder stay logits

	precision precision // of weights that the checkpoint has as floats
	pooling   pooling
	dense     []dense
	maxTokens int // of a text with its special tokens
	prompts   prompts
	prompted  bool // the checkpoint says which prompts, or that there are none
}

// local tells whether a layer sees a window only.
func (c *modelConfig) local(layer int) bool {
	switch {
	case c.window == 0:
		return false
	case len(c.layerTypes) > 0:
		return c.layerTypes[layer] == "sliding_attention"
	}
	return layer%c.every != 0
}

// rawConfig is config.json under all the names that the families use.
type rawConfig struct {
	ModelType    string   `json:"model_type"`
	Hidden       int      `json:"hidden_size"`
	Dim          int      `json:"dim"`
	NEmbd        int      `json:"n_embd"`
	Embedding    int      `json:"embedding_size"`
	Layers       int      `json:"num_hidden_layers"`
	NLayers      int      `json:"n_layers"`
	NLayer       int      `json:"n_layer"`
	Groups       *int     `json:"num_hidden_groups"`
	Inner        *int     `json:"inner_group_num"`
	Heads        int      `json:"num_attention_heads"`
	NHeads       int      `json:"n_heads"`
	NHead        int      `json:"n_head"`
	Intermediate int      `json:"intermediate_size"`
	HiddenDim    int      `json:"hidden_dim"`
	NInner       int      `json:"n_inner"`
	Act          string   `json:"hidden_act"`
	Activation   string   `json:"activation"`
	ActFunction  string   `json:"activation_function"`
	HiddenAct    string   `json:"hidden_activation"`
	FeedForward  string   `json:"feed_forward_type"`
	Positions    int      `json:"max_position_embeddings"`
	NPositions   int      `json:"n_positions"`
	Types        *int     `json:"type_vocab_size"`
	Vocab        int      `json:"vocab_size"`
	Epsilon      *float64 `json:"layer_norm_eps"`
	NormEps      *float64 `json:"norm_eps"`
	NormEpsilon  *float64 `json:"layer_norm_epsilon"`
	PositionType string   `json:"position_embedding_type"`
	Pad          *int     `json:"pad_token_id"`
	Buckets      *int     `json:"relative_attention_num_buckets"`

	RopeBase     *float64        `json:"rotary_emb_base"`
	RopeFraction *float64        `json:"rotary_emb_fraction"`
	Interleaved  bool            `json:"rotary_emb_interleaved"`
	RopeScaling  *float64        `json:"rotary_scaling_factor"`
	Trained      int             `json:"max_trained_positions"`
	PreNorm      bool            `json:"prenorm"`
	RMSNorm      bool            `json:"use_rms_norm"`
	Experts      int             `json:"num_experts"`
	GlobalBase   *float64        `json:"global_rope_theta"`
	LocalBase    *float64        `json:"local_rope_theta"`
	Local        *int            `json:"local_attention"`
	Every        *int            `json:"global_attn_every_n_layers"`
	LayerTypes   []string        `json:"layer_types"`
	Rope         json.RawMessage `json:"rope_parameters"`

	Labels         map[string]any `json:"id2label"`
	HeadActivation string         `json:"classifier_activation"`
	HeadPooling    string         `json:"classifier_pooling"`
	OldScore       string         `json:"sbert_ce_default_activation_function"`
	Score          struct {
		Activation string `json:"activation_fn"`
	} `json:"sentence_transformers"`
}

type ropeParameters struct {
	Type  string   `json:"rope_type"`
	Theta *float64 `json:"rope_theta"`
}

// set stores the first of the values that is there in dst.
func set[T any](dst *T, values ...*T) {
	for _, v := range values {
		if v != nil {
			*dst = *v
			return
		}
	}
}

// config puts the names of one family into one form, and refuses what cannot be run and sizes that no
// real model has before anything is allocated by them.
func (r *rawConfig) config() (*modelConfig, error) {
	a, err := findArch(r.ModelType, r.PositionType)
	if err != nil {
		return nil, err
	}
	c := &modelConfig{
		arch: a, Hidden: cmp.Or(r.Hidden, r.Dim, r.NEmbd), Layers: cmp.Or(r.Layers, r.NLayers, r.NLayer),
		Heads: cmp.Or(r.Heads, r.NHeads, r.NHead), Intermediate: cmp.Or(r.Intermediate, r.HiddenDim, r.NInner),
		Positions: cmp.Or(r.Positions, r.NPositions), Vocab: r.Vocab, Types: 2, Epsilon: a.epsilon,
		layerTypes: r.LayerTypes, every: 3, headActivation: r.HeadActivation, headPooling: poolCLS,
		pooling: poolMean, labels: max(len(r.Labels), 1),
	}
	c.Embedding, c.Groups = c.Hidden, c.Layers
	set(&c.Types, r.Types)
	set(&c.Epsilon, r.Epsilon, r.NormEps, r.NormEpsilon)
	if a.types == "" {
		c.Types = 0
	}
	if a.project != "" {
		c.Embedding, c.Groups = cmp.Or(r.Embedding, 128), 1
		set(&c.Groups, r.Groups)
		if r.Inner != nil && *r.Inner != 1 {
			return nil, fmt.Errorf("inner_group_num is %d, only 1 is supported", *r.Inner)
		}
	}
	c.Activation = cmp.Or(r.Act, r.Activation, r.ActFunction, r.HiddenAct, "gelu")
	if a.alibi { // the gated part has a name for itself; hidden_act is read by nothing
		c.Activation = cmp.Or(r.FeedForward, "original")
	}
	if activations[c.Activation] == nil {
		return nil, fmt.Errorf("activation %q is not supported", c.Activation)
	}
	if a.offset {
		pad := 1
		set(&pad, r.Pad)
		if pad < 0 || pad > 1<<10 {
			return nil, fmt.Errorf("pad_token_id is %d, want 0 to %d", pad, 1<<10)
		}
		c.firstPosition = pad + 1
	}
	if a.buckets != "" {
		c.Buckets = 32
		set(&c.Buckets, r.Buckets)
		if c.Buckets < 4 || c.Buckets > 256 || c.Buckets%4 != 0 {
			return nil, fmt.Errorf("relative_attention_num_buckets is %d, want a multiple of 4 up to 256", c.Buckets)
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if a.rotary {
		if err := r.rotary(c); err != nil {
			return nil, err
		}
	}
	c.maxTokens = c.Positions - c.firstPosition
	switch r.HeadPooling {
	case "", "cls":
	case "mean":
		c.headPooling = poolMean
	default:
		return nil, fmt.Errorf("classifier_pooling %q is not supported", r.HeadPooling)
	}
	score := cmp.Or(r.Score.Activation, r.OldScore)
	c.identity = strings.HasSuffix(score, ".Identity")
	if score != "" && !c.identity && !strings.HasSuffix(score, ".Sigmoid") {
		return nil, fmt.Errorf("activation_fn %q is not supported, only Identity and Sigmoid", score)
	}
	return c, nil
}

// rotary reads how positions turn, from the older names of the fields and the newer.
func (r *rawConfig) rotary(c *modelConfig) error {
	if r.PreNorm || r.RMSNorm || r.Interleaved || r.Experts > 0 || r.RopeFraction != nil && *r.RopeFraction != 1 {
		return fmt.Errorf("%s with prenorm, use_rms_norm, rotary_emb_interleaved, num_experts or a rotary_emb_fraction other than 1 is not supported", c.arch.name)
	}
	if c.Hidden/c.Heads%2 != 0 {
		return fmt.Errorf("heads of %d values cannot have rotary positions", c.Hidden/c.Heads)
	}
	if r.RopeScaling != nil && r.Trained > 0 { // past these, turns would depend on the text's length
		c.Positions = min(c.Positions, r.Trained)
	}
	var global, local ropeParameters
	if c.arch.preNorm {
		c.ropeBase, c.localBase = 160000, 10000
		set(&c.ropeBase, r.GlobalBase)
		set(&c.localBase, r.LocalBase)
		set(&c.every, r.Every)
		span := 128
		set(&span, r.Local)
		if span < 2 || span > 1<<16 || c.every < 1 {
			return fmt.Errorf("local_attention is %d, global_attn_every_n_layers %d; want at least 2 and 1", span, c.every)
		}
		if n := len(c.layerTypes); n > 0 && n != c.Layers {
			return fmt.Errorf("layer_types has %d entries for %d layers", n, c.Layers)
		}
		c.window = span / 2
		var both struct {
			Global ropeParameters `json:"full_attention"`
			Local  ropeParameters `json:"sliding_attention"`
		}
		if err := json.Unmarshal(orNull(r.Rope), &both); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
		global, local = both.Global, both.Local
	} else {
		c.ropeBase = 1000
		set(&c.ropeBase, r.RopeBase)
		if err := json.Unmarshal(orNull(r.Rope), &global); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
	}
	set(&c.ropeBase, global.Theta)
	set(&c.localBase, local.Theta)
	for _, p := range []ropeParameters{global, local} {
		if p.Type != "" && p.Type != "default" {
			return fmt.Errorf("rope_type %q is not supported", p.Type)
		}
	}
	if !(c.ropeBase >= 1 && c.ropeBase < 1e12) || c.window > 0 && !(c.localBase >= 1 && c.localBase < 1e12) {
		return fmt.Errorf("rotary bases are %v and %v, want at least 1", c.ropeBase, c.localBase)
	}
	return nil
}

func orNull(m json.RawMessage) []byte {
	if len(m) == 0 {
		return []byte("null")
	}
	return m
}

type pooling string

const (
	poolMean pooling = "mean" // of all tokens
	poolCLS  pooling = "cls"  // the first token
	poolLast pooling = "last" // the last token
	poolMax  pooling = "max"  // of all tokens, for each value
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

// readModelConfig reads config.json.
func readModelConfig(dir fs.FS) (*modelConfig, error) {
	var raw rawConfig
	found, err := readJSON(dir, "config.json", &raw)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("config.json: %w", fs.ErrNotExist)
	}
	c, err := raw.config()
	if err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return c, nil
}

// readConfig reads config.json and sentence-transformers' modules.json with what it refers to.
func readConfig(dir fs.FS) (*modelConfig, error) {
	c, err := readModelConfig(dir)
	if err != nil {
		return nil, err
	}
	var modules []struct{ Type, Path string }
	if _, err := readJSON(dir, "modules.json", &modules); err != nil {
		return nil, err
	}
	limit, prompted, normalised := 0, true, false
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
			limit = s.Max
		case "Pooling":
			if c.pooling, prompted, err = readPooling(dir, path.Join(sub, "config.json")); err != nil {
				return nil, err
			}
		case "Dense":
			if normalised {
				return nil, errors.New("modules.json: Dense after Normalize is not supported")
			}
			d, err := readDense(dir, sub, c.dim())
			if err != nil {
				return nil, err
			}
			c.dense = append(c.dense, d)
		case "Normalize": // vectors always get unit length here
			normalised = true
		default:
			return nil, fmt.Errorf("modules.json: module %q is not supported", m.Type)
		}
	}
	if err := c.limit(dir, limit); err != nil {
		return nil, err
	}
	if c.prompts, c.prompted, err = readPrompts(dir); err != nil {
		return nil, err
	}
	if !prompted && c.prompts != (prompts{}) {
		return nil, errors.New("pooling without the tokens of the prompt (include_prompt) is not supported")
	}
	return c, nil
}

// limit sets maxTokens to what is asked for, or for 0 to what the tokenizer's configuration says, and
// at most to what the model has positions for.
func (c *modelConfig) limit(dir fs.FS, tokens int) error {
	if tokens <= 0 {
		var t struct {
			Max float64 `json:"model_max_length"` // 1e30 for none
		}
		if _, err := readJSON(dir, "tokenizer_config.json", &t); err != nil {
			return err
		}
		tokens = int(min(max(t.Max, 0), 1<<20))
	}
	if tokens > 0 {
		c.maxTokens = min(c.maxTokens, tokens)
	}
	return nil
}

// readPooling also tells whether the tokens of the prompt are pooled with the others.
func readPooling(dir fs.FS, name string) (mode pooling, prompted bool, err error) {
	var p map[string]any
	found, err := readJSON(dir, name, &p)
	if err != nil {
		return "", false, err
	}
	if !found {
		return "", false, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
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
	prompted = p["include_prompt"] != false
	if len(on) == 1 {
		switch on[0] {
		case "mean_tokens", "mean", "mean_sqrt_len_tokens", "mean_sqrt_len": // the same but for the length
			return poolMean, prompted, nil
		case "cls_token", "cls":
			return poolCLS, prompted, nil
		case "lasttoken":
			return poolLast, prompted, nil
		case "max_tokens", "max":
			return poolMax, prompted, nil
		}
	}
	return "", false, fmt.Errorf("%s: pooling %q is not supported, only one of mean, cls, lasttoken and max", name, on)
}

// check refuses sizes that no real model has, before anything is allocated by them.
func (c *modelConfig) check() error {
	for _, s := range []struct {
		name       string
		v, limit   int
		whenAbsent bool
	}{
		{"hidden_size", c.Hidden, 1 << 14, false}, {"embedding_size", c.Embedding, 1 << 14, false},
		{"num_hidden_layers", c.Layers, 1 << 8, false}, {"num_hidden_groups", c.Groups, c.Layers, false},
		{"num_attention_heads", c.Heads, 1 << 10, false}, {"intermediate_size", c.Intermediate, 1 << 16, false},
		{"max_position_embeddings", c.Positions, 1 << 16, false}, {"type_vocab_size", c.Types, 1 << 10, true},
		{"vocab_size", c.Vocab, 1 << 22, false},
	} {
		if s.v < 0 || s.v > s.limit || s.v == 0 && !s.whenAbsent {
			return fmt.Errorf("%s is %d, want 1 to %d", s.name, s.v, s.limit)
		}
	}
	if c.Hidden%c.Heads != 0 {
		return fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d", c.Hidden, c.Heads)
	}
	if c.Positions <= c.firstPosition {
		return fmt.Errorf("max_position_embeddings is %d, and positions start at %d", c.Positions, c.firstPosition)
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
