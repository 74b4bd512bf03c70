package embed

import (
	"fmt"
	"slices"
	"strings"
)

// arch is what sets a family of encoders apart from the others: the names of its tensors, and which
// parts its graph has. The graph itself is in bert.go, once for all of them.
type arch struct {
	name     string   // as its authors write it
	prefixes []string // what may come before all names; a bare model has nothing there

	// Names of tensors, without ".weight" and ".bias". One that is empty is no part of the graph.
	words, positions, types, norm string
	project                       string // from the size of embeddings to that of layers (ALBERT)
	layer                         string // before the names of a layer's tensors, %d being its number
	qkv                           []string
	out, attention                string   // the norm of attention is before it with preNorm, else after
	up                            []string // gated: the half that is activated first, or both in one tensor
	down, output                  string
	final                         string // a norm after all layers

	offset   bool   // positions are counted from one past the padding token's id
	freeBias bool   // linear layers and norms need no biases
	preNorm  bool   // a norm is at the start of each branch; else it follows where the branch is added
	gated    bool   // the feed-forward part is act(a)*b of two linear layers
	rotary   bool   // positions turn queries and keys (Su et al. 2021)
	alibi    bool   // attention fades with distance (Press et al. 2021), the same in both directions
	buckets  string // the tensor of biases for distances in buckets (Raffel et al. 2020), for all layers
	epsilon  float64

	head    headNames
	twoSeps bool // between two texts stand two separators; else one, and the second text is of type 1
}

// headNames are the tensors of a classifier on the first token, by their full names.
type headNames struct{ dense, act, norm, out string }

var robertaArch = arch{
	name: "RoBERTa", prefixes: []string{"", "roberta.", "model.", "0.auto_model."},
	words: "embeddings.word_embeddings", positions: "embeddings.position_embeddings",
	types: "embeddings.token_type_embeddings", norm: "embeddings.LayerNorm", layer: "encoder.layer.%d.",
	qkv: []string{"attention.self.query", "attention.self.key", "attention.self.value"},
	out: "attention.output.dense", attention: "attention.output.LayerNorm",
	up: []string{"intermediate.dense"}, down: "output.dense", output: "output.LayerNorm",
	offset: true, epsilon: 1e-12,
	head: headNames{"classifier.dense", "tanh", "", "classifier.out_proj"}, twoSeps: true,
}

