package embed

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func mustLoad(t *testing.T, dir string, opts ...Option) *Encoder {
	t.Helper()
	e, err := Load(dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestInt8(t *testing.T) {
	const text = "hello world, the cat is hiding 中文."
	for _, name := range []string{"tiny-f32-mean", "tiny-modernbert", "tiny-nomic", "tiny-jina", "tiny-albert", "tiny-mpnet"} {
		dir := filepath.Join("testdata", name)
		a, b := mustLoad(t, dir), mustLoad(t, dir, Int8())
		if a.Info().Precision != "float32" || b.Info().Precision != "int8" || b.Name() != name+"-int8" || !strings.HasPrefix(b.Fingerprint(), name+"-int8@") {
			t.Errorf("%s: %+v", name, b.Info())
		}
		x, err := a.EmbedQuery(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.EmbedQuery(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		// Random weights without structure are the worst case for 8 bits.
		if c := cosine(x, y); c < 0.98 || slices.Equal(x, y) {
			t.Errorf("%s: cosine of int8 with float32 %v", name, c)
		}
	}
}

func TestBF16(t *testing.T) {
	const text = "hello world, the cat is hiding 中文."
	for _, name := range []string{"tiny-f32-mean", "tiny-modernbert", "tiny-nomic", "tiny-jina", "tiny-albert", "tiny-mpnet"} {
		dir := filepath.Join("testdata", name)
		a, b := mustLoad(t, dir), mustLoad(t, dir, Int8(), BF16())
		if b.Info().Precision != "bf16" || b.Name() != name+"-bf16" || !strings.HasPrefix(b.Fingerprint(), name+"-bf16@") {
			t.Errorf("%s: %+v", name, b.Info())
		}
		x, err := a.EmbedQuery(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.EmbedQuery(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		if c := cosine(x, y); c < 0.9995 || slices.Equal(x, y) {
			t.Errorf("%s: cosine of bf16 with float32 %v", name, c)
		}
	}
}

func TestBF16AgainstTransformers(t *testing.T) {
	dir := minilmDir()
	if dir == "" {
		t.Skip("set DOCENT_MINILM_DIR; see TestFloat32AgainstTransformers")
	}
	checkGolden(t, mustLoad(t, dir, BF16()), 0.9995)
}

func TestInt8AgainstTransformers(t *testing.T) {
	dir := minilmDir()
	if dir == "" {
		t.Skip("set DOCENT_MINILM_DIR; see TestFloat32AgainstTransformers")
	}
	checkGolden(t, mustLoad(t, dir, Int8()), 0.98)
}

func TestQuantiseRows(t *testing.T) {
	w := []float32{1, -1, 0.5, 0, 0, 0, 1e-3, -2e-3, 1e-3}
	values, scales := quantiseRows(w, 3, 3)
	for i, v := range signed(values) {
		got := float32(v) * scales[i/3]
		if d := math.Abs(float64(got - w[i])); d > float64(scales[i/3]) {
			t.Errorf("value %d: %v, want %v", i, got, w[i])
		}
	}
	for x, want := range map[float32]float32{0.5: 0, 1.5: 2, -0.5: 0, -2.5: -2, 126.6: 127, 200: 127, -200: -127} {
		if got := roundInt8(x); got != want {
			t.Errorf("%v rounded: %v, want %v", x, got, want)
		}
	}
}

func TestDims(t *testing.T) {
	const dir, text = "testdata/tiny-f32-mean", "hello world"
	full, err := mustLoad(t, dir).EmbedQuery(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	e := mustLoad(t, dir, Dims(8))
	got, err := e.EmbedQuery(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	if e.Dim() != 8 || len(got) != 8 || math.Abs(norm(got)-1) > 1e-6 || cosine(got, full[:8]) < 0.999999 {
		t.Errorf("%d values of length %v, want the first of %v", len(got), norm(got), full)
	}
	if i := e.Info(); i.Name != "tiny-f32-mean-8d" || i.Dim != 8 || i.FullDim != 32 {
		t.Errorf("%+v", i)
	}
	if all := mustLoad(t, dir, Dims(32)); all.Name() != "tiny-f32-mean" {
		t.Errorf("all dimensions: %q", all.Name())
	}
	for _, n := range []int{-1, 33} {
		if _, err := Load(dir, Dims(n)); err == nil {
			t.Errorf("%d of 32 dimensions are accepted", n)
		}
	}
}

func TestPrompts(t *testing.T) {
	ctx := context.Background()
	plain := mustLoad(t, "testdata/tiny-f32-mean")
	vector := func(text string) []float32 {
		v, err := plain.EmbedQuery(ctx, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, c := range map[string]struct {
		folder, config  string // config_sentence_transformers.json
		opts            []Option
		query, document string
		source          string
	}{
		"none":               {"any", "", nil, "", "", ""},
		"own":                {"any", `{"prompts": {"query": "hello ", "passage": "the "}}`, nil, "hello ", "the ", promptsOwn},
		"document wins":      {"any", `{"prompts": {"document": "a ", "passage": "the "}}`, nil, "", "a ", promptsOwn},
		"default":            {"any", `{"prompts": {"x": "a "}, "default_prompt_name": "x"}`, nil, "a ", "a ", promptsOwn},
		"E5":                 {"intfloat--multilingual-e5-small", "", nil, "query: ", "passage: ", promptsFamily},
		"E5 with others":     {"e5-base-v2", `{"prompts": {"query": "", "document": ""}}`, nil, "", "", ""},
		"E5 with no prompts": {"e5-base-v2", `{"prompts": {}}`, nil, "query: ", "passage: ", promptsFamily},
		"BGE":                {"bge-small-en-v1.5", "", nil, "Represent this sentence for searching relevant passages: ", "", promptsFamily},
		"BGE for Chinese":    {"bge-base-zh", "", nil, "为这个句子生成表示以用于检索相关文章：", "", promptsFamily},
		"BGE M3":             {"bge-m3", "", nil, "", "", ""},
		"instructed E5":      {"multilingual-e5-large-instruct", "", nil, "", "", ""},
		"option":             {"e5-base-v2", "", []Option{Prompts("a ", "")}, "a ", "", promptsGiven},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), c.folder)
			if err := os.CopyFS(dir, os.DirFS("testdata/tiny-f32-mean")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "sentence_bert_config.json"), []byte(`{"max_seq_length": 40}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.config != "" {
				if err := os.WriteFile(filepath.Join(dir, "config_sentence_transformers.json"), []byte(c.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e, err := Load(dir, c.opts...)
			if strings.Contains(c.query, "Represent") { // more tokens than the tiny model has positions
				if err == nil || !strings.Contains(err.Error(), "no room") {
					t.Errorf("a prompt longer than the model reads: %v", err)
				}
				if p, _ := knownModel(c.folder); p.query != c.query || p.document != "" {
					t.Errorf("%+v", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			i := e.Info()
			if i.QueryPrompt != c.query || i.DocumentPrompt != c.document || i.PromptSource != c.source {
				t.Errorf("%+v", i)
			}
			if want := 38 - len(plain.tok.Append(nil, c.document, -1)); e.MaxTokens() != want {
				t.Errorf("reads %d tokens, want %d", e.MaxTokens(), want)
			}
			q, err := e.EmbedQuery(ctx, "cat")
			if err != nil || !slices.Equal(q, vector(c.query+"cat")) {
				t.Errorf("the query has not its prompt: %v", err)
			}
			texts := []string{"cat"}
			d, err := e.EmbedDocuments(ctx, texts)
			if err != nil || !slices.Equal(d[0], vector(c.document+"cat")) || texts[0] != "cat" {
				t.Errorf("the document has not its prompt: %v", err)
			}
			if given := c.source == promptsGiven; given == strings.HasSuffix(e.Fingerprint(), plain.Fingerprint()[len("tiny-f32-mean"):]) {
				t.Errorf("fingerprint %q, that of the weights is %q", e.Fingerprint(), plain.Fingerprint())
			}
		})
	}
}

func TestWeightsRefused(t *testing.T) {
	const shards = "testdata/tiny-xlm-roberta"
	first := "model-00001-of-00003.safetensors"
	for name, c := range map[string]struct {
		good, file string
		edit       func([]byte) []byte
		want       string
	}{
		"no index":            {shards, weightsIndex, nil, "neither model.safetensors"},
		"index not JSON":      {shards, weightsIndex, func([]byte) []byte { return []byte("[") }, weightsIndex},
		"index empty":         {shards, weightsIndex, func([]byte) []byte { return []byte("{}") }, "0 files"},
		"index of everything": {shards, weightsIndex, func([]byte) []byte { return manyShards() }, "1001 files"},
		"shard missing":       {shards, first, nil, first},
		"shard cut":           {shards, first, func(b []byte) []byte { return b[:len(b)-1] }, first},
		"shard elsewhere":     {shards, weightsIndex, replace(`"model-00001-of-00003.safetensors"`, `"../model.safetensors"`), "not in the folder"},
		"tensor not there":    {shards, weightsIndex, replace(`"embeddings.LayerNorm.bias"`, `"embeddings.LayerNorm.bios"`), `"embeddings.LayerNorm.bios"`},
		"NaN":                 {"testdata/tiny-modernbert", weightsFile, poison("layers.1.mlp.Wi.weight", math.NaN()), `"layers.1.mlp.Wi.weight": value 7 is NaN`},
		"infinity":            {"testdata/tiny-albert", weightsFile, poison("encoder.albert_layer_groups.1.albert_layers.0.ffn.bias", math.Inf(1)), `"encoder.albert_layer_groups.1.albert_layers.0.ffn.bias": value 7 is +Inf`},
		"shape":               {"testdata/tiny-nomic", "config.json", replace(`"n_inner": 48`, `"n_inner": 40`), `"encoder.layers.0.mlp.fc12.weight": shape [48 32], want [40 32]`},
		"dense missing":       {"testdata/tiny-distilbert", "2_Dense/model.safetensors", nil, "2_Dense/model.safetensors"},
		"dense of other size": {"testdata/tiny-distilbert", "2_Dense/config.json", replace("32", "31"), "2_Dense/config.json: 31 inputs"},
		"dense activation":    {"testdata/tiny-distilbert", "2_Dense/config.json", replace("Tanh", "Softplus"), "Softplus"},
		"dense NaN":           {"testdata/tiny-distilbert", "2_Dense/model.safetensors", poison("linear.weight", math.NaN()), `"linear.weight"`},
		"prompts not JSON":    {"testdata/tiny-f32-mean", "tokenizer_config.json", func([]byte) []byte { return []byte("7") }, "tokenizer_config.json"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(broken(t, c.good, c.file, c.edit)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func manyShards() []byte {
	index := map[string]map[string]string{"weight_map": {}}
	for i := range maxShards + 1 {
		index["weight_map"][fmt.Sprint(i)] = fmt.Sprintf("%d.safetensors", i)
	}
	b, err := json.Marshal(index)
	if err != nil {
		panic(err)
	}
	return b
}

// poison sets the eighth value of a float32 tensor.
func poison(tensor string, x float64) func([]byte) []byte {
	return func(b []byte) []byte {
		n := binary.LittleEndian.Uint64(b)
		var header map[string]struct {
			Offsets []int `json:"data_offsets"`
		}
		if err := json.Unmarshal(b[8:8+n], &header); err != nil || len(header[tensor].Offsets) != 2 {
			panic(fmt.Sprint("no tensor ", tensor, err))
		}
		binary.LittleEndian.PutUint32(b[8+int(n)+header[tensor].Offsets[0]+4*7:], math.Float32bits(float32(x)))
		return b
	}
}

func TestConfigForms(t *testing.T) {
	const bert = `"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64, "vocab_size": 9`
	for name, c := range map[string]struct {
		json string
		want string // in the error; "" for none
		ok   func(*modelConfig) bool
	}{
		"unknown family":  {`{"model_type": "t5"}`, `architecture "t5" is not supported; those that are: ALBERT, BERT,`, nil},
		"relative keys":   {`{"model_type": "bert", "position_embedding_type": "relative_key", ` + bert + `}`, "relative_key", nil},
		"ALiBi elsewhere": {`{"model_type": "roberta", "position_embedding_type": "alibi", ` + bert + `}`, "alibi", nil},
		"Jina not gated":  {`{"model_type": "bert", "position_embedding_type": "alibi", ` + bert + `}`, "original", nil},
		"layer types": {`{"model_type": "modernbert", "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"], "local_attention": 10,
			"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5}, "sliding_attention": {"rope_theta": 6}}, ` + bert + `}`, "", func(c *modelConfig) bool {
			return c.window == 5 && !c.local(0) && c.local(1) && c.local(2) && !c.local(3) && c.ropeBase == 5 && c.localBase == 6
		}},
		"too few types":  {`{"model_type": "modernbert", "layer_types": ["full_attention"], ` + bert + `}`, "layer_types", nil},
		"scaled turns":   {`{"model_type": "modernbert", "rope_parameters": {"full_attention": {"rope_type": "yarn"}}, ` + bert + `}`, "yarn", nil},
		"no window":      {`{"model_type": "modernbert", "local_attention": -1, ` + bert + `}`, "local_attention", nil},
		"experts":        {`{"model_type": "nomic_bert", "num_experts": 8, ` + bert + `}`, "num_experts", nil},
		"trained length": {`{"model_type": "nomic_bert", "rotary_scaling_factor": 2, "max_trained_positions": 20, ` + bert + `}`, "", func(c *modelConfig) bool { return c.maxTokens == 20 }},
		"padding":        {`{"model_type": "xlm-roberta", ` + bert + `}`, "", func(c *modelConfig) bool { return c.maxTokens == 62 && c.firstPosition == 2 }},
		"all padding":    {`{"model_type": "xlm-roberta", "pad_token_id": 63, ` + bert + `}`, "positions start at 64", nil},
		"inner groups":   {`{"model_type": "albert", "inner_group_num": 2, ` + bert + `}`, "inner_group_num", nil},
		"many groups":    {`{"model_type": "albert", "num_hidden_groups": 5, ` + bert + `}`, "num_hidden_groups", nil},
		"buckets":        {`{"model_type": "mpnet", "relative_attention_num_buckets": 3, ` + bert + `}`, "relative_attention_num_buckets", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readModelConfig(fstest.MapFS{"config.json": {Data: []byte(c.json)}})
			switch {
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one with %q", err, c.want)
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && !c.ok(got):
				t.Errorf("%+v", got)
			}
		})
	}
}

// FuzzModules reads whole sets of configuration files: any of them may be hostile.
func FuzzModules(f *testing.F) {
	config, err := os.ReadFile("testdata/tiny-distilbert/config.json")
	if err != nil {
		f.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/tiny-distilbert/" + name)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(read("modules.json"), read("1_Pooling/config.json"), read("2_Dense/config.json"), []byte(`{"prompts": {"query": "q: "}}`), []byte(`{"model_max_length": 1e30}`), []byte(`{"weight_map": {}}`))
	f.Add([]byte(`[{"type": "Pooling", "path": "../.."}]`), []byte(`{"pooling_mode": "cls"}`), []byte("{}"), []byte("{}"), []byte(`{"model_max_length": -5}`), []byte(`{"weight_map": {"a": "/etc/passwd"}}`))
	f.Fuzz(func(t *testing.T, modules, pooling, dense, prompts, tokens, index []byte) {
		dir := fstest.MapFS{
			"config.json": {Data: config}, "modules.json": {Data: modules}, "1_Pooling/config.json": {Data: pooling},
			"2_Dense/config.json": {Data: dense}, "2_Dense/model.safetensors": {Data: read("2_Dense/model.safetensors")},
			"config_sentence_transformers.json": {Data: prompts}, "tokenizer_config.json": {Data: tokens},
		}
		c, err := readConfig(dir)
		if err == nil && (c.maxTokens < 1 || c.maxTokens > c.Positions || c.dim() < 1 || !slices.Contains([]string{"mean", "cls", "last", "max"}, string(c.pooling))) {
			t.Fatalf("accepted %+v", c)
		}
		tmp := t.TempDir()
		if err := os.WriteFile(filepath.Join(tmp, weightsIndex), index, 0o600); err != nil {
			t.Fatal(err)
		}
		if w, err := openWeights(tmp); err == nil {
			w.Close()
			t.Fatal("weights without a file")
		}
	})
}
