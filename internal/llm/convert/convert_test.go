package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/convert"
	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
	"docent/internal/tensor"
	"docent/internal/tensor/safetensors"
)

func convertTo(t testing.TB, dir string, opts convert.Options) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "model.gguf")
	if err := convert.Folder(context.Background(), dir, out, opts); err != nil {
		t.Fatal(err)
	}
	return out
}

func openFile(t testing.TB, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func logits(t testing.TB, path string) [][]float32 {
	t.Helper()
	m, err := engine.Open(path, engine.Config{Exact: true, Cache: engine.CacheF32, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	rows, err := m.Logits(context.Background(), []int32{5, 9, 33, 71, 12, 40, 41, 42, 43, 44, 17, 3, 90, 91, 2, 60})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestGolden compares with the files that scripts/golden_llm.py makes of the same weights, whose logits are
// transformers': the same tensors, the same metadata, the same logits.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*-f16")
	if err != nil || len(dirs) == 0 {
		t.Fatal("there are no checkpoints", err)
	}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			path := convertTo(t, dir, convert.Options{Type: convert.F16, NoTokenizer: true})
			wantPath := "../engine/testdata/" + name + ".gguf"
			got, want := openFile(t, path), openFile(t, wantPath)
			if g, w := len(got.Tensors), len(want.Tensors); g != w {
				t.Errorf("%d tensors, want %d", g, w)
			}
			for _, w := range want.Tensors {
				g, ok := got.Tensor(w.Name)
				switch {
				case !ok:
					t.Errorf("tensor %s is missing", w.Name)
				case !slices.Equal(g.Shape, w.Shape):
					t.Errorf("tensor %s: shape %v, want %v", w.Name, g.Shape, w.Shape)
				case g.Type == w.Type && !bytes.Equal(g.Data, w.Data):
					// Sums and powers of floats may differ in the last place.
					if g.Type != gguf.F32 || apart(g.Data, w.Data) > 1e-5 {
						t.Errorf("tensor %s: values differ", w.Name)
					}
				case g.Type != w.Type && w.Name != "position_embd.weight":
					t.Errorf("tensor %s: %s, want %s", w.Name, g.Type, w.Type)
				}
			}
			for _, key := range want.Keys() {
				w, _ := want.Value(key)
				g, ok := got.Value(key)
				if x, isFloat := w.(float32); isFloat && ok {
					if y, _ := g.(float32); math.Abs(float64(x-y)) <= 1e-6*math.Abs(float64(x)) {
						continue
					}
				}
				if key != "general.name" && (!ok || g != w) {
					t.Errorf("%s is %v, want %v", key, g, w)
				}
			}
			if strings.HasPrefix(name, "t5") {
				return // the engine's own test compares what files of these bytes write
			}
			a, b := logits(t, path), logits(t, wantPath)
			for i := range a {
				for j := range a[i] {
					if d := math.Abs(float64(a[i][j] - b[i][j])); !(d <= 1e-5) {
						t.Fatalf("logits of token %d are off by %g", i, d)
					}
				}
			}
		})
	}
}

func apart(a, b []byte) float64 {
	far := 0.0
	for i := 0; i+4 <= len(a); i += 4 {
		x := math.Float32frombits(binary.LittleEndian.Uint32(a[i:]))
		y := math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))
		far = max(far, math.Abs(float64(x-y)))
	}
	return far
}

// llama writes a checkpoint of random weights, wide enough for the K types, and returns its folder.
func llama(t testing.TB, change func(config map[string]any, tensors map[string][]int)) string {
	t.Helper()
	const dim, layers, vocab = 256, 8, 96
	config := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "hidden_size": dim, "intermediate_size": dim, "num_hidden_layers": layers,
		"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": vocab, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
	}
	tensors := map[string][]int{"model.embed_tokens.weight": {vocab, dim}, "lm_head.weight": {vocab, dim}, "model.norm.weight": {dim}}
	for i := range layers {
		p := "model.layers." + string(rune('0'+i)) + "."
		for _, name := range []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"} {
			tensors[p+name+".weight"] = []int{dim, dim}
		}
		tensors[p+"input_layernorm.weight"], tensors[p+"post_attention_layernorm.weight"] = []int{dim}, []int{dim}
	}
	if change != nil {
		change(config, tensors)
	}
	dir := t.TempDir()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", data)
	write("model.safetensors", safetensorsFile(t, tensors))
	return dir
}

func safetensorsFile(t testing.TB, tensors map[string][]int) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	header := map[string]any{}
	var body []byte
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		shape, n := tensors[name], 1
		for _, d := range shape {
			n *= d
		}
		begin := len(body)
		for range n {
			x := rng.NormFloat64() / 16
			if len(shape) == 1 && !strings.HasSuffix(name, ".bias") {
				x = 1
			}
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(float32(x)))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{begin, len(body)}}
	}
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head, body)
}

