package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"docent/internal/llm/gguf"
	"docent/internal/mmap"
	"docent/internal/tensor"
	"docent/internal/tensor/safetensors"
)

// ggufArchs are the families by general.architecture, with the names that llama.cpp's converter gives
// their tensors. Positions of RoBERTa's kin are counted from 0 there, and "bert" is all of BERT,
// DistilBERT, RoBERTa and XLM-RoBERTa.
var ggufArchs = map[string]*arch{
	"bert":         ggufNames(archs["bert"], "ffn_up"),
	"nomic-bert":   ggufNames(archs["nomic_bert"], "ffn_gate", "ffn_up"),
	"jina-bert-v2": ggufNames(archs[jinaBERT], "ffn_up"),
}

func ggufNames(a *arch, up ...string) *arch {
	return with(*a, func(a *arch) {
		a.prefixes = []string{""}
		a.words, a.norm, a.layer = "token_embd", "token_embd_norm", "blk.%d."
		if a.positions != "" {
			a.positions = "position_embd"
		}
		if a.types != "" {
			a.types = "token_types"
		}
		a.qkv, a.out, a.attention = []string{"attn_q", "attn_k", "attn_v"}, "attn_output", "attn_output_norm"
		a.up, a.down, a.output = up, "ffn_down", "layer_output_norm"
		if a.head.out != "" {
			a.head = headNames{"cls", "tanh", "", "cls.output"}
		}
	})
}

// openGGUF opens a .gguf file, and with it the other parts of a split model.
func openGGUF(path, name string, cross bool) (*mappedCheckpoint, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	c, err := readGGUF(f, name, cross)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &mappedCheckpoint{*c, ggufTensors{f}}, nil
}

func readGGUF(f *gguf.File, name string, cross bool) (*checkpoint, error) {
	c := &checkpoint{name: name, weights: ggufTensors{f}}
	if tags, ok := f.Strings("general.languages"); ok {
		c.languages = slices.DeleteFunc(slices.Clone(tags), func(s string) bool { return len(s) < 2 || len(s) > 3 })
	}
	var err error
	if c.cfg, err = ggufConfig(f); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if _, ok := f.Tensor("cls.weight"); cross && !ok {
		return nil, errors.New(`there is no tensor "cls.weight": llama.cpp's converter leaves the first layer of the classifier out of BERT's rerankers; take the checkpoint with safetensors`)
	}
	if c.tok, err = ggufTokenizer(f); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return c, c.check()
}

// ggufConfig is the model's shape. What the metadata does not have, tensors' shapes tell.
func ggufConfig(f *gguf.File) (*modelConfig, error) {
	name, _ := f.String("general.architecture")
	if ggufArchs[name] == nil {
		return nil, fmt.Errorf("architecture %q is not supported; of GGUF encoders those that are: bert, jina-bert-v2, nomic-bert", name)
	}
	has := func(tensor string) bool { _, ok := f.Tensor(tensor); return ok }
	for _, t := range []string{"blk.0.attn_q_norm.weight", "blk.0.attn_norm_2.weight", "blk.0.ffn_gate_inp.weight"} {
		if has(t) {
			return nil, fmt.Errorf("%s with a tensor %q is not supported", name, t)
		}
	}
	number := func(key string) int {
		n, _ := f.Uint(name + "." + key)
		return int(min(n, math.MaxInt32))
	}
	rows := func(tensor string) int {
		t, ok := f.Tensor(tensor)
		switch {
		case !ok:
			return 0
		case len(t.Shape) < 2:
			return 1
		}
		return t.Shape[1]
	}
	raw := rawConfig{
		ModelType: "bert", Hidden: number("embedding_length"), Layers: number("block_count"),
		Heads: number("attention.head_count"), Intermediate: number("feed_forward_length"),
		Positions: number("context_length"), Vocab: rows("token_embd.weight"),
	}
	types := rows("token_types.weight")
	raw.Types = &types
	if eps, ok := f.Float(name + ".attention.layer_norm_epsilon"); ok {
		raw.Epsilon = &eps
	}
	switch name {
	case "bert":
		raw.Positions = rows("position_embd.weight")
	case "nomic-bert":
		raw.ModelType, raw.Activation = "nomic_bert", "swiglu"
		if base, ok := f.Float(name + ".rope.freq_base"); ok {
			raw.RopeBase = &base
		}
	case "jina-bert-v2":
		raw.PositionType, raw.FeedForward = "alibi", "geglu"
	}
	c, err := raw.config()
	if err != nil {
		return nil, err
	}
	kind, _ := f.String("tokenizer.ggml.model")
	c.arch = with(*ggufArchs[name], func(a *arch) {
		if has("blk.0.attn_qkv.weight") {
			a.qkv = []string{"attn_qkv"}
		}
		if a.gated && has("blk.0.ffn_gate.weight") {
			a.up = []string{"ffn_gate", "ffn_up"}
		}
		a.twoSeps = kind != "bert" // RoBERTa and its kin
	})
	c.labels = 1
	if names, ok := f.Strings(name + ".classifier.output_labels"); ok {
		c.labels = len(names)
	}
	switch p := f.Pooling(); p {
	case "", "mean", "rank": // llama.cpp takes the mean too, where nothing is said
	case "cls", "last":
		c.pooling = pooling(p)
	default:
		return nil, fmt.Errorf("pooling %q is not supported", p)
	}
	return c, nil
}

