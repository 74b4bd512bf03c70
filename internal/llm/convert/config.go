package convert

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"docent/internal/llm/gguf"
)

// config is what is read of config.json. Zero means that a key is not there.
type config struct {
	Architectures []string `json:"architectures"`
	Text          *config  `json:"text_config"`

	Hidden       int      `json:"hidden_size"`
	Embed        int      `json:"n_embd"`
	Inner        int      `json:"intermediate_size"`
	NInner       *int     `json:"n_inner"`
	Layers       int      `json:"num_hidden_layers"`
	NLayer       int      `json:"n_layer"`
	Heads        int      `json:"num_attention_heads"`
	NHead        int      `json:"n_head"`
	KVHeads      int      `json:"num_key_value_heads"`
	HeadDim      int      `json:"head_dim"`
	Vocab        int      `json:"vocab_size"`
	Positions    int      `json:"max_position_embeddings"`
	NPositions   int      `json:"n_positions"`
	RMSEps       float64  `json:"rms_norm_eps"`
	NormEps      float64  `json:"layer_norm_eps"`
	NormEpsilon  float64  `json:"layer_norm_epsilon"`
	Act          string   `json:"hidden_act"`
	ActFunction  string   `json:"activation_function"`
	Tied         *bool    `json:"tie_word_embeddings"`
	Window       int      `json:"sliding_window"`
	UseWindow    *bool    `json:"use_sliding_window"`
	LayerTypes   []string `json:"layer_types"`
	Parallel     bool     `json:"use_parallel_residual"`
	AttnCap      float64  `json:"attn_logit_softcapping"`
	FinalCap     float64  `json:"final_logit_softcapping"`
	QueryScalar  float64  `json:"query_pre_attn_scalar"`
	LocalExperts int      `json:"num_local_experts"`
	Experts      int      `json:"num_experts"`
	PerToken     int      `json:"num_experts_per_tok"`
	MoEInner     int      `json:"moe_intermediate_size"`
	SharedInner  int      `json:"shared_expert_intermediate_size"`
	NormTopK     *bool    `json:"norm_topk_prob"`

	Theta      float64         `json:"rope_theta"`
	LocalTheta float64         `json:"rope_local_base_freq"`
	Partial    float64         `json:"partial_rotary_factor"`
	Scaling    json.RawMessage `json:"rope_scaling"`
	Rope       json.RawMessage `json:"rope_parameters"`
	Original   int             `json:"original_max_position_embeddings"`

	// T5's.
	Model       int    `json:"d_model"`
	DKV         int    `json:"d_kv"`
	DFF         int    `json:"d_ff"`
	NumLayers   int    `json:"num_layers"`
	Decoders    int    `json:"num_decoder_layers"`
	NumHeads    int    `json:"num_heads"`
	Buckets     int    `json:"relative_attention_num_buckets"`
	MaxDistance int    `json:"relative_attention_max_distance"`
	Forward     string `json:"feed_forward_proj"`
	Start       int    `json:"decoder_start_token_id"`
	ScaleOutput *bool  `json:"scale_decoder_outputs"`

	megatron

	BOS idList `json:"bos_token_id"`
	EOS idList `json:"eos_token_id"`
	Pad idList `json:"pad_token_id"`
}

// megatron is what ChatGLM's own code calls the sizes of a model, after Megatron-LM.
type megatron struct {
	FFN          int     `json:"ffn_hidden_size"`
	Groups       int     `json:"multi_query_group_num"`
	MultiQuery   bool    `json:"multi_query_attention"`
	Channels     int     `json:"kv_channels"`
	LayerNormEps float64 `json:"layernorm_epsilon"`
	PaddedVocab  int     `json:"padded_vocab_size"`
	SeqLength    int     `json:"seq_length"`
	RopeRatio    float64 `json:"rope_ratio"` // the base of frequencies is so many times the usual one
	RMSNorm      *bool   `json:"rmsnorm"`
	FinalNorm    *bool   `json:"post_layer_norm"`
	PairedRope   *bool   `json:"original_rope"` // pairs lie side by side
	AfterNorm    bool    `json:"apply_residual_connection_post_layernorm"`
}

