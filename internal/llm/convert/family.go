package convert

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrUnsupported is wrapped when a checkpoint is of a kind that is not converted.
var ErrUnsupported = errors.New("checkpoint not supported")

// family is how the checkpoints of a class in transformers become files of an architecture.
type family struct {
	arch       string
	permuted   bool // rotated pairs of queries and keys lie half a head apart here, side by side in files
	plusOne    bool // norms' weights lack the 1 that files have
	layerNorm  bool
	transposed bool   // matrices have a row for each input
	postNorms  bool   // post_attention_layernorm comes after attention, not before the feed-forward network
	act        string // the activation that the architecture has; empty: not looked at
	topNorm    bool   // weights of the experts in use sum to 1
	megatron   bool   // ChatGLM's own code wrote it, which names sizes and tensors otherwise and keeps products of an input together
}

var families = map[string]family{
	"LlamaForCausalLM":                 {arch: "llama", permuted: true, act: "silu"},
	"MistralForCausalLM":               {arch: "llama", permuted: true, act: "silu"},
	"Ministral3ForCausalLM":            {arch: "mistral3", permuted: true, act: "silu"},
	"Mistral3ForConditionalGeneration": {arch: "mistral3", permuted: true, act: "silu"},
	"MixtralForCausalLM":               {arch: "llama", permuted: true, act: "silu", topNorm: true},
	"Qwen2ForCausalLM":                 {arch: "qwen2", act: "silu"},
	"Qwen3ForCausalLM":                 {arch: "qwen3", act: "silu"},
	"Qwen2MoeForCausalLM":              {arch: "qwen2moe", act: "silu"},
	"Qwen3MoeForCausalLM":              {arch: "qwen3moe", act: "silu", topNorm: true},
	"GemmaForCausalLM":                 {arch: "gemma", plusOne: true},
	"Gemma2ForCausalLM":                {arch: "gemma2", plusOne: true, postNorms: true},
	"Gemma3ForCausalLM":                {arch: "gemma3", plusOne: true, postNorms: true},
	"Gemma3ForConditionalGeneration":   {arch: "gemma3", plusOne: true, postNorms: true},
	"Phi3ForCausalLM":                  {arch: "phi3", act: "silu"},
	"PhiForCausalLM":                   {arch: "phi2", layerNorm: true, act: "gelu_new"},
	"GPT2LMHeadModel":                  {arch: "gpt2", layerNorm: true, transposed: true, act: "gelu_new"},
	"GlmForCausalLM":                   {arch: "chatglm", act: "silu"},
	"ChatGLMModel":                     {arch: "chatglm", megatron: true},
	"ChatGLMForConditionalGeneration":  {arch: "chatglm", megatron: true},
	"Glm4ForCausalLM":                  {arch: "glm4", act: "silu"},
	"StableLmForCausalLM":              {arch: "stablelm", layerNorm: true, act: "silu"},
	"T5ForConditionalGeneration":       {arch: "t5"},
}

