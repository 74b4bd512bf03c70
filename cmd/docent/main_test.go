package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	command "docent/cmd/docent"
)

// asCommand, in the environment, has the test binary be the command: what the tests run is built once.
const asCommand = "RUN_AS_DOCENT_COMMAND"

var binary string

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		command.Main()
	}
	var err error
	if binary, err = os.Executable(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A home is a data directory and a working directory to run docent in.
type home struct {
	t    *testing.T
	data string
	work string
	env  []string
}

func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{t: t, data: filepath.Join(t.TempDir(), "data"), work: t.TempDir()}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "DOCENT_") && !strings.HasPrefix(e, "OPENAI_") {
			h.env = append(h.env, e)
		}
	}
	// No Ollama that happens to run on this machine answers.
	h.env = append(h.env, asCommand+"=1", "DOCENT_DATA="+h.data, "OLLAMA_HOST=127.0.0.1:1")
	return h
}

func (h *home) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = h.work, h.env
	return cmd
}

type result struct {
	stdout, stderr string
	code           int
}

func (h *home) runIn(stdin string, args ...string) result {
	h.t.Helper()
	cmd := h.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		h.t.Fatalf("docent %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func (h *home) run(args ...string) result { h.t.Helper(); return h.runIn("", args...) }

// ok runs a command that must succeed and returns its output.
func (h *home) ok(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.t.Fatalf("docent %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// fails runs a command that must end with the code and say all of the fragments.
func (h *home) fails(code int, fragments []string, args ...string) result {
	h.t.Helper()
	r := h.run(args...)
	if r.code != code {
		h.t.Errorf("docent %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	for _, f := range fragments {
		if !strings.Contains(r.stderr, f) {
			h.t.Errorf("docent %s: the error does not say %q:\n%s", strings.Join(args, " "), f, r.stderr)
		}
	}
	return r
}

func (h *home) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("more than one JSON value:\n%s", text)
	}
	return v
}

type line struct {
	Path       string  `json:"path"`
	Status     string  `json:"status"`
	DocumentID *string `json:"document_id"`
	Chunks     *int    `json:"chunks"`
	Error      *string `json:"error"`
}

// ingestLines reads the lines of docent ingest, keyed by the file's base name.
func ingestLines(t *testing.T, text string) map[string]line {
	t.Helper()
	got := map[string]line{}
	for s := range strings.Lines(text) {
		l := decode[line](t, s)
		if l.DocumentID == nil || l.Chunks == nil || l.Error == nil {
			t.Errorf("a key is missing: %s", s)
		}
		got[filepath.Base(l.Path)] = l
	}
	return got
}

func statuses(lines map[string]line) map[string]string {
	m := map[string]string{}
	for name, l := range lines {
		m[name] = l.Status
	}
	return m
}

func wantStatuses(t *testing.T, lines map[string]line, want map[string]string) {
	t.Helper()
	got := statuses(lines)
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
		return
	}
	for name, s := range want {
		if got[name] != s {
			t.Errorf("%s: got %q, want %q (error %v)", name, got[name], s, lines[name].Error)
		}
	}
}

const (
	leave = "# Leave\n\nEveryone has 25 days of annual leave. Unused days lapse on 30 June.\n\n# Parking\n\nThe car park opens at seven in the morning.\n"
	lunch = "<!doctype html><title>Canteen</title><article><h1>Canteen</h1><p>Lunch is served from half past eleven until two. The soup of the day costs three pounds.</p></article>"
)

func TestIngestTwiceChangedAndPruned(t *testing.T) {
	h := newHome(t)
	h.write("docs/leave.md", leave)
	h.write("docs/sub/lunch.html", lunch)
	h.write("docs/old.txt", "The fax number is 4711.\n")

	wantStatuses(t, ingestLines(t, h.ok("--json", "ingest", "docs")), map[string]string{"leave.md": "ingested", "lunch.html": "ingested", "old.txt": "ingested"})
	wantStatuses(t, ingestLines(t, h.ok("--json", "ingest", "docs")), map[string]string{"leave.md": "unchanged", "lunch.html": "unchanged", "old.txt": "unchanged"})

	// The same folder by another name is the same folder.
	wantStatuses(t, ingestLines(t, h.ok("--json", "ingest", filepath.Join(h.work, "docs"))), map[string]string{"leave.md": "unchanged", "lunch.html": "unchanged", "old.txt": "unchanged"})

	h.write("docs/leave.md", strings.Replace(leave, "25", "31", 1))
	if err := os.Remove(filepath.Join(h.work, "docs", "old.txt")); err != nil {
		t.Fatal(err)
	}
	wantStatuses(t, ingestLines(t, h.ok("--json", "ingest", "docs")), map[string]string{"leave.md": "ingested", "lunch.html": "unchanged"})
	wantStatuses(t, ingestLines(t, h.ok("ingest", "docs", "--prune", "--json")), map[string]string{"leave.md": "unchanged", "lunch.html": "unchanged", "old.txt": "removed"})

	docs := decode[struct {
		Documents []struct{ ID, Path string }
	}](t, h.ok("documents", "--json")).Documents
	if len(docs) != 2 {
		t.Fatalf("documents: %v", docs)
	}
	found := h.ok("search", "--json", "annual", "leave")
	if !strings.Contains(found, "31 days") || strings.Contains(found, "25 days") {
		t.Errorf("search does not see the new version alone: %s", found)
	}

	h.ok("rm", docs[0].ID)
	// The other one by its path as seen from here, not too tidily written.
	h.ok("rm", filepath.Join("docs", "sub")+string(filepath.Separator)+".."+strings.TrimPrefix(docs[1].Path, filepath.Join(h.work, "docs")))
	if left := h.ok("documents", "--json"); !strings.Contains(left, `"documents":[]`) {
		t.Errorf("after rm: %s", left)
	}
	h.fails(1, []string{"no such document"}, "rm", "leave.md")
}

// encryptedPDF asks for a password that nobody knows: its /U is not what any password yields.
const encryptedPDF = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
	"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n" +
	"4 0 obj<</Filter/Standard/V 1/R 2/P -4/O<0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20>/U<2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40>>>endobj\n" +
	"trailer<</Root 1 0 R/Encrypt 4 0 R/ID[<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>]/Size 5>>\n%%EOF\n"

func TestIngestBadFiles(t *testing.T) {
	h := newHome(t)
	h.write("docs/good.md", leave)
	h.write("docs/empty.txt", "")
	h.write("docs/broken.pdf", "%PDF-1.7\n1 0 obj\n<</Type/Catalog\ncut off")
	h.write("docs/locked.pdf", encryptedPDF)
	h.write("docs/picture.docx", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00")
	h.write("docs/page.txt", lunch) // HTML by another name is still read

	r := h.run("ingest", "--json", "docs", "nowhere.md")
	if r.code != 1 {
		t.Errorf("exit %d, want 1\n%s", r.code, r.stderr)
	}
	lines := ingestLines(t, r.stdout)
	wantStatuses(t, lines, map[string]string{
		"good.md": "ingested", "page.txt": "ingested",
		"empty.txt": "failed", "broken.pdf": "failed", "locked.pdf": "failed", "picture.docx": "failed", "nowhere.md": "failed",
	})
	for name, fragment := range map[string]string{"empty.txt": "empty", "broken.pdf": "damaged", "locked.pdf": "password", "picture.docx": "picture cannot be read", "nowhere.md": "no such file"} {
		if l := lines[name]; l.Error == nil || !strings.Contains(*l.Error, fragment) {
			t.Errorf("%s: error %q does not say %q", name, *l.Error, fragment)
		}
	}
	if !strings.Contains(r.stderr, "5 failed") {
		t.Errorf("no summary on the standard error: %s", r.stderr)
	}
}

func TestNamesAndEncodings(t *testing.T) {
	h := newHome(t)
	gb, err := simplifiedchinese.GB18030.NewEncoder().String("# 年假\n\n每位员工每年有十五天年假，未休完的年假可以顺延到次年三月底。\n")
	if err != nil {
		t.Fatal(err)
	}
	h.write("a/制度.txt", gb)
	h.write("b/x.md", leave)
	lines := ingestLines(t, h.ok("ingest", "--json", "a/../a/制度.txt", filepath.Join("b", "..", "b")))
	if len(lines) != 2 {
		t.Fatalf("got %v", lines)
	}
	for _, l := range lines {
		if strings.Contains(l.Path, "..") {
			t.Errorf("path %q was not cleaned", l.Path)
		}
	}
	if got := h.ok("search", "年假可以顺延到什么时候"); !strings.Contains(got, "顺延到次年三月底") {
		t.Errorf("the GB18030 text is not found: %s", got)
	}
}

func TestExtractAndChunk(t *testing.T) {
	h := newHome(t)
	long := "# Manual\n\n"
	for i := range 60 {
		long += fmt.Sprintf("Step %d: 把旋钮转到第 %d 档，then wait until the lamp is green. ", i, i)
		if i%7 == 6 {
			long += fmt.Sprintf("\n\n## Part %d\n\n", i/7+1)
		}
	}
	long += "\n\n| Code | Meaning |\n|---|---|\n| E01 | No paper |\n"
	h.write("manual.md", long)

	type span struct {
		Start, End, Level int
		Text              string
	}
	doc := decode[struct {
		Title, Format, Language, Text string
		Pages                         []span
		Headings, Tables              []span
		Metadata                      map[string]string
	}](t, h.ok("--json", "extract", "manual.md"))
	if doc.Format != "markdown" || len(doc.Headings) < 2 || len(doc.Tables) != 1 || doc.Metadata == nil || doc.Pages == nil {
		t.Errorf("extract: format %q, %d headings, %d tables", doc.Format, len(doc.Headings), len(doc.Tables))
	}
	for _, s := range append(doc.Headings, doc.Tables...) {
		if doc.Text[s.Start:s.End] != s.Text {
			t.Errorf("range %d-%d is not %q", s.Start, s.End, s.Text)
		}
	}
	if plain := h.ok("extract", "manual.md"); strings.TrimSpace(plain) != strings.TrimSpace(doc.Text) {
		t.Error("the plain output is not the text of the JSON one")
	}

	chunks := decode[struct {
		Chunks []struct {
			N, Start, End, Tokens int
			Text                  string
			Headings              []string
		}
	}](t, h.ok("--json", "chunk", "manual.md")).Chunks
	if len(chunks) < 3 {
		t.Fatalf("%d chunks", len(chunks))
	}
	for i, c := range chunks {
		if c.N != i+1 || c.Tokens < 1 || c.Start < 0 || c.End > len(doc.Text) || doc.Text[c.Start:c.End] != c.Text {
			t.Errorf("chunk %d (%d-%d) is not a slice of the extracted text", c.N, c.Start, c.End)
		}
	}
	h.fails(1, []string{"missing.pdf"}, "extract", "missing.pdf")
}

func TestEmbed(t *testing.T) {
	h := newHome(t)
	r := h.runIn("The cat sits on the mat.\n\nA feline rests on a rug.\r\n你好，世界", "embed")
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	var rows [][]float32
	for s := range strings.Lines(r.stdout) {
		rows = append(rows, decode[[]float32](t, s))
	}
	if len(rows) != 4 {
		t.Fatalf("%d rows for 4 lines", len(rows))
	}
	for i, row := range rows {
		sum := 0.0
		for _, x := range row {
			sum += float64(x) * float64(x)
		}
		if len(row) != 384 || math.Abs(math.Sqrt(sum)-1) > 1e-4 {
			t.Errorf("row %d: %d values of norm %v", i, len(row), math.Sqrt(sum))
		}
	}
	dot := func(a, b []float32) (s float32) {
		for i := range a {
			s += a[i] * b[i]
		}
		return s
	}
	if like, unlike := dot(rows[0], rows[2]), dot(rows[0], rows[3]); like < 0.4 || like < unlike+0.2 {
		t.Errorf("a paraphrase scores %v, another text %v", like, unlike)
	}
	if r := h.runIn("", "embed"); r.code != 0 || r.stdout != "" {
		t.Errorf("no input: exit %d, %q", r.code, r.stdout)
	}
	if r := h.runIn("a\nb\xff\n", "embed"); r.code != 1 || !strings.Contains(r.stderr, "line 2") {
		t.Errorf("invalid UTF-8: exit %d, %s", r.code, r.stderr)
	}
	h.fails(1, []string{"nonesuch"}, "embed", "--model", "nonesuch")
}

type answer struct {
	Answer    *string `json:"answer"`
	Citations []map[string]any
	Model     *string `json:"model"`
	Usage     *struct {
		PromptTokens     *int `json:"prompt_tokens"`
		CompletionTokens *int `json:"completion_tokens"`
	} `json:"usage"`
}

func TestAskDocs(t *testing.T) {
	h := newHome(t)
	h.write("docs/leave.md", leave)
	h.write("docs/lunch.html", lunch)
	for range 2 {
		out := h.ok("ask", "--json", "--docs", "docs", "When", "do", "unused", "days", "of", "leave", "lapse?")
		a := decode[answer](t, out)
		if a.Answer == nil || a.Model == nil || a.Usage == nil || a.Usage.PromptTokens == nil {
			t.Fatalf("a key is missing: %s", out)
		}
		if !strings.Contains(*a.Answer, "30 June") || !strings.Contains(*a.Answer, "[1]") || len(a.Citations) == 0 {
			t.Fatalf("answer: %s", out)
		}
		for _, key := range []string{"n", "document", "path", "page", "start", "end", "quote"} {
			if _, ok := a.Citations[0][key]; !ok {
				t.Errorf("a citation has no %q: %v", key, a.Citations[0])
			}
		}
		if quote, _ := a.Citations[0]["quote"].(string); !strings.Contains(quote, "30 June") {
			t.Errorf("quote %q", quote)
		}
	}
	// The folder as it is now answers, not as it was.
	if err := os.Remove(filepath.Join(h.work, "docs", "leave.md")); err != nil {
		t.Fatal(err)
	}
	if a := decode[answer](t, h.ok("ask", "--json", "--docs", "docs", "When do unused days of leave lapse?")); strings.Contains(*a.Answer, "30 June") {
		t.Errorf("a removed file still answers: %s", *a.Answer)
	}
	if out := h.run("ask", "--docs", "docs", "What does the soup cost?"); out.code != 0 || !strings.Contains(out.stdout, "three pounds") || !strings.Contains(out.stdout, "lunch.html") {
		t.Errorf("plain answer: exit %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	h.fails(1, []string{"no such folder"}, "ask", "--docs", "nowhere", "What?")
}

func TestModels(t *testing.T) {
	h := newHome(t)
	h.write("docs/leave.md", leave)
	h.ok("ingest", "docs")
	h.fails(1, []string{"127.0.0.1:1"}, "ask", "--model-provider", "openai", "--model-url", "http://127.0.0.1:1/v1", "--model", "m", "When do days lapse?")
	h.fails(1, []string{"127.0.0.1:1"}, "ask", "--model-provider", "ollama", "--model-url", "http://127.0.0.1:1", "When do days lapse?")
	r := h.run("ask", "--model-url", "http://127.0.0.1:1/v1", "When do unused days of leave lapse?")
	if r.code != 0 || !strings.Contains(r.stdout, "30 June") || !strings.Contains(r.stderr, "127.0.0.1:1") {
		t.Errorf("auto does not fall back with a notice: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	h.fails(1, []string{"language model"}, "agent", "Add up all days")
}

// A server that speaks just enough of the OpenAI protocol to see what reaches it.
func TestModelServer(t *testing.T) {
	var got struct {
		key, body string
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/models", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"tiny","object":"model"}]}`)
	})
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.key, got.body = r.Header.Get("Authorization"), string(body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, s := range []string{"They lapse on ", "30 June [1]."} {
			fmt.Fprintf(w, "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", s)
		}
		fmt.Fprint(w, "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })

	h := newHome(t)
	h.write("docs/leave.md", leave)
	h.ok("ingest", "docs")
	h.env = append(h.env, "OPENAI_API_KEY=sk-of-another-program")
	if err := os.WriteFile(filepath.Join(h.data, "config.yaml"), []byte("model:\n  url: http://"+l.Addr().String()+"/v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := decode[answer](t, h.ok("ask", "--json", "When do unused days of leave lapse?"))
	if *a.Answer != "They lapse on 30 June [1]." || *a.Model != "tiny" || len(a.Citations) != 1 {
		t.Errorf("answer %q by %q with %v", *a.Answer, *a.Model, a.Citations)
	}
	if !strings.Contains(got.body, "25 days of annual leave") {
		t.Errorf("the prompt lacks the passage: %s", got.body)
	}
	if strings.Contains(got.key, "sk-of-another-program") {
		t.Error("OPENAI_API_KEY was sent to a server that is not OpenAI's")
	}
	h.env = append(h.env, "DOCENT_MODEL_KEY=sk-mine")
	h.ok("ask", "When do unused days of leave lapse?")
	if got.key != "Bearer sk-mine" {
		t.Errorf("the server got the key %q", got.key)
	}
}

func TestUsage(t *testing.T) {
	h := newHome(t)
	for _, tt := range []struct {
		fragments []string
		args      []string
	}{
		{[]string{"unknown flag --collektion", "did you mean", "--collection"}, []string{"ingest", "--collektion=x", "a"}},
		{[]string{"unexpected argument serch", "search"}, []string{"serch", "x"}},
		{[]string{"dense"}, []string{"search", "--mode", "sparse", "x"}},
		{[]string{"<source>"}, []string{"ingest"}},
	} {
		h.fails(2, tt.fragments, tt.args...)
	}
	if got := h.ok("--version"); !strings.HasPrefix(got, "docent ") {
		t.Errorf("--version: %q", got)
	}
	if v := decode[map[string]string](t, h.ok("version", "--json")); v["version"] == "" || v["go"] != runtime.Version() {
		t.Errorf("version --json: %v", v)
	}
	if help := h.ok("--help"); !strings.Contains(help, "ingest") || strings.Contains(help, "parse-worker") {
		t.Errorf("--help: %s", help)
	}
}

func TestSettingsFile(t *testing.T) {
	h := newHome(t)
	path := h.write("my.yaml", "model:\n  urll: x\n")
	h.fails(2, []string{path, `"model.urll"`, "model.url"}, "--config", path, "collections")
	h.fails(2, []string{"none.yaml"}, "--config", "none.yaml", "collections")
}

func TestUnknownCollection(t *testing.T) {
	h := newHome(t)
	h.fails(1, []string{`"default"`, "docent ingest"}, "ask", "Is anybody there?")
	h.write("a.md", leave)
	h.ok("ingest", "-c", "handbook", "a.md")
	h.ok("collections", "create", "空的")
	for _, args := range [][]string{{"ask", "-c", "hand", "x"}, {"search", "-c", "hand", "x"}, {"documents", "-c", "hand"}, {"rm", "-c", "hand", "x"}, {"collections", "rm", "hand"}} {
		h.fails(1, []string{`"hand"`, "handbook", "空的"}, args...)
	}
	if got := decode[struct{ Collections []struct{ Name string } }](t, h.ok("collections", "--json")); len(got.Collections) != 2 {
		t.Errorf("collections: %v", got)
	}
	h.ok("collections", "rm", "空的")
	h.fails(1, []string{"invalid name"}, "collections", "create", "../up")
	h.fails(1, []string{"exists"}, "collections", "create", "handbook")
}

// serve starts the server and returns its address and a function that stops it and returns its exit code.
func (h *home) serve(args ...string) (url string, stop func() int) {
	h.t.Helper()
	cmd := h.command(append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	stopped := false
	stop = func() int {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		}
		return cmd.ProcessState.ExitCode()
	}
	h.t.Cleanup(func() { stop() })
	first, err := bufio.NewReader(out).ReadString('\n')
	url = strings.TrimSpace(first)
	if i := strings.Index(url, "http://"); err != nil || i < 0 {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		h.t.Fatalf("serve printed %q, %v\n%s", first, err, errs.String())
	} else {
		url = url[i:]
	}
	return url, stop
}

func TestBackupAndExport(t *testing.T) {
	h := newHome(t)
	h.write("leave.md", "Employees get thirty days of leave a year.\n")
	h.ok("ingest", "-c", "house", "leave.md")
	for _, args := range [][]string{{"backup", "all.zip"}, {"collections", "export", "house", "house.kb"}} {
		if out := h.ok(args...); !strings.Contains(out, "1 document") {
			t.Errorf("%v: %s", args, out)
		}
	}
	h.fails(1, []string{"all.zip", "--force"}, "backup", "all.zip")
	other := newHome(t)
	other.ok("restore", filepath.Join(h.work, "all.zip"))
	other.ok("collections", "import", filepath.Join(h.work, "house.kb"), "--as", "copy")
	for _, c := range []string{"house", "copy"} {
		if out := other.ok("search", "-c", c, "how much leave"); !strings.Contains(out, "thirty days") {
			t.Errorf("%s: %s", c, out)
		}
	}
	for _, args := range [][]string{{"restore", "leave.md"}, {"collections", "import", "leave.md"}, {"serve", "--addr", "127.0.0.1:0", "--kb", "leave.md"}, {"serve", "--addr", "127.0.0.1:0", "--kb", "all.zip"}} {
		h.fails(1, []string{args[len(args)-1], "not a docent file"}, args...)
	}
}

func TestServe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no interrupt that one process could send another")
	}
	h := newHome(t)
	url, stop := h.serve("--model-key", "sk-secret", "--model-provider", "extractive")
	resp, err := http.Get(url + "/api/health")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"ok"`) {
		t.Errorf("health: %d %s", resp.StatusCode, body)
	}

	if r := h.fails(1, []string{h.data, "in use", "serve", "--data"}, "collections"); strings.Contains(r.stderr, "sk-secret") {
		t.Errorf("the error shows the key: %s", r.stderr)
	}

	other := newHome(t)
	addr := strings.TrimPrefix(strings.TrimSuffix(url, "/"), "http://")
	other.fails(1, []string{addr, "--addr"}, "serve", "--addr", addr)

	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d after an interrupt", code)
	}
	h.ok("collections") // the directory is free again
}

func TestInterruptedIngestLosesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no interrupt that one process could send another")
	}
	h := newHome(t)
	for i := range 40 {
		h.write(fmt.Sprintf("docs/%02d.md", i), strings.Repeat(fmt.Sprintf("# Part %d\n\nRoom %d is painted green and holds %d chairs.\n\n", i, i, i+3), 30))
	}
	cmd := h.command("ingest", "--json", "docs")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var done []string
	for lines.Scan() {
		done = append(done, decode[line](t, lines.Text()).Path)
		if len(done) == 3 {
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code == 0 && len(done) < 40 {
		t.Errorf("exit 0 though only %d of 40 files were done", len(done))
	}
	docs := h.ok("documents", "--json")
	for _, p := range done {
		if !strings.Contains(docs, filepath.Base(p)) {
			t.Errorf("%s was acknowledged and is gone", p)
		}
	}
	if got := statuses(ingestLines(t, h.ok("ingest", "--json", "docs"))); len(got) != 40 {
		t.Errorf("the second run saw %d files", len(got))
	} else if names := slices.Sorted(maps.Keys(got)); names[0] != "00.md" {
		t.Errorf("files: %v", names)
	}
}