// adopt gives the sizes their usual names.
func (c *config) adopt() {
	m := c.megatron
	c.Inner, c.KVHeads, c.HeadDim, c.Positions = cmp.Or(m.FFN, 4*c.Hidden), m.Groups, m.Channels, m.SeqLength
	c.RMSEps, c.Vocab = cmp.Or(m.LayerNormEps, 1e-5), m.PaddedVocab
	c.Theta, c.Partial = 10000*cmp.Or(m.RopeRatio, 1), 0.5
	c.Scaling, c.Rope = nil, nil
}

// idList is a token's id, several, or null.
type idList []int32

func (l *idList) UnmarshalJSON(data []byte) error {
	*l = nil
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]int32)(l))
	}
	var id int32
	err := json.Unmarshal(data, &id)
	*l = idList{id}
	return err
}

// tied tells whether the embeddings serve as the output, so that another one is a copy of them.
func (c *config) tied(f family) bool {
	switch {
	case f.arch == "t5" && c.ScaleOutput != nil: // what newer configurations say instead
		return *c.ScaleOutput
	case c.Tied != nil:
		return *c.Tied
	}
	return f.arch == "gpt2" || f.arch == "t5"
}

// ropeConfig is how positions are rotated.
type ropeConfig struct {
	Type        string    `json:"rope_type"`
	OldType     string    `json:"type"`
	Theta       float64   `json:"rope_theta"`
	Partial     float64   `json:"partial_rotary_factor"`
	Factor      float64   `json:"factor"`
	Low         float64   `json:"low_freq_factor"`
	High        float64   `json:"high_freq_factor"`
	Original    int       `json:"original_max_position_embeddings"`
	Attention   float64   `json:"attention_factor"`
	Beta        float64   `json:"llama_4_scaling_beta"`
	BetaFast    float64   `json:"beta_fast"`
	BetaSlow    float64   `json:"beta_slow"`
	Truncate    *bool     `json:"truncate"`
	MScale      float64   `json:"mscale"`
	MScaleAll   float64   `json:"mscale_all_dim"`
	ShortFactor []float64 `json:"short_factor"`
	LongFactor  []float64 `json:"long_factor"`
}

const maxConfigSize = 1 << 20 // of a dimension

// parseConfig reads config.json and checks what later code relies on.
func parseConfig(data []byte) (*config, family, error) {
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, family{}, fmt.Errorf("config.json: %w", err)
	}
	class := ""
	if len(c.Architectures) > 0 {
		class = c.Architectures[0]
	}
	f, err := familyOf(class)
	if err != nil {
		return nil, f, err
	}
	if c.Text != nil {
		text := *c.Text
		text.Text = nil
		text.BOS, text.EOS = slices.Concat(text.BOS, c.BOS), slices.Concat(text.EOS, c.EOS)
		c = text
	}
	c.Hidden, c.Layers, c.Heads = cmp.Or(c.Hidden, c.Embed, c.Model), cmp.Or(c.Layers, c.NLayer, c.NumLayers), cmp.Or(c.Heads, c.NHead, c.NumHeads)
	if f.arch == "t5" {
		c.Inner, c.HeadDim, c.NPositions = c.DFF, c.DKV, cmp.Or(c.NPositions, 512)
		c.Decoders, c.Buckets, c.MaxDistance = cmp.Or(c.Decoders, c.Layers), cmp.Or(c.Buckets, 32), cmp.Or(c.MaxDistance, 128)
	}
	if f.megatron {
		c.adopt()
	}
	c.Positions, c.Act = cmp.Or(c.Positions, c.NPositions), cmp.Or(c.Act, c.ActFunction)
	if c.NInner != nil {
		c.Inner = cmp.Or(c.Inner, *c.NInner)
	}
	if f.arch == "gpt2" {
		c.Inner = cmp.Or(c.Inner, 4*c.Hidden)
	}
	c.KVHeads = cmp.Or(c.KVHeads, c.Heads)
	c.Experts = cmp.Or(c.Experts, c.LocalExperts)
	for _, n := range []struct {
		name string
		size int
	}{
		{"hidden_size", c.Hidden}, {"num_hidden_layers", c.Layers}, {"num_attention_heads", c.Heads}, {"num_key_value_heads", c.KVHeads},
		{"intermediate_size", c.Inner}, {"max_position_embeddings", min(c.Positions, maxConfigSize)},
	} {
		if n.size < 1 || n.size > maxConfigSize {
			return nil, f, fmt.Errorf("%w: config.json: %s is %d", ErrUnsupported, n.name, n.size)
		}
	}
	c.HeadDim = cmp.Or(c.HeadDim, c.Hidden/c.Heads)
	if c.HeadDim < 1 || c.HeadDim > 1<<12 || c.Heads%c.KVHeads != 0 || c.Layers > 1<<10 {
		return nil, f, fmt.Errorf("%w: config.json: %d heads for %d of keys, %d wide, %d layers", ErrUnsupported, c.Heads, c.KVHeads, c.HeadDim, c.Layers)
	}
	return &c, f, c.refuse(f)
}