func familyOf(class string) (family, error) {
	f, ok := families[class]
	if !ok {
		return f, fmt.Errorf("%w: config.json: architectures is %q (there are %s)", ErrUnsupported, class, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	return f, nil
}

// layerName takes the number and the rest from the name of a layer's tensor.
var layerName = regexp.MustCompile(`^(?:model\.layers|transformer\.h|transformer\.encoder\.layers)\.(\d{1,4})\.(.+)$`)

// Names of tensors, without prefixes and endings, in transformers and in files.
var (
	topNames = map[string]string{
		"model.embed_tokens": "token_embd", "model.norm": "output_norm", "model.final_layernorm": "output_norm", "lm_head": "output",
		"shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm", "decoder.final_layer_norm": "dec.output_norm",
		"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
		"transformer.embedding.word_embeddings": "token_embd", "transformer.encoder.final_layernorm": "output_norm", "transformer.output_layer": "output",
	}
	layerNames = map[string]string{
		"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "pre_feedforward_layernorm": "ffn_norm",
		"post_feedforward_layernorm": "post_ffw_norm", "post_self_attn_layernorm": "post_attention_norm", "post_mlp_layernorm": "post_ffw_norm",
		"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
		"self_attn.dense": "attn_output", "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
		"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
		"mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "mlp.gate": "ffn_gate_inp", "block_sparse_moe.gate": "ffn_gate_inp",
		"mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp", "mlp.shared_expert.down_proj": "ffn_down_shexp",
		"mlp.shared_expert_gate":         "ffn_gate_inp_shexp",
		"self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
		"ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
	}
	// One of several that become one tensor: the number comes between these.
	stackedNames = map[[2]string]string{
		{"mlp.experts", "gate_proj"}: "ffn_gate_exps", {"mlp.experts", "up_proj"}: "ffn_up_exps", {"mlp.experts", "down_proj"}: "ffn_down_exps",
		{"block_sparse_moe.experts", "w1"}: "ffn_gate_exps", {"block_sparse_moe.experts", "w3"}: "ffn_up_exps", {"block_sparse_moe.experts", "w2"}: "ffn_down_exps",
		{"self_attn.q_layernorm.norms", ""}: "attn_q_norm", {"self_attn.k_layernorm.norms", ""}: "attn_k_norm",
	}
	stackedName = regexp.MustCompile(`^(.+)\.(\d{1,4})(?:\.([a-z0-9_]+))?$`)
	ignored     = regexp.MustCompile(`\.rotary_emb\.inv_freq$|\.rotary_pos_emb\.inv_freq$|\.attn\.(masked_)?bias$|^vision_tower\.|^multi_modal_projector\.|^model\.vision_tower\.|^model\.multi_modal_projector\.|^(en|de)coder\.embed_tokens\.weight$|\.EncDecAttention\.relative_attention_bias\.weight$`)
)

// t5Name takes apart the name of a tensor of T5's: side, number of the block, and what it is.
var t5Name = regexp.MustCompile(`^(enc|dec)oder\.block\.(\d{1,4})\.layer\.(\d\.)(.+)$`)

// t5Names are T5's, with the layer of the block where it matters.
var t5Names = map[string]string{
	"SelfAttention.q": "attn_q", "SelfAttention.k": "attn_k", "SelfAttention.v": "attn_v", "SelfAttention.o": "attn_o",
	"SelfAttention.relative_attention_bias": "attn_rel_b",
	"EncDecAttention.q":                     "cross_attn_q", "EncDecAttention.k": "cross_attn_k", "EncDecAttention.v": "cross_attn_v", "EncDecAttention.o": "cross_attn_o",
	"DenseReluDense.wi": "ffn_up", "DenseReluDense.wi_0": "ffn_gate", "DenseReluDense.wi_1": "ffn_up", "DenseReluDense.wo": "ffn_down",
	"enc.0.layer_norm": "attn_norm", "enc.1.layer_norm": "ffn_norm",
	"dec.0.layer_norm": "attn_norm", "dec.1.layer_norm": "cross_attn_norm", "dec.2.layer_norm": "ffn_norm",
}

// place is where a tensor of a checkpoint goes.
type place struct {
	name  string // of a file's tensor, with its ending
	part  string // the name without layer and ending
	index int    // of those that make up the tensor
}

// place names where a tensor goes; ok is false for one that files do not have.
func (f family) place(name string) (p place, ok bool, err error) {
	name = strings.TrimPrefix(name, "language_model.")
	name = strings.Replace(name, "model.language_model.", "model.", 1)
	if ignored.MatchString(name) {
		return p, false, nil
	}
	if f.arch == "gpt2" && !strings.HasPrefix(name, "transformer.") && name != "lm_head.weight" {
		name = "transformer." + name // early checkpoints leave it out
		if ignored.MatchString(name) {
			return p, false, nil
		}
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || name[dot:] != ".weight" && name[dot:] != ".bias" {
		return p, false, fmt.Errorf("%w: tensor %q", ErrUnsupported, name)
	}
	base, ending := name[:dot], name[dot:]
	if to := topNames[base]; to != "" {
		return place{name: to + ending, part: to}, true, nil
	}
	if m := t5Name.FindStringSubmatch(base); m != nil && f.arch == "t5" {
		to := cmp.Or(t5Names[m[4]], t5Names[m[1]+"."+m[3]+m[4]])
		if to == "" {
			return p, false, fmt.Errorf("%w: tensor %q", ErrUnsupported, name)
		}
		return place{name: m[1] + ".blk." + m[2] + "." + to + ending, part: to}, true, nil
	}
	m := layerName.FindStringSubmatch(base)
	if m == nil {
		return p, false, fmt.Errorf("%w: tensor %q", ErrUnsupported, name)
	}
	to, index := layerNames[m[2]], 0
	if f.postNorms && m[2] == "post_attention_layernorm" {
		to = "post_attention_norm"
	}
	if s := stackedName.FindStringSubmatch(m[2]); to == "" && s != nil {
		to = stackedNames[[2]string{s[1], s[3]}]
		index, _ = strconv.Atoi(s[2])
	}
	if to == "" {
		return p, false, fmt.Errorf("%w: tensor %q", ErrUnsupported, name)
	}
	return place{"blk." + m[1] + "." + to + ending, to, index}, true, nil
}
