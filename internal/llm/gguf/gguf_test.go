package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"docent/internal/llm/gguf"
)

var meta = []gguf.KeyValue{
	{"general.architecture", "llama"}, {"u8", uint8(200)}, {"i8", int8(-3)}, {"u16", uint16(60000)}, {"i16", int16(-9)},
	{"u32", uint32(1 << 31)}, {"i32", int32(-7)}, {"f32", float32(0.5)}, {"yes", true}, {"u64", uint64(1) << 40},
	{"i64", int64(-1)}, {"f64", 1e-5}, {"words", []string{"a", "", "▁b"}}, {"scores", []float32{0, -1}},
	{"kinds", []int32{1, -6}}, {"flags", []bool{true, false}},
}

func sample() []gguf.Tensor {
	return []gguf.Tensor{
		{Name: "a.weight", Type: gguf.F32, Shape: []int{3, 2}, Data: make([]byte, 24)},
		{Name: "b.weight", Type: gguf.Q8_0, Shape: []int{64}, Data: bytes.Repeat([]byte{7}, 68)},
	}
}

func write(t testing.TB, meta []gguf.KeyValue, tensors []gguf.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	data := write(t, meta, sample())
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, kv := range meta {
		if got, _ := f.Value(kv.Key); !reflect.DeepEqual(got, kv.Value) {
			t.Errorf("%s: %v, want %v", kv.Key, got, kv.Value)
		}
	}
	if !reflect.DeepEqual(f.Tensors, sample()) {
		t.Errorf("tensors %v", f.Tensors)
	}
	if n, ok := f.Uint("u16"); n != 60000 || !ok {
		t.Error("Uint:", n, ok)
	}
	if _, ok := f.Uint("i64"); ok {
		t.Error("Uint takes -1")
	}
	if x, ok := f.Float("f32"); x != 0.5 || !ok {
		t.Error("Float:", x, ok)
	}
	if x, ok := f.Ints("kinds"); !reflect.DeepEqual(x, []int64{1, -6}) || !ok {
		t.Error("Ints:", x, ok)
	}
	if f.Bytes() != int64(len(data)) || len(f.Keys()) != len(meta) {
		t.Error(f.Bytes(), f.Keys())
	}
}

// TestVersion2: files of version 2 have the same layout.
func TestVersion2(t *testing.T) {
	data := write(t, meta, sample())
	third, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	data[4] = 2
	second, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if second.Version != 2 || third.Version != 3 || !reflect.DeepEqual(second.Metadata(), third.Metadata()) || !reflect.DeepEqual(second.Tensors, third.Tensors) {
		t.Errorf("version %d: %v", second.Version, second.Tensors)
	}
}