// refuse names what a file of the architecture cannot say, or the engine would take otherwise.
func (c *config) refuse(f family) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: config.json: "+format, append([]any{ErrUnsupported}, args...)...)
	}
	if f.arch == "t5" {
		switch {
		case c.MaxDistance != 128:
			return wrong("relative_attention_max_distance is %d, files of t5 mean 128", c.MaxDistance)
		case c.Forward != "" && c.Forward != "relu" && c.Forward != "gated-gelu":
			return wrong("feed_forward_proj is %q, want relu or gated-gelu", c.Forward)
		case c.Decoders < 1 || c.Decoders > 1<<10 || c.Buckets < 1 || c.Buckets > 1<<10 || c.Start < 0 || c.Start > 1<<24:
			return wrong("%d layers of a decoder, %d buckets of distances, a start of %d", c.Decoders, c.Buckets, c.Start)
		}
		return nil
	}
	if f.megatron {
		set := func(b *bool) bool { return b == nil || *b }
		if !c.MultiQuery || !set(c.RMSNorm) || !set(c.FinalNorm) || !set(c.PairedRope) || c.AfterNorm {
			return wrong("multi_query_attention, rmsnorm, post_layer_norm and original_rope must be true, apply_residual_connection_post_layernorm false")
		}
		return nil
	}
	moe := c.PerToken > 0 && c.Experts > 0
	switch {
	case f.arch == "mistral3" && c.Window > 0:
		return wrong("sliding_window is %d, files of mistral3 have none", c.Window)
	case f.act != "" && c.Act != "" && c.Act != f.act:
		return wrong("the activation is %q, want %q", c.Act, f.act)
	case f.arch == "qwen2moe" || f.arch == "qwen3moe":
		if c.NormTopK != nil && *c.NormTopK != f.topNorm {
			return wrong("norm_topk_prob is %v, files of %s mean %v", *c.NormTopK, f.arch, f.topNorm)
		}
		if !moe || c.Experts > 1<<12 || c.MoEInner < 1 || c.MoEInner > maxConfigSize || c.SharedInner > maxConfigSize {
			return wrong("%d of %d experts, %d wide", c.PerToken, c.Experts, c.MoEInner)
		}
	case c.UseWindow != nil && *c.UseWindow:
		return wrong("use_sliding_window is set, files of %s cannot say for which layers", f.arch)
	}
	if q := c.QueryScalar; q != 0 && q != float64(c.HeadDim) {
		// The largest of each kind scales by the width over the heads.
		if q*float64(c.Heads) != float64(c.Hidden) || !(f.arch == "gemma2" && c.Layers == 46 || f.arch == "gemma3" && c.Layers == 62) {
			return wrong("query_pre_attn_scalar is %g, want %d", q, c.HeadDim)
		}
	}
	for i, kind := range c.LayerTypes {
		local := f.arch == "gemma2" && i%2 == 0 || f.arch == "gemma3" && i%6 != 5
		if (f.arch == "gemma2" || f.arch == "gemma3") && local != (kind == "sliding_attention") {
			return wrong("layer %d has %s, files of %s mean otherwise", i, kind, f.arch)
		}
	}
	return nil
}

