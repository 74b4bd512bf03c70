package models

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// weights makes a safetensors file with one tensor of n bytes.
func weights(n int) []byte {
	header := fmt.Sprintf(`{"embeddings.word_embeddings.weight":{"dtype":"I8","shape":[%d],"data_offsets":[0,%d]}}`, n, n)
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	out = append(out, header...)
	data := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{7})
	rnd.Read(data)
	return append(out, data...)
}

// checkpoint is a small model's files and some that are not to be fetched.
func checkpoint(size int) map[string][]byte {
	return map[string][]byte{
		"config.json":                       []byte(`{"model_type":"bert","architectures":["BertModel"],"hidden_size":4,"num_hidden_layers":1,"max_position_embeddings":512,"vocab_size":9}`),
		"vocab.txt":                         []byte("[PAD]\n[UNK]\n"),
		"tokenizer.json":                    []byte(`{}`),
		"model.safetensors":                 weights(size),
		"README.md":                         []byte("---\nlicense: mit\nlanguage:\n- en\n- zh\n---\n# Card\n"),
		"LICENSE":                           []byte("MIT License"),
		"modules.json":                      []byte(`[{"type":"sentence_transformers.models.Transformer","path":""},{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"},{"type":"sentence_transformers.models.Normalize","path":"2_Normalize"}]`),
		"1_Pooling/config.json":             []byte(`{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false}`),
		"sentence_bert_config.json":         []byte(`{"max_seq_length":256}`),
		"config_sentence_transformers.json": []byte(`{"prompts":{"query":"query: ","passage":"passage: "}}`),
		"pytorch_model.bin":                 []byte("pickle"),
		"onnx/model.onnx":                   []byte("onnx"),
		".gitattributes":                    []byte("x"),
		"empty.txt":                         {},
	}
}

// A fakeHub is a hub on this machine.
type fakeHub struct {
	*httptest.Server
	repo   string
	commit string
	files  map[string][]byte
	large  int // bytes from which a file is LFS

	mu       sync.Mutex
	requests []string
	tokens   map[string]string                                        // by path
	sent     map[string]int64                                         // bytes of files by Authorization
	fault    func(n int, w http.ResponseWriter, r *http.Request) bool // true: it has answered
	list     func(info map[string]any)                                // changes the list of files
	noRange  bool
	redirect bool // large files come from elsewhere
}

