package convert

import (
	"fmt"
	"strings"

	"docent/internal/llm/gguf"
	"docent/internal/tensor"
)

// Type is how a file keeps its matrices. Vectors and what routes to experts stay in F32.
type Type string

// The types of files.
const (
	F32    Type = "f32"
	F16    Type = "f16"
	BF16   Type = "bf16"
	Q8_0   Type = "q8_0"
	Q4_0   Type = "q4_0"   // the output in Q6_K
	Q4_K_M Type = "q4_k_m" // Q4_K; Q6_K for the output and in about half the layers for values and down
)

// fileTypes are llama.cpp's numbers (general.file_type) and the types of most matrices.
var fileTypes = map[Type]struct {
	number uint32
	most   gguf.Type
}{
	F32: {0, gguf.F32}, F16: {1, gguf.F16}, Q4_0: {2, gguf.Q4_0}, Q8_0: {7, gguf.Q8_0}, Q4_K_M: {15, gguf.Q4_K}, BF16: {32, gguf.BF16},
}

// ParseType reads a type's name in letters of any case; empty means Q8_0.
func ParseType(s string) (Type, error) {
	t := Type(strings.ToLower(s))
	if t == "" {
		return Q8_0, nil
	}
	if _, ok := fileTypes[t]; !ok {
		return "", fmt.Errorf("type %q: want f32, f16, bf16, q8_0, q4_0 or q4_k_m", s)
	}
	return t, nil
}

// tensorType chooses how a tensor of a shape is kept.
func (o *output) tensorType(kind Type) gguf.Type {
	if len(o.shape) == 1 || strings.Contains(o.part, "norm") || strings.HasPrefix(o.part, "ffn_gate_inp") || o.part == "position_embd" || o.part == "attn_rel_b" {
		return gguf.F32
	}
	t := fileTypes[kind].most
	last := o.part == "output" || o.part == "token_embd" && o.tied
	switch {
	case last && (kind == Q4_0 || kind == Q4_K_M):
		t = gguf.Q6_K
	case kind != Q4_K_M:
	case o.part == "attn_qkv":
		t = gguf.Q5_K
	case (o.part == "attn_v" || o.part == "attn_k") && o.experts == 8:
		t = gguf.Q8_0 // small beside the experts
	case o.part == "attn_v" || o.part == "ffn_down" || o.part == "ffn_down_exps":
		// The first eighth of the layers, the last, and each third between them.
		if i, n := o.layer, o.layers; i < n/8 || i >= 7*n/8 || (i-n/8)%3 == 2 {
			t = gguf.Q6_K
		}
	}
	// Rows that are not whole blocks get the nearest type with smaller blocks.
	for {
		if values, _ := t.Block(); o.shape[0]%values == 0 {
			return t
		}
		switch t {
		case gguf.Q6_K, gguf.Q5_K:
			t = gguf.Q8_0
		case gguf.Q4_K:
			t = gguf.Q5_0
		default:
			t = gguf.F16
		}
	}
}

// round is o's values as bytes of its type.
func round(t gguf.Type, dst []byte, src []float32) { tensor.Quantise(tensor.QType(t), dst, src) }