// ropes reads how positions are rotated: in all layers but those with a window, and in those.
func (c *config) ropes() (all, local ropeConfig, err error) {
	read := func(data json.RawMessage, into *ropeConfig) {
		if err == nil && len(data) > 0 {
			if e := json.Unmarshal(data, into); e != nil {
				err = fmt.Errorf("config.json: rope_scaling or rope_parameters: %w", e)
			}
		}
	}
	read(c.Scaling, &all)
	if len(c.Rope) > 0 {
		var by struct {
			Full  json.RawMessage `json:"full_attention"`
			Local json.RawMessage `json:"sliding_attention"`
		}
		if e := json.Unmarshal(c.Rope, &by); e != nil {
			return all, local, fmt.Errorf("config.json: rope_parameters: %w", e)
		}
		if len(by.Full) > 0 {
			read(by.Full, &all)
			read(by.Local, &local)
		} else {
			read(c.Rope, &all)
		}
	}
	all.Type = cmp.Or(all.Type, all.OldType, "default")
	all.Theta = cmp.Or(all.Theta, c.Theta, 10000)
	all.Partial = cmp.Or(all.Partial, c.Partial, 1)
	all.Original = cmp.Or(all.Original, c.Original)
	local.Theta = cmp.Or(local.Theta, c.LocalTheta, 10000)
	return all, local, err
}