func newFakeHub(t testing.TB, files map[string][]byte) *fakeHub {
	t.Helper()
	h := &fakeHub{repo: "acme/tiny", commit: strings.Repeat("c0ffee00", 5), files: files, large: 1000, tokens: map[string]string{}, sent: map[string]int64{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func sum256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func blobID(b []byte) string {
	s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	return hex.EncodeToString(s[:])
}

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Range"))
	n := len(h.requests)
	h.tokens[r.URL.Path] = r.Header.Get("Authorization")
	fault := h.fault
	h.mu.Unlock()
	if fault != nil && fault(n, w, r) {
		return
	}
	if r.URL.Path == "/api/models/"+h.repo+"/revision/main" || r.URL.EscapedPath() == "/api/models/"+h.repo+"/revision/refs%2Fpr%2F1" {
		siblings := []any{}
		for name, data := range h.files {
			s := map[string]any{"rfilename": name, "size": len(data), "blobId": blobID(data)}
			if len(data) >= h.large {
				s["lfs"] = map[string]any{"sha256": sum256(data), "size": len(data), "pointerSize": 130}
			}
			siblings = append(siblings, s)
		}
		info := map[string]any{"id": h.repo, "sha": h.commit, "cardData": map[string]any{"license": "mit"}, "siblings": siblings}
		if h.list != nil {
			h.list(info)
		}
		json.NewEncoder(w).Encode(info)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+h.repo+"/resolve/"+h.commit+"/")
	if !ok {
		name, ok = strings.CutPrefix(r.URL.Path, "/cdn/")
	}
	data, exists := h.files[name]
	if !ok || !exists {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if len(data) >= h.large {
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
		w.Header().Set("X-Linked-Etag", `"`+sum256(data)+`"`)
		if h.redirect && !strings.HasPrefix(r.URL.Path, "/cdn/") {
			other := strings.Replace(h.URL, "127.0.0.1", "localhost", 1)
			http.Redirect(w, r, other+"/cdn/"+name, http.StatusFound)
			return
		}
	} else {
		w.Header().Set("ETag", `"`+blobID(data)+`"`)
	}
	if h.noRange {
		r.Header.Del("Range")
	}
	c := &counter{ResponseWriter: w, hub: h, token: r.Header.Get("Authorization")}
	http.ServeContent(c, r, "", time.Time{}, bytes.NewReader(data))
}

type counter struct {
	http.ResponseWriter
	hub   *fakeHub
	token string
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.hub.mu.Lock()
	c.hub.sent[c.token] += int64(n)
	c.hub.mu.Unlock()
	return n, err
}

// hub is the client's side, in a hurry.
func (h *fakeHub) hub() *Hub {
	return &Hub{Endpoint: h.URL, Segment: 64 << 10, Connections: 3, Retries: 3, Stall: 500 * time.Millisecond, backoff: time.Millisecond}
}

func (h *fakeHub) isLarge(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "model.safetensors")
}

// checkInstalled compares a model with what the hub has.
func checkInstalled(t testing.TB, s *Store, m Model, files map[string][]byte, want ...string) {
	t.Helper()
	var got []string
	for _, f := range m.Manifest.Files {
		got = append(got, f.Path)
		data, err := os.ReadFile(filepath.Join(m.Path, filepath.FromSlash(f.Path)))
		if err != nil || !bytes.Equal(data, files[f.Path]) || f.SHA256 != sum256(data) || f.Size != int64(len(data)) {
			t.Errorf("%s is not what the hub has: %v", f.Path, err)
		}
	}
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("installed %v, want %v", got, want)
	}
	if faults, err := s.Verify(context.Background(), m.Name, nil); err != nil || len(faults) != 0 {
		t.Errorf("verify: %v, %v", faults, err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.Dir(), partialName)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

var taken = []string{"config.json", "vocab.txt", "tokenizer.json", "model.safetensors", "README.md", "LICENSE", "modules.json",
	"1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"}

func TestPull(t *testing.T) {
	t.Setenv("HF_TOKEN", "hf_secret")
	for _, tt := range []struct {
		name    string
		prepare func(h *fakeHub)
	}{
		{"plain", func(*fakeHub) {}},
		{"from elsewhere", func(h *fakeHub) { h.redirect = true }},
		{"without ranges", func(h *fakeHub) { h.noRange = true }},
		{"a list without sizes and checksums", func(h *fakeHub) {
			h.redirect = true
			h.list = func(info map[string]any) {
				for _, s := range info["siblings"].([]any) {
					s := s.(map[string]any)
					delete(s, "size")
					delete(s, "lfs")
					delete(s, "blobId")
				}
			}
		}},
		{"connections are cut", func(h *fakeHub) {
			var cuts int
			h.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if !h.isLarge(r) || cuts >= 25 {
					return false
				}
				cuts++
				w = &cutter{w, 10000}
				h.mu.Lock()
				data := h.files["model.safetensors"]
				h.mu.Unlock()
				defer func() { panic(http.ErrAbortHandler) }()
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
				return true
			}
		}},
		{"connections stall", func(h *fakeHub) {
			stalls := 0 // one connection more or less does not matter
			h.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if !h.isLarge(r) || stalls >= 2 {
					return false
				}
				stalls++
				var a, b int
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &a, &b)
				data := h.files["model.safetensors"]
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", a, b, len(data)))
				w.WriteHeader(206)
				w.Write(data[a : a+10])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return true
			}
		}},
		{"busy now and then", func(h *fakeHub) {
			h.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n%3 != 0 {
					return false
				}
				w.Header().Set("Retry-After", "0.01")
				w.WriteHeader([]int{429, 503, 500}[n/3%3])
				return true
			}
		}},
		{"wrong bytes at first", func(h *fakeHub) {
			wrong := 0
			h.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if !h.isLarge(r) || wrong >= 1 {
					return false
				}
				wrong++
				data := bytes.Clone(h.files["model.safetensors"])
				data[70000] ^= 1
				data[100] ^= 1
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
				return true
			}
		}},
		{"more bytes than asked for", func(h *fakeHub) {
			h.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				var a, b int
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &a, &b); err != nil || !h.isLarge(r) {
					return false
				}
				data := h.files["model.safetensors"]
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", a, len(data)-1, len(data)))
				w.WriteHeader(206)
				w.Write(data[a:])
				return true
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := checkpoint(1 << 20)
			h := newFakeHub(t, files)
			tt.prepare(h)
			s := Open(filepath.Join(t.TempDir(), "models"))
			var last, total int64
			m, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub(), Progress: func(d, n int64) { last, total = d, n }})
			if err != nil {
				t.Fatal(err)
			}
			checkInstalled(t, s, m, files, taken...)
			if m.Name != "tiny" || m.Manifest.Commit != h.commit || m.Manifest.Licence != "mit" || m.Manifest.Revision != "main" {
				t.Errorf("manifest: %+v", m.Manifest)
			}
			if last != total || total == 0 {
				t.Errorf("progress ends at %d of %d", last, total)
			}
			for path, token := range h.tokens {
				if strings.HasPrefix(path, "/cdn/") == (token != "") {
					t.Errorf("%s was asked for with the token %q", path, token)
				}
			}
			info, err := Inspect(m.Path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Pooling != "cls" || info.MaxTokens != 256 || !info.Normalised || info.QueryPrefix != "query: " || info.Licence != "mit" ||
				info.Parameters != 1<<20 || !slices.Equal(info.Languages, []string{"en", "zh"}) || filepath.Base(info.LicenceFile) != "LICENSE" || info.Kind != EncoderModel {
				t.Errorf("info: %+v", info)
			}
			if _, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub()}); !errors.Is(err, ErrExists) {
				t.Errorf("a second pull: %v, want ErrExists", err)
			}
			if _, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub(), Replace: true, Revision: "refs/pr/1"}); err != nil {
				t.Errorf("replace: %v", err)
			}
		})
	}
}