// archs are the families that can be run, by config.json's model_type; Jina v2 gives "bert" for its own.
var archs = map[string]*arch{
	"bert": with(robertaArch, func(a *arch) {
		a.name, a.prefixes = "BERT", []string{"", "bert.", "model.", "0.auto_model."}
		a.offset, a.twoSeps = false, false
		a.head = headNames{"bert.pooler.dense", "tanh", "", "classifier"}
	}),
	"roberta":     &robertaArch,
	"camembert":   with(robertaArch, func(a *arch) { a.name = "CamemBERT" }),
	"xlm-roberta": with(robertaArch, func(a *arch) { a.name = "XLM-RoBERTa" }),
	"distilbert": {
		name: "DistilBERT", prefixes: []string{"", "distilbert."},
		words: "embeddings.word_embeddings", positions: "embeddings.position_embeddings",
		norm: "embeddings.LayerNorm", layer: "transformer.layer.%d.",
		qkv: []string{"attention.q_lin", "attention.k_lin", "attention.v_lin"},
		out: "attention.out_lin", attention: "sa_layer_norm",
		up: []string{"ffn.lin1"}, down: "ffn.lin2", output: "output_layer_norm", epsilon: 1e-12,
		head: headNames{"pre_classifier", "relu", "", "classifier"},
	},
	"mpnet": {
		name: "MPNet", prefixes: []string{"", "mpnet."},
		words: "embeddings.word_embeddings", positions: "embeddings.position_embeddings",
		norm: "embeddings.LayerNorm", layer: "encoder.layer.%d.",
		qkv: []string{"attention.attn.q", "attention.attn.k", "attention.attn.v"},
		out: "attention.attn.o", attention: "attention.LayerNorm",
		up: []string{"intermediate.dense"}, down: "output.dense", output: "output.LayerNorm",
		offset: true, buckets: "encoder.relative_attention_bias.weight", epsilon: 1e-12,
		head: headNames{"classifier.dense", "tanh", "", "classifier.out_proj"}, twoSeps: true,
	},
	"albert": {
		name: "ALBERT", prefixes: []string{"", "albert."},
		words: "embeddings.word_embeddings", positions: "embeddings.position_embeddings",
		types: "embeddings.token_type_embeddings", norm: "embeddings.LayerNorm",
		project: "encoder.embedding_hidden_mapping_in", layer: "encoder.albert_layer_groups.%d.albert_layers.0.",
		qkv: []string{"attention.query", "attention.key", "attention.value"},
		out: "attention.dense", attention: "attention.LayerNorm",
		up: []string{"ffn"}, down: "ffn_output", output: "full_layer_layer_norm", epsilon: 1e-12,
		head: headNames{"albert.pooler", "tanh", "", "classifier"},
	},
	"modernbert": {
		name: "ModernBERT", prefixes: []string{"", "model."},
		words: "embeddings.tok_embeddings", norm: "embeddings.norm", layer: "layers.%d.",
		qkv: []string{"attn.Wqkv"}, out: "attn.Wo", attention: "attn_norm",
		up: []string{"mlp.Wi"}, down: "mlp.Wo", output: "mlp_norm", final: "final_norm",
		freeBias: true, preNorm: true, gated: true, rotary: true, epsilon: 1e-5,
		head: headNames{"head.dense", "gelu", "head.norm", "classifier"},
	},
	"nomic_bert": {
		name: "nomic-bert", prefixes: []string{"", "bert.", "nomic_bert."},
		words: "embeddings.word_embeddings", types: "embeddings.token_type_embeddings",
		norm: "emb_ln", layer: "encoder.layers.%d.",
		qkv: []string{"attn.Wqkv"}, out: "attn.out_proj", attention: "norm1",
		up: []string{"mlp.fc12", "mlp.fc11"}, down: "mlp.fc2", output: "norm2",
		freeBias: true, gated: true, rotary: true, epsilon: 1e-12,
	},
	jinaBERT: {
		name: "Jina BERT v2", prefixes: []string{"", "bert."},
		words: "embeddings.word_embeddings", types: "embeddings.token_type_embeddings",
		norm: "embeddings.LayerNorm", layer: "encoder.layer.%d.",
		qkv: []string{"attention.self.query", "attention.self.key", "attention.self.value"},
		out: "attention.output.dense", attention: "attention.output.LayerNorm",
		up: []string{"mlp.gated_layers"}, down: "mlp.wo", output: "mlp.layernorm",
		freeBias: true, gated: true, alibi: true, epsilon: 1e-12,
	},
}

// jinaBERT stands for a "bert" whose position_embedding_type is "alibi".
const jinaBERT = "bert with alibi"

// nomicNative names the tensors of nomic-bert as transformers 5 does when it writes a checkpoint; the
// ones on the hub are in the authors' own form.
var nomicNative = with(*archs["nomic_bert"], func(a *arch) {
	a.norm, a.layer = "embeddings.LayerNorm", "layers.%d."
	a.qkv, a.out = []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, "self_attn.o_proj"
	a.up, a.down = []string{"mlp.gate_proj", "mlp.up_proj"}, "mlp.down_proj"
	a.attention, a.output = "post_attention_layernorm", "post_mlp_layernorm"
})

func with(a arch, change func(*arch)) *arch {
	change(&a)
	return &a
}

// Architectures lists the families of encoders that Load reads, sorted.
func Architectures() []string {
	var names []string
	for _, a := range archs {
		names = append(names, a.name)
	}
	slices.Sort(names)
	return names
}

// findArch chooses the family by config.json.
func findArch(modelType, positionType string) (*arch, error) {
	switch positionType {
	case "", "absolute", "rope", "rotary":
	case "alibi":
		if modelType == "bert" {
			modelType = jinaBERT
			break
		}
		fallthrough
	default:
		return nil, fmt.Errorf("position_embedding_type %q is not supported with model_type %q", positionType, modelType)
	}
	if a, ok := archs[modelType]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("architecture %q is not supported; those that are: %s", modelType, strings.Join(Architectures(), ", "))
}
