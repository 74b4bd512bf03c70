package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

func TestDataDir(t *testing.T) {
	home := func() (string, error) { return filepath.FromSlash("/home/ada"), nil }
	tests := []struct {
		name, goos string
		env        map[string]string
		want       string
	}{
		{"linux", "linux", nil, "/home/ada/.local/share/docent"},
		{"linux, XDG", "linux", map[string]string{"XDG_DATA_HOME": "/srv/x"}, "/srv/x/docent"},
		{"linux, relative XDG is ignored", "linux", map[string]string{"XDG_DATA_HOME": "x"}, "/home/ada/.local/share/docent"},
		{"macOS", "darwin", map[string]string{"XDG_DATA_HOME": "/srv/x"}, "/home/ada/Library/Application Support/docent"},
		{"Windows", "windows", map[string]string{"LocalAppData": "/c/l"}, "/c/l/docent"},
		{"Windows without its variable", "windows", nil, "/home/ada/AppData/Local/docent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dataDir(tt.goos, func(k string) string { return tt.env[k] }, home)
			if err != nil || filepath.ToSlash(got) != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	_, err := dataDir("linux", func(string) string { return "" }, func() (string, error) { return "", errors.New("no home") })
	if err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("without a home the error %v does not say what to do", err)
	}
}

type cli struct {
	Model string `config:"model.name" env:"TEST_DOCENT_MODEL"`
	K     int    `config:"k" default:"10"`
	Plain string
}

func parser(t *testing.T) (*kong.Kong, *cli) {
	t.Helper()
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	return k, &c
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name, yaml string
		env        string
		args       []string
		want       cli
		wantErr    string
	}{
		{name: "empty", want: cli{K: 10}},
		{name: "comments only", yaml: "# nothing\n", want: cli{K: 10}},
		{name: "values", yaml: "model:\n  name: qwen3\nk: 5\n", want: cli{Model: "qwen3", K: 5}},
		{name: "null keeps the default", yaml: "k:\n", want: cli{K: 10}},
		{name: "flag wins", yaml: "k: 5\n", args: []string{"--k=7"}, want: cli{K: 7}},
		{name: "environment wins", yaml: "model: {name: a}", env: "b", want: cli{Model: "b", K: 10}},
		{name: "unknown key", yaml: "model: {nane: a}", wantErr: `unknown key "model.nane"; known are k, model.name`},
		{name: "flag without a key", yaml: "plain: a", wantErr: `unknown key "plain"`},
		{name: "twice", yaml: "model.name: a\nmodel: {name: b}", wantErr: "stands twice"},
		{name: "a list", yaml: "k: [1, 2]", wantErr: `key "k" wants one value`},
		{name: "not a mapping", yaml: "hello", wantErr: "want keys and values"},
		{name: "not YAML", yaml: "a: [", wantErr: "yaml"},
		{name: "wrong type", yaml: "k: many", wantErr: "--k"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), File)
			if err := os.WriteFile(path, []byte(tt.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.env != "" {
				t.Setenv("TEST_DOCENT_MODEL", tt.env)
			}
			k, c := parser(t)
			r, err := Load(path, true, k.Model)
			if err == nil {
				kong.Resolvers(r).Apply(k)
				_, err = k.Parse(tt.args)
			}
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, *c); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLoadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	k, _ := parser(t)
	if _, err := Load(path, false, k.Model); err != nil {
		t.Errorf("a missing file that is not required: %v", err)
	}
	if _, err := Load(path, true, k.Model); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file that is required: %v", err)
	}
}
