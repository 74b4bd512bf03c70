package main_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/embed"
)

// builtinFolder is the built-in model's checkpoint, as a real model to install.
func builtinFolder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../embed/builtin")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newHub serves the built-in model's checkpoint by the hub's protocol.
func newHub(t *testing.T) *httptest.Server {
	t.Helper()
	dir := builtinFolder(t)
	const commit = "0123456789012345678901234567890123456789"
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/acme/minilm/revision/main", func(w http.ResponseWriter, _ *http.Request) {
		var siblings []any
		for _, name := range []string{"config.json", "model.safetensors", "vocab.txt", "modules.json", "sentence_bert_config.json", "tokenizer_config.json", "1_Pooling/config.json", "LICENSE"} {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				t.Error(err)
			}
			sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
			siblings = append(siblings, map[string]any{"rfilename": name, "size": len(data), "blobId": hex.EncodeToString(sum[:])})
		}
		json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings, "cardData": map[string]string{"license": "apache-2.0"}})
	})
	mux.Handle("/acme/minilm/resolve/"+commit+"/", http.StripPrefix("/acme/minilm/resolve/"+commit+"/", http.FileServer(http.Dir(dir))))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestModelsCommands(t *testing.T) {
	h := newHome(t)
	hub := newHub(t)
	h.env = append(h.env, "HF_ENDPOINT="+hub.URL, "HF_TOKEN=")
	if out := h.ok("models"); out != "" {
		t.Errorf("an empty list prints %q", out)
	}
	for _, name := range []string{"bge-small-zh-v1.5", "multilingual-e5-small", "bge-reranker-base", "qwen3-0.6b"} {
		if !strings.Contains(h.ok("models", "list", "--known"), name) {
			t.Errorf("the list of known models lacks %s", name)
		}
	}
	h.fails(1, []string{"acme/other", "404"}, "models", "pull", "acme/other")
	h.fails(1, []string{"OWNER/NAME", "list --known"}, "models", "pull", "none-such")
	h.fails(1, []string{"is not installed", "docent models pull bge-small-zh-v1.5"}, "--encoder", "bge-small-zh-v1.5", "embed")

	if out := h.ok("models", "pull", "acme/minilm"); !strings.Contains(out, "installed minilm (2") {
		t.Errorf("pull prints %q", out)
	}
	h.fails(1, []string{"installed already", "--force"}, "models", "pull", "acme/minilm")
	h.ok("models", "import", builtinFolder(t), "--name", "again")
	type listed struct {
		Models []struct{ Name, Kind, Repo, Licence, Error string }
	}
	l := decode[listed](t, h.ok("models", "list", "--json"))
	if len(l.Models) != 2 || l.Models[1].Name != "minilm" || l.Models[1].Repo != "acme/minilm" || l.Models[1].Kind != "encoder" || l.Models[1].Error != "" {
		t.Errorf("list: %+v", l)
	}
	info := h.ok("models", "info", "minilm")
	for _, part := range []string{"BERT, 6 layers, 384 dimensions", "apache-2.0", "pooling", "mean", "0123456789", "--encoder minilm", "LICENSE"} {
		if !strings.Contains(info, part) {
			t.Errorf("info does not say %q:\n%s", part, info)
		}
	}
	if out := h.ok("models", "info", "builtin"); !strings.Contains(out, "all-MiniLM-L6-v2") {
		t.Errorf("info builtin: %q", out)
	}
	h.fails(1, []string{"models list"}, "models", "info", "none-such")
	if r := h.runIn("hello\n", "--encoder", "minilm", "embed"); r.code != 0 || strings.Count(r.stdout, ",") != 383 {
		t.Errorf("embed with an installed model: %d %s", r.code, r.stderr)
	}

	f, err := os.OpenFile(filepath.Join(h.data, "models", "minilm", "vocab.txt"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("more\n")
	f.Close()
	if r := h.fails(1, []string{"minilm: vocab.txt has"}, "models", "verify"); !strings.Contains(r.stdout, "ok    again") {
		t.Errorf("verify: %q", r.stdout)
	}
	h.fails(1, []string{"nor"}, "models", "rm", "minilm", "nor")
	h.ok("models", "pull", "--force", "acme/minilm")
	h.ok("models", "verify")
	h.ok("models", "rm", "minilm", "again")
	if l := decode[listed](t, h.ok("models", "list", "--json")); len(l.Models) != 0 {
		t.Errorf("after rm: %+v", l)
	}
}

// What models info says of an encoder or a reranker is what it says of itself once it is loaded.
func TestModelsInfo(t *testing.T) {
	h := newHome(t)
	testdata, err := filepath.Abs("../../embed/testdata")
	if err != nil {
		t.Fatal(err)
	}
	e5 := filepath.Join(h.work, "multilingual-e5-small")
	if err := os.CopyFS(e5, os.DirFS(filepath.Join(testdata, "tiny-f32-mean"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		e5:                                      {"BERT, ", "pooling", "mean", `question "query: ", passage "passage: ", from the model's name`, "yes: --encoder"},
		filepath.Join(testdata, "tiny-f16-cls"): {"pooling", "cls", "prefixes", "none", "yes: --encoder"},
		filepath.Join(testdata, "cross-bert"):   {"reranker", "BERT, ", "pooling", "cls", "yes: --reranker"},
		filepath.Join(testdata, "gguf", "bert-q8_0.gguf"):  {"encoder", "BERT, 2 layers, 32 dimensions", "Q8_0", "mean", "yes: --encoder"},
		filepath.Join(testdata, "gguf", "cross-xlmr.gguf"): {"reranker", "yes: --reranker"},
		"builtin": {"BERT, 6 layers, 384 dimensions", "mean", "prefixes", "none"},
	} {
		out := h.ok("models", "info", path)
		for _, part := range want {
			if !strings.Contains(out, part) {
				t.Errorf("info does not say %q:\n%s", part, out)
			}
		}
	}
	type info struct {
		Architecture, Pooling string
		Dim                   int
		Prefix                string `json:"query_prefix"`
		Encoder               *embed.Info
	}
	if i := decode[info](t, h.ok("models", "info", "--json", e5)); i.Encoder == nil || i.Dim != i.Encoder.Dim || i.Pooling != "mean" || i.Prefix != "query: " || i.Encoder.QueryPrompt != "query: " || i.Architecture != "bert" {
		t.Errorf("%+v", i)
	}
}

// An embedder is an OpenAI-compatible server whose vectors are of words.
type embedder struct {
	*httptest.Server
	mu    sync.Mutex
	texts int
	gate  chan struct{} // unless nil, requests of several texts wait for it
}

func newEmbedder(t *testing.T) *embedder {
	t.Helper()
	e := &embedder{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Input []string }
		if json.NewDecoder(r.Body).Decode(&in) != nil || r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		e.mu.Lock()
		gate := e.gate
		e.texts += len(in.Input)
		e.mu.Unlock()
		if gate != nil && len(in.Input) > 1 {
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
		}
		var data []any
		for i, text := range in.Input {
			v := make([]float64, 16)
			for word := range strings.FieldsSeq(strings.ToLower(text)) {
				f := fnv.New64a()
				f.Write([]byte(strings.Trim(word, ".,?")))
				rnd := rand.New(rand.NewPCG(f.Sum64(), 0))
				for j := range v {
					v[j] += rnd.NormFloat64()
				}
			}
			data = append(data, map[string]any{"index": i, "embedding": v})
		}
		json.NewEncoder(w).Encode(map[string]any{"data": data})
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *embedder) embedded() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.texts = 0 }()
	return e.texts
}

func TestRemoteEncoderAndReindex(t *testing.T) {
	h := newHome(t)
	e := newEmbedder(t)
	h.write("docs/leave.md", "# Leave\n\nTwenty five days of annual leave.\n\n# Pay\n\nSick pay lasts for ten weeks.\n")
	h.write("docs/lab.md", "# Laboratory\n\nWear goggles near the centrifuge.\n")
	remote := []string{"--encoder", "openai:words", "--encoder-url", e.URL, "--encoder-key", "key"}
	with := func(args ...string) []string { return append(append([]string{}, remote...), args...) }

	h.fails(1, []string{e.URL + "/v1/embeddings: 401", "--encoder-key"}, "--encoder", "openai:words", "--encoder-url", e.URL, "ingest", "docs")
	h.fails(1, []string{"127.0.0.1:1", "is Ollama running?"}, "--encoder", "ollama:words", "search", "x")

	h.ok(with("ingest", "docs")...)
	if n := e.embedded(); n < 3 || n > 8 {
		t.Errorf("%d texts were embedded", n)
	}
	if out := h.ok(with("search", "-k", "1", "--mode", "dense", "goggles near the centrifuge")...); !strings.Contains(out, "lab.md") {
		t.Errorf("search finds %s", out)
	}
	e.embedded()
	// The same texts under another name cost one request, which asks for the length of the vectors.
	h.ok(with("ingest", "-c", "again", "docs")...)
	if n := e.embedded(); n != 1 {
		t.Errorf("%d texts were embedded for a second collection of the same, want 1", n)
	}

	// Another encoder is refused, both are named, and the way out works as printed.
	parts := []string{"openai:words@16", "all-MiniLM-L6-v2-int8@", `docent --encoder all-MiniLM-L6-v2-int8 reindex -c "default"`}
	h.fails(1, parts, "search", "leave")
	h.fails(1, parts, "ingest", h.write("new.md", "New text."))
	if out := h.ok("search", "--mode", "keyword", "-k", "1", "goggles"); !strings.Contains(out, "lab.md") {
		t.Errorf("keyword search finds %s", out)
	}
	out := h.ok("--encoder", "all-MiniLM-L6-v2-int8", "reindex", "-c", "default")
	if !strings.Contains(out, "reindexed  default") || !strings.Contains(out, "from openai:words@16 to all-MiniLM-L6-v2-int8@") {
		t.Errorf("reindex prints %q", out)
	}
	if out := h.ok("search", "-k", "1", "--mode", "dense", "safety glasses in the lab"); !strings.Contains(out, "lab.md") {
		t.Errorf("after reindexing search finds %s", out)
	}
	h.ok("ingest", "new.md")

	// All others follow; then there is nothing to do.
	type line struct {
		Collection, Status, From, Encoder string
		Chunks                            int
	}
	if l := decode[line](t, h.ok("reindex", "--json")); l.Collection != "again" || l.Status != "reindexed" || l.From != "openai:words@16" {
		t.Errorf("reindex of the others: %+v", l)
	}
	if r := h.run("reindex"); r.code != 0 || !strings.Contains(r.stderr, "already") {
		t.Errorf("nothing to do: %+v", r)
	}
	h.fails(1, []string{"there are: again, default"}, "reindex", "-c", "none-such")
	h.ok("--encoder", "none", "reindex")
	if out := h.ok("collections"); strings.Count(out, "none (keywords only)") != 2 {
		t.Errorf("collections: %s", out)
	}
}

func TestServeReindexes(t *testing.T) {
	h := newHome(t)
	e := newEmbedder(t)
	h.write("docs/leave.md", "# Leave\n\nTwenty five days of annual leave.\n\n# Pay\n\nSick pay lasts for ten weeks.\n")
	h.write("docs/lab.md", "# Laboratory\n\nWear goggles near the centrifuge.\n")
	h.ok("ingest", "docs")
	e.gate = make(chan struct{})
	h.env = append(h.env, "DOCENT_ENCODER_KEY=key", "DOCENT_ENCODER_URL="+e.URL)
	if err := os.WriteFile(filepath.Join(h.data, "config.yaml"), []byte("encoder: openai:words\nencoder_server: {rate: 6000}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, stop := h.serve("--reindex")
	get := func(path string) string {
		t.Helper()
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			b.WriteString(s.Text())
		}
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, b.String())
		}
		return b.String()
	}
	const ask = "/api/collections/default/search?mode=dense&k=1&q=safety+glasses+in+the+lab"
	if out := get(ask); !strings.Contains(out, "goggles") {
		t.Errorf("while it reindexes the old index finds %s", out)
	}
	if out := get("/api/collections"); !strings.Contains(out, "all-MiniLM") {
		t.Errorf("it has been reindexed before its time: %s", out)
	}
	close(e.gate)
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(get("/api/collections"), "openai:words@16") {
		if time.Now().After(deadline) {
			t.Fatal("it is not reindexed")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if out := get("/api/collections/default/search?mode=dense&k=1&q=wear+goggles"); !strings.Contains(out, "goggles") {
		t.Errorf("the new index finds %s", out)
	}
	if code := stop(); code != 0 {
		t.Errorf("serve ends with %d", code)
	}
}

// A GGUF encoder and a GGUF reranker are installed and used like checkpoints.
func TestModelsGGUF(t *testing.T) {
	h := newHome(t)
	files, err := filepath.Abs("../../embed/testdata/gguf")
	if err != nil {
		t.Fatal(err)
	}
	h.ok("models", "import", filepath.Join(files, "nomic-f32.gguf"))
	h.ok("models", "import", filepath.Join(files, "cross-xlmr.gguf"), "--name", "judge")
	byHand, err := os.ReadFile(filepath.Join(files, "bert-q8_0.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.data, "models", "by-hand.gguf"), byHand, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nomic-f32", "by-hand", filepath.Join(files, "jina-f32.gguf")} {
		if r := h.runIn("hello\n", "--encoder", name, "embed"); r.code != 0 || strings.Count(r.stdout, ",") != 31 {
			t.Errorf("embed with %s: %d %s", name, r.code, r.stderr)
		}
	}
	doc := h.write("cats.md", "The cat is hiding.\n")
	h.ok("--encoder", "nomic-f32", "ingest", doc)
	if out := h.ok("--encoder", "nomic-f32", "--reranker", "judge", "search", "the cat"); !strings.Contains(out, "cats.md") {
		t.Errorf("search: %s", out)
	}
	h.fails(1, []string{"nomic-f32", "reindex"}, "--encoder", "by-hand", "search", "--mode", "dense", "the cat")
	h.fails(1, []string{`reranker "nobody"`, "models list"}, "--encoder", "nomic-f32", "--reranker", "nobody", "search", "the cat")
}
