package convert

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzConfig: any config.json is refused, or describes a model within bounds.
func FuzzConfig(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*/config.json")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"architectures": ["LlamaForCausalLM"], "rope_scaling": {"type": "su", "short_factor": [1]}, "eos_token_id": [1, 2]}`))
	f.Add([]byte(`{"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"text_config": {}, "hidden_size": -1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, family, err := parseConfig(data)
		if err != nil {
			return
		}
		if c.HeadDim < 1 || c.Heads < 1 || c.Layers < 1 || c.Hidden > maxConfigSize {
			t.Fatalf("%+v", c)
		}
		_, extra, err := c.metadata(family)
		if err != nil {
			return
		}
		for _, e := range extra {
			if len(e.Data) != 4*e.Values() {
				t.Fatalf("tensor %s has %d bytes", e.Name, len(e.Data))
			}
		}
	})
}

// FuzzPlace: any tensor's name is refused, left out, or goes to a place in a layer that can be.
func FuzzPlace(f *testing.F) {
	f.Add("LlamaForCausalLM", "model.layers.3.self_attn.q_proj.weight")
	f.Add("Qwen3MoeForCausalLM", "model.layers.3.mlp.experts.12.up_proj.weight")
	f.Add("StableLmForCausalLM", "model.layers.0.self_attn.q_layernorm.norms.3.weight")
	f.Add("GPT2LMHeadModel", "h.0.attn.bias")
	f.Fuzz(func(t *testing.T, class, name string) {
		fam, err := familyOf(class)
		if err != nil {
			return
		}
		p, ok, err := fam.place(name)
		if err != nil && !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		if ok && (p.name == "" || p.part == "" || p.index < 0 || p.index > 9999) {
			t.Fatalf("%q goes to %+v", name, p)
		}
	})
}
