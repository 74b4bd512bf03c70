package web_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"docent/chain"
)

// jsonFields lists the fields of a struct as TypeScript declares them: "page?" for one that may be left
// out.
func jsonFields(v any) []string {
	var out []string
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if options == "omitempty" {
			name += "?"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// compareFields wants each field of the page to be the server's, and each that the server always sends
// to be the page's. The page may do without an optional one.
func compareFields(t *testing.T, name string, server, page []string) {
	t.Helper()
	for _, f := range page {
		if !slices.Contains(server, f) {
			t.Errorf("%s: the page has %s, the server sends %v", name, f, server)
		}
	}
	for _, f := range server {
		switch {
		case slices.Contains(page, f):
		case strings.HasSuffix(f, "?"):
			t.Logf("%s: the page does not know %s", name, f)
		default:
			t.Errorf("%s: the page lacks %s", name, f)
		}
	}
}

var tsField = regexp.MustCompile(`(\w+\??):`)

// TestEventsMirror keeps the page's picture of the events equal to the chain's.
func TestEventsMirror(t *testing.T) {
	raw, err := os.ReadFile("ui/src/types/events.ts")
	if err != nil {
		t.Skip("the page's sources are not here:", err)
	}
	source := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`).ReplaceAllString(string(raw), "")
	source = regexp.MustCompile(`: \{[^{}]*\}`).ReplaceAllString(source, ": object")
	fields := func(body string) []string {
		var out []string
		for _, m := range tsField.FindAllStringSubmatch(body, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	for name, v := range map[string]any{"Passage": chain.Passage{}, "Citation": chain.Citation{}, "Usage": chain.Usage{}, "Answer": chain.Answer{}} {
		m := regexp.MustCompile(`(?s)export interface ` + name + ` \{(.*?)\n\}`).FindStringSubmatch(source)
		if m == nil {
			t.Errorf("events.ts has no interface %s", name)
			continue
		}
		compareFields(t, name, jsonFields(v), fields(m[1]))
	}
	for _, e := range []chain.Event{chain.Status{}, chain.Sources{}, chain.Token{}, chain.Reasoning{}, chain.ToolCall{}, chain.ToolResult{}, chain.Done{}} {
		m := regexp.MustCompile(`\| \{ type: "` + e.Type() + `";?([^}]*)\}`).FindStringSubmatch(source)
		if m == nil {
			t.Errorf("events.ts has no event %q", e.Type())
			continue
		}
		want := jsonFields(e)
		if e.Type() == "sources" { // the server adds how far the indexing is
			want = append(want, "indexing?")
			slices.Sort(want)
		}
		compareFields(t, "event "+e.Type(), want, fields(m[1]))
	}
}