// ggufTensors gives the tensors of a GGUF file as those of a checkpoint.
type ggufTensors struct{ *gguf.File }

// Tensor has the shape with the rows first, as PyTorch has it.
func (w ggufTensors) Tensor(name string) (safetensors.Tensor, bool) {
	t, ok := w.File.Tensor(name)
	if !ok {
		return safetensors.Tensor{}, false
	}
	shape := slices.Clone(t.Shape)
	slices.Reverse(shape)
	return safetensors.Tensor{DType: t.Type.String(), Shape: shape}, true
}

// Float32 turns quantised values into float32. The converter drops dimensions of 1.
func (w ggufTensors) Float32(name string, shape ...int) ([]float32, error) {
	t, ok := w.File.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("tensor %q: %w", name, safetensors.ErrMissing)
	}
	have := slices.Clone(t.Shape)
	slices.Reverse(have)
	one := func(n int) bool { return n == 1 }
	if !slices.Equal(slices.DeleteFunc(slices.Clone(have), one), slices.DeleteFunc(slices.Clone(shape), one)) {
		return nil, fmt.Errorf("tensor %q: shape %v, want %v", name, have, shape)
	}
	kind := tensor.QType(t.Type)
	if n, _ := kind.Block(); n == 0 {
		return nil, fmt.Errorf("tensor %q: weights of %s are not supported", name, t.Type)
	}
	out, ok := mmap.Float32s(t.Data)
	if !ok || kind != tensor.QF32 {
		out = make([]float32, t.Values())
		tensor.DequantiseBlocks(kind, out, t.Data)
	}
	for i, x := range out {
		if x-x != 0 {
			return nil, fmt.Errorf("tensor %q: value %d is %v", name, i, x)
		}
	}
	return out, nil
}

// Int8 is for checkpoints that docent's own script wrote.
func (w ggufTensors) Int8(name string, _ ...int) ([]byte, error) {
	return nil, fmt.Errorf("tensor %q: weights of I8 are not supported in GGUF files", name)
}

// digest reads the file, or its parts one after the other.
func (w ggufTensors) digest() string {
	sum := sha256.New()
	w.WriteTo(sum) // which cannot fail
	return hex.EncodeToString(sum.Sum(nil))[:8]
}

func (w ggufTensors) release() { w.File.Release() }

func (w ggufTensors) Close() { w.File.Close() }

// withoutQuantSuffix is a name without the end that tells how a GGUF file keeps its weights.
func withoutQuantSuffix(name string) string {
	i := strings.LastIndexAny(name, ".-")
	if i < 0 {
		return name
	}
	switch end := strings.ToUpper(name[i+1:]); {
	case end == "F32" || end == "F16" || end == "FP16" || end == "FP32" || end == "BF16",
		len(end) > 2 && end[0] == 'Q' && end[1] >= '2' && end[1] <= '8' && end[2] == '_',
		len(end) > 3 && end[:2] == "IQ" && end[2] >= '1' && end[2] <= '4' && end[3] == '_':
		return name[:i]
	}
	return name
}