// TestTypes: the types that a file's tensors get, and that less exact ones move the logits little.
func TestTypes(t *testing.T) {
	dir := llama(t, nil)
	plain := logits(t, convertTo(t, dir, convert.Options{Type: convert.F32, NoTokenizer: true}))
	for _, c := range []struct {
		kind   convert.Type
		file   uint32
		types  map[string]gguf.Type
		cosine float64
	}{
		{convert.F16, 1, map[string]gguf.Type{"output.weight": gguf.F16, "blk.0.attn_q.weight": gguf.F16, "output_norm.weight": gguf.F32}, 0.99999},
		{convert.BF16, 32, map[string]gguf.Type{"output.weight": gguf.BF16}, 0.9999},
		{convert.Q8_0, 7, map[string]gguf.Type{"output.weight": gguf.Q8_0, "blk.0.attn_norm.weight": gguf.F32}, 0.999},
		{convert.Q4_0, 2, map[string]gguf.Type{"output.weight": gguf.Q6_K, "token_embd.weight": gguf.Q4_0, "blk.3.ffn_down.weight": gguf.Q4_0}, 0.85},
		{convert.Q4_K_M, 15, map[string]gguf.Type{
			"output.weight": gguf.Q6_K, "token_embd.weight": gguf.Q4_K, "blk.0.attn_v.weight": gguf.Q6_K, "blk.1.attn_v.weight": gguf.Q4_K,
			"blk.3.ffn_down.weight": gguf.Q6_K, "blk.7.ffn_down.weight": gguf.Q6_K, "blk.4.ffn_down.weight": gguf.Q4_K, "blk.0.attn_q.weight": gguf.Q4_K,
		}, 0.92},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			path := convertTo(t, dir, convert.Options{Type: c.kind, NoTokenizer: true})
			f := openFile(t, path)
			for name, want := range c.types {
				if got, ok := f.Tensor(name); !ok || got.Type != want {
					t.Errorf("%s: %s, want %s", name, got.Type, want)
				}
			}
			if n, _ := f.Uint("general.file_type"); n != uint64(c.file) {
				t.Errorf("file type %d, want %d", n, c.file)
			}
			if cos := cosine(slices.Concat(logits(t, path)...), slices.Concat(plain...)); cos < c.cosine {
				t.Errorf("the cosine of the logits with those of F32 is %.5f", cos)
			}
		})
	}
}

// TestFamilies: every architecture is converted to every type; values are off by no more than the type's rounding, and the
// model is one that runs. The checkpoints are narrow, so that blocks of 256 values give way to the nearest type that fits;
// TestTypes has a wide one.
func TestFamilies(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*-f16")
	if err != nil || len(dirs) == 0 {
		t.Fatal("there are no checkpoints", err)
	}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		plain := openFile(t, "../engine/testdata/"+name+".gguf")
		for kind, most := range map[convert.Type]float64{convert.Q8_0: 0.01, convert.Q4_0: 0.12, convert.Q4_K_M: 0.12} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				path := convertTo(t, dir, convert.Options{Type: kind, NoTokenizer: true})
				f, quantised := openFile(t, path), 0
				for _, x := range f.Tensors {
					w, _ := plain.Tensor(x.Name)
					if got, want := values(x), values(w); !(distance(got, want) <= most) {
						t.Errorf("tensor %s of %s is off by %.4f of its size", x.Name, x.Type, distance(got, want))
					}
					if x.Type != gguf.F32 && x.Type != gguf.F16 {
						quantised++
					}
				}
				if quantised < 4 {
					t.Errorf("%d tensors are quantised", quantised)
				}
				m, err := engine.Open(path, engine.Config{Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				res, err := m.GenerateIDs(context.Background(), []int32{5, 9, 33}, engine.Options{MaxTokens: 4}, func(int32) (bool, error) { return true, nil })
				if err != nil || res.Completion != 4 {
					t.Errorf("%+v, %v", res, err)
				}
			})
		}
	}
}

func values(x gguf.Tensor) []float32 {
	out := make([]float32, x.Values())
	tensor.DequantiseBlocks(tensor.QType(x.Type), out, x.Data)
	return out
}

// distance is how far x is from y, of the size of y.
func distance(x, y []float32) float64 {
	if len(x) != len(y) {
		return math.Inf(1)
	}
	var far, size float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		far, size = far+d*d, size+float64(y[i])*float64(y[i])
	}
	return math.Sqrt(far / size)
}

func cosine(x, y []float32) float64 {
	var xy, xx, yy float64
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		xy, xx, yy = xy+a*b, xx+a*a, yy+b*b
	}
	return xy / math.Sqrt(xx*yy)
}

// TestTurnedBias: a bias of queries is put in the order of their rows.
func TestTurnedBias(t *testing.T) {
	const name = "model.layers.0.self_attn.q_proj.bias"
	dir := llama(t, func(_ map[string]any, tensors map[string][]int) { tensors[name] = []int{256} })
	data, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := safetensors.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	x, err := source.Float32(name, 256)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := openFile(t, convertTo(t, dir, convert.Options{Type: convert.F32, NoTokenizer: true})).Tensor("blk.0.attn_q.bias")
	if !ok {
		t.Fatal("the bias is missing")
	}
	for head := range 4 {
		for i := range 32 {
			for half := range 2 {
				at := 64*head + 2*i + half
				if y := math.Float32frombits(binary.LittleEndian.Uint32(got.Data[4*at:])); y != x[64*head+i+32*half] {
					t.Fatalf("value %d of head %d is %g, want %g", 2*i+half, head, y, x[64*head+i+32*half])
				}
			}
		}
	}
}

