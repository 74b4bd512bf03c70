package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPerplexity(t *testing.T) {
	dir := t.TempDir()
	model, text := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "text.txt")
	tinyModel(t, model)
	if err := os.WriteFile(text, []byte(strings.Repeat("The sea is deep. ", 30)), 0o600); err != nil {
		t.Fatal(err)
	}
	docent := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"--data", dir, "perplexity", "--model", model, "--model-context", "64"}, args...), strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	var values []float64
	for _, cache := range []string{"f16", "f32", "q8_0"} {
		code, out, stderr := docent("--json", "--model-cache", cache, text)
		var got perplexityJSON
		if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
			t.Fatalf("%d, %v: %s %s", code, err, out, stderr)
		}
		if got.Context != 64 || got.Tokens != 510/63*32 || !(got.Perplexity > 1) {
			t.Errorf("%s: %+v", cache, got)
		}
		values = append(values, got.Perplexity)
	}
	if math.Abs(values[0]/values[1]-1) > 1e-2 || math.Abs(values[2]/values[1]-1) > 5e-2 {
		t.Errorf("f16, f32, q8_0: %v", values)
	}
	if code, out, _ := docent(text); code != 0 || !strings.HasPrefix(out, "perplexity ") {
		t.Errorf("%d: %s", code, out)
	}
	if code, _, stderr := docent("--model-cache", "q3", text); code == 0 || !strings.Contains(stderr, "q8_0") {
		t.Errorf("%d: %s", code, stderr)
	}
}
