package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
)

// optionalKeys are keys that a model may have, after its architecture's name and a dot.
var optionalKeys = []string{
	"attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping", "expert_count", "expert_used_count", "expert_feed_forward_length",
	"attention.key_length", "attention.value_length", "rope.dimension_count", "rope.freq_base", "rope.freq_base_swa", "rope.scaling.type", "rope.scaling.factor",
	"rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow", "rope.scale_linear",
}

// tokenizerKeys are those of vocabularies, after tokenizer and a dot.
var tokenizerKeys = []string{
	"ggml.model", "ggml.pre", "ggml.tokens", "ggml.token_type", "ggml.scores", "ggml.merges", "ggml.bos_token_id", "ggml.eos_token_id", "ggml.eot_token_id",
	"ggml.add_bos_token", "ggml.add_space_prefix", "ggml.precompiled_charsmap", "chat_template",
}

// metadataValue makes a value of a kind of bytes.
func metadataValue(kind uint8, b []byte) any {
	wide := binary.LittleEndian.Uint64(append(slices.Clone(b), make([]byte, 8)...))
	switch kind % 12 {
	case 0:
		return uint32(wide)
	case 1:
		return int32(wide)
	case 2:
		return wide
	case 3:
		return int64(wide)
	case 4:
		return math.Float32frombits(uint32(wide))
	case 5:
		return math.Float64frombits(wide)
	case 6:
		return wide&1 == 1
	case 7:
		return string(b)
	case 8:
		var list []string
		for part := range bytes.SplitSeq(b, []byte{0}) {
			list = append(list, string(part))
		}
		return list
	case 9:
		list := make([]int32, len(b))
		for i, x := range b {
			list[i] = int32(int8(x))
		}
		return list
	case 10:
		list := make([]float32, len(b)/4)
		for i := range list {
			list[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return list
	}
	return slices.Clone(b)
}

// fuzzModels are the files that FuzzModel changes; the last have vocabularies.
var fuzzModels = []string{
	"llama-q4_0", "llama-iq4_nl", "llama-yarn-f16", "phi3-long-f16", "mixtral-q8_0", "qwen2moe-f16", "gemma2-f16", "stablelm2-f16", "gpt2-f16", "glm4-f16", "t5-f16",
}

// FuzzModel: whatever one entry of a file's metadata says, or the type and shape of one tensor, the model is refused with
// an error that says why, or it computes.
func FuzzModel(f *testing.F) {
	var files []*gguf.File
	paths := make([]string, 0, len(fuzzModels)+1)
	for _, name := range fuzzModels {
		paths = append(paths, "testdata/"+name+".gguf")
	}
	paths = append(paths, speaking(f, "{% for m in messages %}{{ m.content }}{% endfor %}"))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		file, err := gguf.Parse(data)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, file)
	}
	last := uint8(len(files) - 1)
	for i := range files {
		f.Add(uint8(i), uint16(0), uint8(0), []byte{1, 0, 0, 0}, uint16(0), uint8(0), uint32(0))
		f.Add(uint8(i), uint16(5), uint8(4), []byte{0, 0, 0xc0, 0x7f}, uint16(3), uint8(1), uint32(7))
	}
	for i, kind := range []uint8{7, 7, 8, 9, 10, 8, 0, 0, 0, 6, 6, 11, 7} {
		f.Add(last, uint16(1000+len(optionalKeys)+i), kind, []byte("gpt2\x00a b\x00▁a\x00{{ messages }}"), uint16(0), uint8(0), uint32(0))
	}
	f.Fuzz(func(t *testing.T, which uint8, key uint16, kind uint8, value []byte, tensor uint16, part uint8, size uint32) {
		file := files[int(which)%len(files)]
		arch, _ := file.String("general.architecture")
		names := file.Keys()
		if key >= 1000 {
			names = nil
			for _, k := range optionalKeys {
				names = append(names, arch+"."+k)
			}
			for _, k := range tokenizerKeys {
				names = append(names, "tokenizer."+k)
			}
		}
		name := names[int(key%1000)%len(names)]
		meta := []gguf.KeyValue{{Key: name, Value: metadataValue(kind, value)}}
		for _, k := range file.Keys() {
			if v, _ := file.Value(k); k != name {
				meta = append(meta, gguf.KeyValue{Key: k, Value: v})
			}
		}
		tensors := slices.Clone(file.Tensors)
		if part > 0 {
			changeTensor(&tensors[int(tensor)%len(tensors)], part, size)
		}
		var out bytes.Buffer
		if gguf.Write(&out, meta, tensors, nil) != nil {
			return // not a file
		}
		changed, err := gguf.Parse(out.Bytes())
		if err != nil {
			if !errors.Is(err, gguf.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		tryModel(t, changed)
	})
}

// changeTensor gives a tensor another type or shape, with as many bytes as that takes.
func changeTensor(x *gguf.Tensor, part uint8, size uint32) {
	if part == 1 {
		x.Type = gguf.Type(size % 40)
	} else {
		x.Shape = slices.Clone(x.Shape)
		x.Shape[int(part)%len(x.Shape)] = int(size%300) + 1
	}
	values, bytes := x.Type.Block()
	if values == 0 || x.Shape[0]%values != 0 {
		return
	}
	n := x.Values() / values * bytes
	x.Data = append(slices.Clone(x.Data), make([]byte, max(0, n-len(x.Data)))...)[:n]
}

// tryModel opens a model and, where that goes well, uses it.
func tryModel(t *testing.T, file *gguf.File) {
	m, err := engine.New(file, engine.Config{Context: 32, Threads: 1, Parallel: 1, Memory: 64 << 20})
	if err != nil {
		if !errors.Is(err, engine.ErrUnsupported) && !errors.Is(err, engine.ErrMemory) && !errors.Is(err, engine.ErrTemplate) {
			t.Fatal(err)
		}
		return
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ids := []int32{3, 4, 5}
	if text, err := m.Chat([]engine.Message{{Role: "user", Content: "the thin user"}}, engine.ChatOptions{}); err == nil && len(text) > 0 && len(text) < 20 {
		ids = text
	}
	_, err = m.GenerateIDs(ctx, ids, engine.Options{MaxTokens: 3}, func(id int32) (bool, error) {
		m.Decode([]int32{id})
		return true, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("three tokens take more than 20 seconds")
	}
}