// TestRefused: what cannot be converted is named, and nothing is left behind.
func TestRefused(t *testing.T) {
	set := func(key string, value any) func(map[string]any, map[string][]int) {
		return func(c map[string]any, _ map[string][]int) { c[key] = value }
	}
	for _, c := range []struct {
		name   string
		change func(map[string]any, map[string][]int)
		want   string
	}{
		{"class", set("architectures", []string{"BertModel"}), "BertModel"},
		{"no class", set("architectures", nil), "architectures"},
		{"no layers", set("num_hidden_layers", 0), "num_hidden_layers"},
		{"fewer layers", set("num_hidden_layers", 2), "config.json says there are 2"},
		{"heads", set("num_attention_heads", 3), "heads"},
		{"activation", set("hidden_act", "relu"), "relu"},
		{"scaling", set("rope_scaling", map[string]any{"rope_type": "warp", "factor": 2}), "warp"},
		{"llama3 scaling", set("rope_scaling", map[string]any{"rope_type": "llama3", "factor": 2}), "llama3"},
		{"YaRN without whole bounds", set("rope_scaling", map[string]any{"rope_type": "yarn", "factor": 2, "truncate": false}), "truncate"},
		{"growth of scores", set("rope_scaling", map[string]any{"rope_type": "yarn", "factor": 2, "llama_4_scaling_beta": 0.1}), "llama_4_scaling_beta"},
		{"an mscale that files do not mean", set("rope_scaling", map[string]any{"rope_type": "yarn", "factor": 2, "mscale": 0.7, "mscale_all_dim": 0.7}), "mscale"},
		{"keys of each head", func(c map[string]any, _ map[string][]int) {
			maps.Copy(c, map[string]any{"architectures": []string{"ChatGLMModel"}, "num_layers": 8, "kv_channels": 64, "multi_query_group_num": 4, "ffn_hidden_size": 256, "seq_length": 64, "multi_query_attention": false})
		}, "multi_query_attention"},
		{"a window where files have none", func(c map[string]any, _ map[string][]int) {
			maps.Copy(c, map[string]any{"architectures": []string{"Ministral3ForCausalLM"}, "sliding_window": 16})
		}, "sliding_window"},
		{"unknown tensor", func(_ map[string]any, t map[string][]int) { t["model.layers.0.self_attn.z_proj.weight"] = []int{2, 2} }, "z_proj"},
		{"no embeddings", func(_ map[string]any, t map[string][]int) { delete(t, "model.embed_tokens.weight") }, "embeddings"},
		{"shape", func(_ map[string]any, t map[string][]int) {
			t["model.layers.0.self_attn.q_proj.weight"] = []int{250, 256}
		}, "q_proj"},
		{"huge", set("hidden_size", 1<<40), "hidden_size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, out := llama(t, c.change), t.TempDir()
			err := convert.Folder(context.Background(), dir, filepath.Join(out, "m.gguf"), convert.Options{NoTokenizer: true})
			if !errors.Is(err, convert.ErrUnsupported) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Error(err)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("%s is left", left[0].Name())
			}
		})
	}
	dir := llama(t, nil)
	out := filepath.Join(t.TempDir(), "m.gguf")
	if err := convert.Folder(context.Background(), dir, out, convert.Options{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Error("no tokenizer:", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := convert.Folder(ctx, dir, out, convert.Options{NoTokenizer: true, Progress: func(written, total int64) {
		if written > total/2 {
			cancel()
		}
	}})
	if left, _ := os.ReadDir(filepath.Dir(out)); !errors.Is(err, context.Canceled) || len(left) > 0 {
		t.Errorf("ended in the middle: %v, %v", err, left)
	}
	if err := convert.Folder(context.Background(), dir, out, convert.Options{NoTokenizer: true}); err != nil {
		t.Fatal(err)
	}
	if err := convert.Folder(context.Background(), dir, out, convert.Options{NoTokenizer: true}); err == nil {
		t.Error("a file that is there is written over")
	}
	if err := convert.Folder(context.Background(), dir, out, convert.Options{NoTokenizer: true, Overwrite: true}); err != nil {
		t.Error(err)
	}
	if _, err := convert.ParseType("q3_x"); err == nil {
		t.Error("a type that is none")
	}
	os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(`{"weight_map": {"model.layers.9.x.weight": "part-2.safetensors"}}`), 0o600)
	if err := convert.Folder(context.Background(), dir, out, convert.Options{NoTokenizer: true, Overwrite: true}); err == nil || !strings.Contains(err.Error(), "part-2") {
		t.Error("a part that is not there:", err)
	}
}