// cutter lets some bytes through.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("cut")
	}
	n := min(len(p), c.left)
	c.left -= n
	c.ResponseWriter.Write(p[:n])
	c.ResponseWriter.(http.Flusher).Flush()
	if n < len(p) {
		return n, errors.New("cut")
	}
	return n, nil
}

func TestPullResumes(t *testing.T) {
	t.Setenv("HF_TOKEN", "first")
	files := checkpoint(1 << 20)
	h := newFakeHub(t, files)
	s := Open(filepath.Join(t.TempDir(), "models"))
	ctx, cancel := context.WithCancel(t.Context())
	var first, total int64
	_, err := s.Pull(ctx, PullConfig{Repo: h.repo, Hub: h.hub(), Progress: func(done, all int64) {
		if first, total = done, all; done > total/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	if _, err := s.Model("tiny"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("half a model is found: %v", err)
	}
	if n := s.Unfinished(); n != 1 {
		t.Errorf("%d unfinished downloads, want 1", n)
	}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("list: %v, %v", all, err)
	}
	// The hub may yet come to requests of the first run, and write a piece for each before it sees that
	// nobody listens.
	t.Setenv("HF_TOKEN", "second")
	m, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub()})
	if err != nil {
		t.Fatal(err)
	}
	checkInstalled(t, s, m, files, taken...)
	h.mu.Lock()
	defer h.mu.Unlock()
	if sent, missing := h.sent["Bearer second"], total-first; sent > missing {
		t.Errorf("%d bytes were sent to finish, %d were missing", sent, missing)
	}
}

// TestPullAfterDamage: what an interrupted run left is not trusted.
func TestPullAfterDamage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, part string)
	}{
		{"other bytes", func(t *testing.T, part string) {
			f, err := os.OpenFile(part, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.WriteAt([]byte("damage"), 200)
		}},
		{"cut", func(t *testing.T, part string) { os.Truncate(part, 100) }},
		{"journal gone", func(t *testing.T, part string) { os.Remove(part + ".json") }},
		{"journal not JSON", func(t *testing.T, part string) { os.WriteFile(part+".json", []byte("{"), 0o644) }},
		{"journal lies", func(t *testing.T, part string) {
			os.WriteFile(part+".json", []byte(`{"Size":1048696,"Segments":[{"Begin":0,"End":99999999,"Done":99999999},null]}`), 0o644)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := checkpoint(1 << 20)
			h := newFakeHub(t, files)
			s := Open(t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			s.Pull(ctx, PullConfig{Repo: h.repo, Hub: h.hub(), Progress: func(done, total int64) {
				if done > total/2 {
					cancel()
				}
			}})
			cancel()
			parts, _ := filepath.Glob(filepath.Join(s.Dir(), partialName, "*", "model.safetensors.part"))
			if len(parts) != 1 {
				t.Fatalf("parts: %v", parts)
			}
			tt.damage(t, parts[0])
			m, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub()})
			if err != nil {
				t.Fatal(err)
			}
			checkInstalled(t, s, m, files, taken...)
		})
	}
}

