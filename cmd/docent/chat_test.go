package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"docent/chain"
)

func TestChat(t *testing.T) {
	data := t.TempDir()
	t.Setenv("OLLAMA_HOST", "127.0.0.1:1")
	docent := func(stdin string, args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"--data", data}, args...), strings.NewReader(stdin), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, _, stderr := docent("Hello\n", "chat"); code != exitFailed || !strings.Contains(stderr, "--model") {
		t.Errorf("without a model: %d, %s", code, stderr)
	}
	model := filepath.Join(data, "tiny.gguf")
	tinyModel(t, model)
	saved := filepath.Join(data, "chat.json")
	script := strings.Join([]string{"/help", "/system Be brief.", "Hello \\", "there", "/nonesuch", `"""`, "two", "lines", `"""`, "/save " + saved, "/save", "/reset", "/system", "Again", "/save " + saved + ".md", "/quit", "never"}, "\n")
	code, out, stderr := docent(script, "chat", "--model", model, "-n", "4", "--temperature", "0")
	if code != 0 || !strings.Contains(out, "/save FILE") || !strings.Contains(stderr, "no /nonesuch") || !strings.Contains(stderr, "Saved in") || !strings.Contains(stderr, "forgotten") {
		t.Fatalf("%d: %s\n%s", code, out, stderr)
	}
	var turns []struct{ Role, Content string }
	b, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &turns); err != nil || len(turns) != 5 {
		t.Fatalf("%s, %v", b, err)
	}
	for i, want := range []string{"Be brief.", "Hello \nthere", "", "two\nlines", ""} {
		if got := turns[i]; want != "" && got.Content != want || want == "" && (got.Role != "assistant" || !strings.Contains(out, got.Content)) {
			t.Errorf("turn %d: %+v, want %q", i, got, want)
		}
	}
	if b, err = os.ReadFile(saved + ".md"); err != nil || !strings.HasPrefix(string(b), "## user\n\nAgain\n\n## assistant\n\n") {
		t.Errorf("%s, %v", b, err)
	}
	code, out, _ = docent("Hello\n", "--json", "chat", "--model", model, "-n", "3")
	var reply struct {
		Role, Content string
		Usage         chain.Usage
	}
	if err := json.Unmarshal([]byte(out), &reply); code != 0 || err != nil || reply.Role != "assistant" || reply.Content == "" || reply.Usage.CompletionTokens != 3 {
		t.Errorf("%d: %q, %v", code, out, err)
	}
	// The samplers, and a form.
	code, out, stderr = docent("Hello\n", "chat", "--model", model, "--top-k", "5", "--min-p", "0.01", "--repeat", "1.1", "--presence", "0.1", "--frequency", "0.1", "--stop", "qq", "--seed", "3", "--regex", "[a-c]{5}")
	if code != 0 || !regexp.MustCompile(`^[a-c]{5}\n$`).MatchString(out) {
		t.Errorf("%d: %q, %s", code, out, stderr)
	}
	// Those that langchaingo has no words for: a token that is added to comes each time.
	for _, more := range [][]string{{"--typical", "0.9"}, {"--mirostat", "1", "--mirostat-tau", "4"}, {"--mirostat", "2", "--mirostat-eta", "0.2"}, {"--repeat-last", "8"}} {
		code, out, stderr := docent("Hello\n", append([]string{"chat", "--model", model, "-n", "5", "--logit-bias", "40=100"}, more...)...)
		if code != 0 || len(out) != 6 || strings.Trim(out, out[:1]) != "\n" {
			t.Errorf("%v: %d: %q, %s", more, code, out, stderr)
		}
	}
	if code, _, stderr := docent("Hello\n", "chat", "--model", model, "--typical", "2"); code == 0 || !strings.Contains(stderr, "typical p is 2") {
		t.Errorf("%d: %s", code, stderr)
	}
	// A conversation that outgrows the window goes on without its beginning.
	long := strings.Repeat("word word word\n", 12)
	if code, _, stderr := docent(long, "chat", "--model", model, "-n", "8"); code != 0 || !strings.Contains(stderr, "its beginning is left out") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2J\tb\n\u009b\a"); got != "a[2J\tb\n" {
		t.Errorf("%q", got)
	}
}
