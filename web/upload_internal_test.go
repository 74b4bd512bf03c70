package web

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "upload",
		"/":                                 "upload",
		"a\x00b\x07.md":                     "ab.md",
		"a\nb.md":                           "ab.md",
		`..\..\windows\win.ini`:             "windows/win.ini",
		`\\host\share\x.md`:                 "host/share/x.md",
		"C:/x.md":                           "x.md",
		" a / b .md ":                       "a/b .md",
		"...":                               "upload",
		".hidden":                           ".hidden",
		strings.Repeat("d/", 2000) + "x.md": strings.Repeat("d/", 510) + "x.md",
	} {
		if got := cleanPath(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"a.md", "../x", `C:\x`, "\xff\xfe", "a\x00", "..\u202e/..", strings.Repeat("深", 400), "/../.. /../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanPath(s)
		if got == "" || !utf8.ValidString(got) || len(got) > maxPathBytes || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", s, got)
		}
		if !filepath.IsLocal(got) || strings.Contains(got, `\`) {
			t.Errorf("%q became %q, which leads out", s, got)
		}
		if again := cleanPath(got); again != got {
			t.Errorf("%q became %q and then %q", s, got, again)
		}
	})
}

func TestTitleOf(t *testing.T) {
	for in, want := range map[string]string{
		" How\nmuch? ":              "How much?",
		strings.Repeat("word ", 30): strings.TrimSpace(strings.Repeat("word ", 12)) + "…",
		strings.Repeat("字", 100):    strings.Repeat("字", 60) + "…",
	} {
		if got := titleOf(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