func TestPullRefused(t *testing.T) {
	status := func(code int, header ...string) func(int, http.ResponseWriter, *http.Request) bool {
		return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			io.WriteString(w, `{"error":"the hub's words"}`)
			return true
		}
	}
	one := func(change func(s map[string]any)) func(map[string]any) {
		return func(info map[string]any) {
			for _, s := range info["siblings"].([]any) {
				if s := s.(map[string]any); s["rfilename"] == "model.safetensors" {
					change(s)
				}
			}
		}
	}
	for _, tt := range []struct {
		name  string
		fault func(int, http.ResponseWriter, *http.Request) bool
		list  func(map[string]any)
		is    error
		want  string
	}{
		{name: "401", fault: status(401), is: ErrAccess, want: "HF_TOKEN"},
		{name: "no such repository", fault: status(401, "X-Error-Code", "RepoNotFound"), is: ErrNotFound, want: "check OWNER/NAME"},
		{name: "gated", fault: status(403, "X-Error-Code", "GatedRepo"), is: ErrAccess, want: "consent"},
		{name: "404", fault: status(404), is: ErrNotFound, want: "the hub's words"},
		{name: "no such revision", fault: status(404, "X-Error-Code", "RevisionNotFound"), is: ErrNotFound, want: "no such revision"},
		{name: "429 for an hour", fault: status(429, "Retry-After", "3600"), is: ErrHub, want: "1h0m0s"},
		{name: "500 for ever", fault: status(500), is: ErrHub, want: "tried 4 times"},
		{name: "list is a page", fault: func(_ int, w http.ResponseWriter, r *http.Request) bool {
			io.WriteString(w, "<html>sign in</html>")
			return true
		}, is: ErrHub, want: "not JSON"},
		{name: "no commit", list: func(i map[string]any) { i["sha"] = "main" }, is: ErrHub, want: "names no commit"},
		{name: "size too small", list: one(func(s map[string]any) { s["lfs"].(map[string]any)["size"] = 70000 }), is: ErrHub, want: "the server claims"},
		{name: "size too large", list: one(func(s map[string]any) { s["lfs"].(map[string]any)["size"] = 1 << 30 }), is: ErrHub, want: "the server claims"},
		{name: "size of terabytes", list: one(func(s map[string]any) { s["lfs"].(map[string]any)["size"] = int64(1) << 50 }), is: ErrUnsafe, want: "claims"},
		{name: "other checksum", list: one(func(s map[string]any) { s["lfs"].(map[string]any)["sha256"] = strings.Repeat("0", 64) }), is: ErrChecksum, want: "model.safetensors"},
		{name: "path that leaves", list: one(func(s map[string]any) { s["rfilename"] = "../model.safetensors" }), is: ErrNoModel, want: "no model"},
		{name: "no weights", list: one(func(s map[string]any) { s["rfilename"] = "weights.bin" }), is: ErrNoModel, want: "pickle"},
		{name: "file stands twice", list: func(i map[string]any) { s := i["siblings"].([]any); i["siblings"] = append(s, s...) }, is: ErrUnsafe, want: "twice"},
		{name: "wrong bytes", fault: func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "vocab.txt") {
				return false
			}
			io.WriteString(w, "[PAD]\n[XXX]\n")
			return true
		}, is: ErrChecksum, want: "vocab.txt"},
		{name: "wrong length", fault: func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "vocab.txt") {
				return false
			}
			io.WriteString(w, "short")
			return true
		}, is: ErrHub, want: "claims 5 bytes"},
		{name: "wrong range", fault: func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", "bytes 7-8/9")
			w.WriteHeader(206)
			return true
		}, is: ErrHub, want: "the reply is of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHub(t, checkpoint(200_000))
			h.fault, h.list = tt.fault, tt.list
			s := Open(t.TempDir())
			_, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub()})
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), h.repo) {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.want)
			}
			if all, _ := s.List(); len(all) != 0 {
				t.Errorf("installed all the same: %v", all)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		_, err := Open(t.TempDir()).Pull(t.Context(), PullConfig{Repo: "a/b", Hub: &Hub{Endpoint: "http://127.0.0.1:1", Retries: -1}})
		if !errors.Is(err, ErrHub) || !strings.Contains(err.Error(), "http://127.0.0.1:1/api/models/a/b") || !strings.Contains(err.Error(), "HF_ENDPOINT") {
			t.Errorf("got %v", err)
		}
	})
	for _, repo := range []string{"", "bert", "a/b/c", "../etc", "a/..", "a b/c", "a/b?x", "http://x/y"} {
		if _, err := Open(t.TempDir()).Pull(t.Context(), PullConfig{Repo: repo}); !errors.Is(err, ErrName) {
			t.Errorf("repository %q: %v, want ErrName", repo, err)
		}
	}
}