// metadata describes the model's shape. Tensors that only files have come with it.
func (c *config) metadata(f family) (meta []gguf.KeyValue, extra []gguf.Tensor, err error) {
	add := func(key string, value any) { meta = append(meta, gguf.KeyValue{Key: f.arch + "." + key, Value: value}) }
	add("block_count", uint32(c.Layers))
	add("context_length", uint32(c.Positions))
	add("embedding_length", uint32(c.Hidden))
	add("feed_forward_length", uint32(c.Inner))
	add("attention.head_count", uint32(c.Heads))
	add("attention.head_count_kv", uint32(c.KVHeads))
	if f.layerNorm {
		add("attention.layer_norm_epsilon", float32(cmp.Or(c.NormEps, c.NormEpsilon, 1e-5)))
	} else {
		add("attention.layer_norm_rms_epsilon", float32(cmp.Or(c.RMSEps, c.NormEpsilon, 1e-6)))
	}
	if c.PerToken > 0 && c.Experts > 0 && (f.topNorm || f.arch == "qwen2moe") {
		add("expert_count", uint32(c.Experts))
		add("expert_used_count", uint32(c.PerToken))
		if f.arch != "llama" {
			add("expert_feed_forward_length", uint32(c.MoEInner))
		}
		if f.arch == "qwen2moe" {
			add("expert_shared_feed_forward_length", uint32(c.SharedInner))
		}
	}
	if c.Vocab > 0 {
		add("vocab_size", uint32(c.Vocab))
	}
	if f.arch == "gpt2" {
		return meta, nil, nil
	}
	if f.arch == "t5" {
		add("attention.key_length", uint32(c.HeadDim))
		add("attention.value_length", uint32(c.HeadDim))
		add("attention.layer_norm_epsilon", float32(cmp.Or(c.NormEpsilon, 1e-6)))
		add("attention.relative_buckets_count", uint32(c.Buckets))
		add("decoder_block_count", uint32(c.Decoders))
		add("decoder_start_token_id", uint32(c.Start))
		return meta, nil, nil
	}
	add("attention.key_length", uint32(c.HeadDim))
	add("attention.value_length", uint32(c.HeadDim))
	if f.arch == "stablelm" {
		add("use_parallel_residual", c.Parallel)
	}
	if c.Window > 0 && c.UseWindow == nil && (f.arch == "llama" || f.arch == "gemma2" || f.arch == "gemma3") {
		add("attention.sliding_window", uint32(c.Window))
	}
	if c.AttnCap > 0 {
		add("attn_logit_softcapping", float32(c.AttnCap))
	}
	if c.FinalCap > 0 {
		add("final_logit_softcapping", float32(c.FinalCap))
	}
	all, local, err := c.ropes()
	if err != nil {
		return nil, nil, err
	}
	dims := int(float64(c.HeadDim) * all.Partial)
	if dims < 2 || dims > c.HeadDim || dims%2 != 0 {
		return nil, nil, fmt.Errorf("%w: config.json: %d of %d values of a head are rotated", ErrUnsupported, dims, c.HeadDim)
	}
	add("rope.dimension_count", uint32(dims))
	add("rope.freq_base", float32(all.Theta))
	if f.arch == "gemma3" {
		add("rope.freq_base_swa", float32(local.Theta))
	}
	if all.Beta != 0 && (f.arch != "mistral3" || all.Type != "yarn") {
		return nil, nil, fmt.Errorf("%w: config.json: llama_4_scaling_beta is %g, which files say of mistral3 with YaRN only", ErrUnsupported, all.Beta)
	}
	switch all.Type {
	case "default", "dynamic": // which changes nothing up to the length of training
	case "linear", "yarn":
		add("rope.scaling.type", all.Type)
		add("rope.scaling.factor", float32(all.Factor))
		if all.Type == "yarn" {
			add("rope.scaling.original_context_length", uint32(cmp.Or(all.Original, int(float64(c.Positions)/max(1, all.Factor)))))
			if all.Truncate != nil && !*all.Truncate {
				return nil, nil, fmt.Errorf("%w: config.json: YaRN with truncate set to false", ErrUnsupported)
			}
			// transformers looks at these two where both are there.
			switch both := all.MScale != 0 && all.MScaleAll != 0; {
			case both && all.MScale != 1:
				return nil, nil, fmt.Errorf("%w: config.json: YaRN with an mscale of %g, files mean 1", ErrUnsupported, all.MScale)
			case both && all.Attention == 0:
				add("rope.scaling.yarn_log_multiplier", float32(all.MScaleAll))
			case all.Attention > 0:
				add("rope.scaling.attn_factor", float32(all.Attention/(1+0.1*math.Log(all.Factor))))
			}
			if all.Beta != 0 {
				add("attention.temperature_scale", float32(all.Beta))
			}
			if all.BetaFast != 0 || all.BetaSlow != 0 {
				add("rope.scaling.yarn_beta_fast", float32(cmp.Or(all.BetaFast, 32)))
				add("rope.scaling.yarn_beta_slow", float32(cmp.Or(all.BetaSlow, 1)))
			}
		}
	case "llama3":
		factors, err := all.llama3(dims)
		if err != nil {
			return nil, nil, err
		}
		extra = append(extra, vector("rope_freqs.weight", factors))
	case "longrope", "su":
		if len(all.ShortFactor) != dims/2 || len(all.LongFactor) != dims/2 || all.Original < 2 {
			return nil, nil, fmt.Errorf("%w: config.json: longrope with %d short and %d long factors, want %d, trained for %d tokens", ErrUnsupported, len(all.ShortFactor), len(all.LongFactor), dims/2, all.Original)
		}
		add("rope.scaling.type", "longrope")
		add("rope.scaling.original_context_length", uint32(all.Original))
		if scale := float64(c.Positions) / float64(all.Original); scale > 1 {
			add("rope.scaling.attn_factor", float32(cmp.Or(all.Attention, math.Sqrt(1+math.Log(scale)/math.Log(float64(all.Original))))))
		}
		extra = append(extra, vector("rope_factors_long.weight", all.LongFactor), vector("rope_factors_short.weight", all.ShortFactor))
	default:
		return nil, nil, fmt.Errorf("%w: config.json: positions are scaled by %q", ErrUnsupported, all.Type)
	}
	return meta, extra, nil
}

// llama3 are the factors that frequencies are divided by: 1 for high ones, Factor for low ones, and between
// them a mean.
func (r ropeConfig) llama3(dims int) ([]float64, error) {
	if !(r.Factor >= 1 && r.Low > 0 && r.High > r.Low && r.Original > 0) {
		return nil, fmt.Errorf("%w: config.json: llama3 scaling by %g, from %g to %g, trained for %d tokens", ErrUnsupported, r.Factor, r.Low, r.High, r.Original)
	}
	factors := make([]float64, dims/2)
	for i := range factors {
		turns := float64(r.Original) * math.Pow(r.Theta, -2*float64(i)/float64(dims)) / (2 * math.Pi)
		switch keep := (turns - r.Low) / (r.High - r.Low); {
		case keep > 1:
			factors[i] = 1
		case keep < 0:
			factors[i] = r.Factor
		default:
			factors[i] = 1 / ((1-keep)/r.Factor + keep)
		}
	}
	return factors, nil
}