func TestSplit(t *testing.T) {
	dir := t.TempDir()
	part := func(no, count int, name string, tensors int) {
		kv := []gguf.KeyValue{{"split.no", uint16(no)}, {"split.count", uint16(count)}, {"split.tensors.count", int32(tensors)}}
		tensor := gguf.Tensor{Name: name, Type: gguf.F32, Shape: []int{2}, Data: make([]byte, 8)}
		path := filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", no+1))
		if err := os.WriteFile(path, write(t, kv, []gguf.Tensor{tensor}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := filepath.Join(dir, "m-00002-of-00002.gguf")
	part(0, 2, "a", 2)
	if _, err := gguf.Open(filepath.Join(dir, "m-00001-of-00002.gguf")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a part is missing:", err)
	}
	part(1, 2, "b", 2)
	f, err := gguf.Open(second)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Tensor("a"); !ok || len(f.Tensors) != 2 {
		t.Error(f.Tensors)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	part(1, 2, "a", 2)
	if _, err := gguf.Open(second); !errors.Is(err, gguf.ErrFormat) {
		t.Error("a tensor twice:", err)
	}
	part(1, 3, "b", 2)
	if _, err := gguf.Open(second); !errors.Is(err, gguf.ErrFormat) {
		t.Error("counts differ:", err)
	}
	part(0, 2, "a", 3)
	part(1, 2, "b", 3)
	if _, err := gguf.Open(second); !errors.Is(err, gguf.ErrFormat) {
		t.Error("tensors are missing:", err)
	}
}

func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	words := make([]string, 40_000) // more than is read at once
	for i := range words {
		words[i] = fmt.Sprint("word", i)
	}
	long := append(append([]gguf.KeyValue(nil), meta...), gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: words})
	for name, data := range map[string][]byte{"short": write(t, meta, sample()), "long": write(t, long, sample())} {
		path := put(name+".gguf", data)
		f, err := gguf.Describe(path)
		if err != nil {
			t.Fatal(name, err)
		}
		whole, err := gguf.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole.Tensors {
			whole.Tensors[i].Data = nil
		}
		if !reflect.DeepEqual(f.Metadata(), whole.Metadata()) || !reflect.DeepEqual(f.Tensors, whole.Tensors) || f.Bytes() != whole.Bytes() {
			t.Errorf("%s: %v", name, f.Tensors)
		}
		for _, n := range []int{0, 3, 20, len(data) / 2, len(data) - 40} {
			if _, err := gguf.Describe(put("cut.gguf", data[:n])); !errors.Is(err, gguf.ErrFormat) {
				t.Errorf("%s: %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
	for name, data := range hostileFiles() {
		if _, err := gguf.Describe(put("hostile.gguf", data)); !errors.Is(err, gguf.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := gguf.Describe(dir); err == nil {
		t.Error("a folder is described")
	}
}

func TestPurpose(t *testing.T) {
	for _, c := range []struct {
		arch    string
		pooling uint32
		want    gguf.Purpose
		how     string
	}{
		{"llama", 0, gguf.Language, ""}, {"qwen3", 0, gguf.Language, ""}, {"qwen3", 3, gguf.Encoder, "last"}, {"qwen3", 4, gguf.Reranker, "rank"},
		{"bert", 2, gguf.Encoder, "cls"}, {"bert", 4, gguf.Reranker, "rank"}, {"nomic-bert", 1, gguf.Encoder, "mean"}, {"nomic-bert-moe", 1, gguf.Encoder, "mean"},
		{"jina-bert-v2", 0, gguf.Encoder, ""}, {"modern-bert", 0, gguf.Encoder, ""}, {"gemma-embedding", 1, gguf.Encoder, "mean"}, {"t5encoder", 0, gguf.Encoder, ""},
	} {
		kv := []gguf.KeyValue{{"general.architecture", c.arch}}
		if c.pooling != 0 {
			kv = append(kv, gguf.KeyValue{Key: c.arch + ".pooling_type", Value: c.pooling})
		}
		kv = append(kv, gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: []string{"a"}})
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, write(t, kv, sample()), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Describe(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := gguf.PurposeOf(path); got != c.want || f.Purpose() != c.want || f.Pooling() != c.how || err != nil {
			t.Errorf("%+v: %s, %s by its header, %q, %v", c, f.Purpose(), got, f.Pooling(), err)
		}
	}
}

// hostile builds a header by hand.
func hostile(parts ...any) []byte {
	b := []byte("GGUF")
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = binary.LittleEndian.AppendUint64(b, uint64(len(p)))
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		default:
			b, _ = binary.Append(b, binary.LittleEndian, p)
		}
	}
	return b
}

func hostileFiles() map[string][]byte {
	u32, u64 := func(n uint32) uint32 { return n }, func(n uint64) uint64 { return n }
	head := func(tensors, keys uint64, rest ...any) []byte {
		return hostile(append([]any{u32(3), tensors, keys}, rest...)...)
	}
	room := make([]byte, 4096)
	tensor := func(name string, kind uint32, offset uint64, dims ...uint64) []byte {
		b := hostile(name, uint32(len(dims)))[4:]
		for _, d := range dims {
			b = binary.LittleEndian.AppendUint64(b, d)
		}
		b = binary.LittleEndian.AppendUint32(b, kind)
		return binary.LittleEndian.AppendUint64(b, offset)
	}
	return map[string][]byte{
		"empty":               {},
		"not GGUF":            []byte("PK\x03\x04 and so on and on"),
		"version 1":           hostile(u32(1), u32(0), u32(0), room),
		"big-endian":          hostile([]byte{0, 0, 0, 3}, room),
		"cut short":           hostile(u32(3), u64(1)),
		"many tensors":        head(1<<60, 0, room),
		"many keys":           head(0, 1<<60, room),
		"more keys than fit":  head(0, 60000, room),
		"10 GB string":        head(0, 1, "k", u32(8), u64(10<<30), room),
		"string of 2^64-1":    head(0, 1, "k", u32(8), ^u64(0), room),
		"long key":            head(0, 1, u64(1<<32), room),
		"huge array":          head(0, 1, "k", u32(9), u32(0), u64(1<<62), room),
		"array of arrays":     head(0, 1, "k", u32(9), u32(9), u64(4), room),
		"unknown kind":        head(0, 1, "k", u32(77), room),
		"unknown array kind":  head(0, 1, "k", u32(9), u32(77), u64(1), room),
		"key twice":           head(0, 2, "k", u32(0), []byte{1}, "k", u32(0), []byte{1}, room),
		"alignment 0":         head(1, 1, "general.alignment", u32(4), u32(0), room),
		"alignment 24":        head(1, 1, "general.alignment", u32(4), u32(24), room),
		"no dimensions":       head(1, 0, tensor("t", 0, 0), room),
		"nine dimensions":     head(1, 0, tensor("t", 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1), room),
		"dimension 0":         head(1, 0, tensor("t", 0, 0, 0), room),
		"product wraps":       head(1, 0, tensor("t", 0, 0, 1<<33, 1<<33), room),
		"too large":           head(1, 0, tensor("t", 0, 0, 1<<20), room),
		"offset past the end": head(1, 0, tensor("t", 0, 1<<63, 1), room),
		"end wraps":           head(1, 0, tensor("t", 0, 1<<64-32, 16), room),
		"offset not aligned":  head(1, 0, tensor("t", 0, 4, 1), room),
		"unknown type":        head(1, 0, tensor("t", 999, 0, 1), room),
		"part of a block":     head(1, 0, tensor("t", 8, 0, 33), room),
		"tensor twice":        head(2, 0, tensor("t", 0, 0, 1), tensor("t", 0, 32, 1), room),
		"overlap":             head(2, 0, tensor("t", 0, 0, 16), tensor("u", 0, 32, 1), room),
		"no data":             head(1, 0, tensor("t", 0, 0, 1)),
	}
}

func TestHostile(t *testing.T) {
	for name, data := range hostileFiles() {
		t.Run(name, func(t *testing.T) {
			f, err := gguf.Parse(data)
			if !errors.Is(err, gguf.ErrFormat) || f != nil {
				t.Errorf("%v, %v", f, err)
			}
		})
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none.gguf")} {
		if _, err := gguf.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("open %s: %v", path, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(write(f, meta, sample()))
	for _, data := range hostileFiles() {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			if !errors.Is(err, gguf.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		total := 0
		for _, x := range file.Tensors {
			values, size := x.Type.Block()
			if len(x.Data) != x.Values()/values*size {
				t.Fatalf("%s: %d bytes for %v of %s", x.Name, len(x.Data), x.Shape, x.Type)
			}
			total += len(x.Data)
		}
		if total > len(data) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(data))
		}
	})
}

func ExampleParse() {
	var file bytes.Buffer
	err := gguf.Write(&file, []gguf.KeyValue{{Key: "general.architecture", Value: "llama"}}, []gguf.Tensor{
		{Name: "output_norm.weight", Type: gguf.F32, Shape: []int{2}, Data: make([]byte, 8)},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := gguf.Parse(file.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	arch, _ := f.String("general.architecture")
	fmt.Println(arch, f.Tensors[0].Name, f.Tensors[0].Type, f.Tensors[0].Shape)
	// Output: llama output_norm.weight F32 [2]
}