func TestPullGGUF(t *testing.T) {
	files := map[string][]byte{"README.md": []byte("---\nlicense: apache-2.0\n---\n"), "LICENSE": []byte("Apache"),
		"tiny-q4_k_m.gguf": ggufFile(3000), "tiny-q8_0.gguf": ggufFile(5000), "big-00001-of-00002.gguf": ggufFile(10), "big-00002-of-00002.gguf": ggufFile(20)}
	h := newFakeHub(t, files)
	s := Open(t.TempDir())
	if _, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub()}); !errors.Is(err, ErrNoModel) || !strings.Contains(err.Error(), "tiny-q8_0.gguf") {
		t.Errorf("several: %v, want their names", err)
	}
	if _, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub(), Files: []string{"q2"}}); !errors.Is(err, ErrNoModel) {
		t.Errorf("none: %v", err)
	}
	m, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub(), Files: []string{"Q4_K_M"}, Name: "chat"})
	if err != nil {
		t.Fatal(err)
	}
	checkInstalled(t, s, m, files, "README.md", "LICENSE", "tiny-q4_k_m.gguf")
	info, err := Inspect(m.Path)
	if err != nil || info.Format != "gguf" || info.Architecture != "qwen2" || info.Layers != 2 || info.Dim != 64 || info.Kind != ChatModel || info.Vocabulary != 3 || info.Parameters != 3000 {
		t.Errorf("info %+v, %v", info, err)
	}
	m, err = s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: h.hub(), Files: []string{"big-*"}, Name: "parts"})
	if err != nil {
		t.Fatal(err)
	}
	checkInstalled(t, s, m, files, "README.md", "LICENSE", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf")
}

func TestPullTwiceAtOnce(t *testing.T) {
	h := newFakeHub(t, checkpoint(200_000))
	s := Open(t.TempDir())
	begun, go_on := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/resolve/") {
			once.Do(func() { close(begun); <-go_on })
		}
		return false
	}
	end := make(chan error)
	hub := h.hub()
	hub.Stall = time.Minute
	go func() {
		_, err := s.Pull(context.Background(), PullConfig{Repo: h.repo, Hub: hub})
		end <- err
	}()
	<-begun
	if _, err := s.Pull(t.Context(), PullConfig{Repo: h.repo, Hub: hub}); !errors.Is(err, ErrBusy) {
		t.Errorf("beside another: %v, want ErrBusy", err)
	}
	close(go_on)
	if err := <-end; err != nil {
		t.Error(err)
	}
}

func TestHubSettings(t *testing.T) {
	h := newFakeHub(t, checkpoint(2000))
	t.Setenv("HF_ENDPOINT", h.URL+"/")
	if _, err := Open(t.TempDir()).Pull(t.Context(), PullConfig{Repo: h.repo}); err != nil {
		t.Error(err)
	}
	t.Setenv("HF_ENDPOINT", "mirror.example")
	if _, err := Open(t.TempDir()).Pull(t.Context(), PullConfig{Repo: h.repo}); !errors.Is(err, ErrHub) || !strings.Contains(err.Error(), "mirror.example") {
		t.Errorf("got %v", err)
	}
}
