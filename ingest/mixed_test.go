package ingest_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"docent/ingest"
)

// TestMixedDocuments looks for strings that real documents of many kinds are known to hold.
func TestMixedDocuments(t *testing.T) {
	dir := sharedData(t, "mixed-docs")
	raw, err := os.ReadFile(filepath.Join(dir, "expectations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		File        string   `json:"file"`
		MustContain []string `json:"must_contain"`
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{Worker: workerArgv(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	found, total := 0, 0
	for _, c := range cases {
		doc, err := ex.Extract(context.Background(), ingest.File{Path: filepath.Join(dir, c.File)})
		text := ""
		if err != nil {
			t.Logf("%s: %v", c.File, err)
		} else {
			checkDocument(t, c.File, doc)
			text = comparable(strings.ReplaceAll(doc.Text, `\|`, "|"))
		}
		for _, want := range c.MustContain {
			total++
			if strings.Contains(text, comparable(want)) {
				found++
			} else if err == nil {
				t.Logf("%s: not found: %q", c.File, want)
			}
		}
	}
	t.Logf("%d of %d strings found (%.1f%%)", found, total, 100*float64(found)/float64(total))
	// What is left out on purpose counts as missing here: page numbers, side bars of web pages.
	if found*100 < total*99 {
		t.Errorf("found %d of %d strings, want 99%%", found, total)
	}
}

// comparable drops what the rule of the data set says does not count.
func comparable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' || r == '\v' || r == 0x85 || r == 0xa0 || r == 0x1680 || r >= 0x2000 && r <= 0x200f,
			r >= 0x2028 && r <= 0x202f, r == 0x205f, r == 0x3000, r >= 0x2066 && r <= 0x2069, r == 0xfeff, r == 0xad:
			return -1
		}
		return r
	}, norm.NFKC.String(s))
}
