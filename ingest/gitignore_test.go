package ingest_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/ingest"
)

// tree writes files below a new folder, by path.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// filesListed are the paths that List gives, below root.
func filesListed(t testing.TB, root string, opts ingest.ListOptions) []string {
	t.Helper()
	l, err := ingest.List(root, opts)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, it := range l.Items {
		rel, err := filepath.Rel(root, it.Path)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.ToSlash(rel))
	}
	return names
}

// isolated keeps the settings of whoever runs the test out, and returns the folder that stands for home.
func isolated(t *testing.T) string {
	home := t.TempDir()
	for _, name := range []string{"HOME", "USERPROFILE"} {
		t.Setenv(name, home)
	}
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	return home
}

func TestGitIgnore(t *testing.T) {
	home := isolated(t)
	if err := os.MkdirAll(filepath.Join(home, ".config", "git"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{".config/git/ignore": "*.orig\n", ".gitconfig": "[user]\n\tname = x\n"} {
		if err := os.WriteFile(filepath.Join(home, filepath.FromSlash(name)), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		".git/info/exclude": "/local.md\n",
		".gitignore":        "# comment\n*.log\n!keep.log\n/build/\nnotes/*\n!notes/kept.md\ndoc/**/draft\n\\#odd.md\ntrailing.md  \n",
		"a.md":              "x", "b.log": "x", "keep.log": "x", "build/out.md": "x", "src/build/in.md": "x", "notes/x.md": "x", "notes/kept.md": "x",
		"doc/draft/x.md": "x", "doc/a/b/draft": "x", "doc/a/final.md": "x", "#odd.md": "x", "trailing.md": "x", "local.md": "x", "c.md.orig": "x",
		"sub/.gitignore": "!*.log\n*.md\n", "sub/d.log": "x", "sub/e.md": "x", "sub/f.txt": "x",
		"other/.git/config": "", "other/g.log": "x", "other/local.md": "x",
		"private/.docentignore": "*\n!public.md\n", "private/h.md": "x", "private/public.md": "x",
	}
	want := []string{"a.md", "doc/a/final.md", "keep.log", "notes/kept.md", "other/g.log", "other/local.md", "private/public.md", "src/build/in.md", "sub/d.log", "sub/f.txt"}
	root := tree(t, files)
	if d := cmp.Diff(want, filesListed(t, root, ingest.ListOptions{})); d != "" {
		t.Errorf("working tree: %s", d)
	}
	// A folder within the tree is under its rules too, and under those of nobody else.
	if d := cmp.Diff([]string{"d.log", "f.txt"}, filesListed(t, filepath.Join(root, "sub"), ingest.ListOptions{})); d != "" {
		t.Errorf("folder in the tree: %s", d)
	}
	if d := cmp.Diff([]string{"public.md"}, filesListed(t, filepath.Join(root, "private"), ingest.ListOptions{})); d != "" {
		t.Errorf("folder with .docentignore: %s", d)
	}
	if got := filesListed(t, root, ingest.ListOptions{Ignored: true}); !slices.Contains(got, "b.log") || !slices.Contains(got, "private/h.md") {
		t.Errorf("with what is ignored: %v", got)
	}
	if got := filesListed(t, root, ingest.ListOptions{Include: []string{"*.txt", "/notes"}, Exclude: []string{"kept.*"}}); !cmp.Equal(got, []string{"sub/f.txt"}) {
		t.Errorf("chosen: %v", got)
	}
	delete(files, ".git/info/exclude")
	if got := filesListed(t, tree(t, files), ingest.ListOptions{}); !slices.Contains(got, "b.log") || slices.Contains(got, "private/h.md") {
		t.Errorf("not a working tree: %v", got)
	}
	l, err := ingest.List(root, ingest.ListOptions{})
	if err != nil || !slices.ContainsFunc(l.Skipped, func(s ingest.Skipped) bool {
		return filepath.Base(s.Path) == "b.log" && s.Reason == "ignored by .gitignore"
	}) {
		t.Errorf("skipped %+v, %v", l.Skipped, err)
	}
}

// TestGitIgnoreAsGit compares with git itself, over files of patterns made at random.
func TestGitIgnoreAsGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	isolated(t)
	folders := []string{"a", "b", "ab", "d", "A", "x y"}
	names := []string{"a.md", "b.md", "a1", "b_", "[a]", "#a", "!b", "a-b.md", "]a", "-a", "ab2", "a ", "a_"} // a name is a folder or a file, never both
	atoms := []string{"a", "b", "ab", "d", "*", "**", "?", "a*", "*.md", "[ab]", "[!a]", "[^a]*", "[a-b].md", "[]a]", "[a-]*", "[[:alpha:]]", "[[:upper:]]", "[[:nope:]]", "\\a", "\\[a\\]", "x y", "a\\ "}
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 5))
		pick := func(from []string) string { return from[rng.IntN(len(from))] }
		files := map[string]string{}
		for range 60 {
			name := ""
			for range rng.IntN(4) {
				name += pick(folders) + "/"
			}
			files[name+pick(names)] = "x"
		}
		patterns := func() string {
			var sb strings.Builder
			for range 1 + rng.IntN(6) {
				line := pick([]string{"", "", "", "!", "/", "# ", "\\#", "!/"})
				for i := range 1 + rng.IntN(3) {
					if i > 0 {
						line += "/"
					}
					// Not "a**/": git takes that for "a" and "**/" in some places, against its manual.
					first := pick(atoms)
					line += first
					if more := pick(atoms); rng.IntN(3) == 0 && first != "**" && more != "**" && !strings.HasSuffix(first, "*") {
						line += more
					}
				}
				sb.WriteString(line + pick([]string{"", "", "", "/", " ", "1", "_", "/**"}) + "\n")
			}
			return sb.String()
		}
		files[".gitignore"] = patterns()
		files["a/.gitignore"] = patterns()
		files["d/b/.gitignore"] = patterns()
		root := tree(t, files)
		run := func(args ...string) string {
			cmd := exec.Command(git, args...)
			cmd.Dir = root
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("git %v: %v", args, err)
			}
			return string(out)
		}
		run("init", "-q")
		want := strings.Split(strings.Trim(run("ls-files", "-z", "--others", "--exclude-standard"), "\x00"), "\x00")
		slices.Sort(want)
		if want[0] == "" {
			want = []string{}
		}
		got := filesListed(t, root, ingest.ListOptions{Hidden: true, All: true})
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: (-git +docent) %s\n.gitignore:\n%s\na/.gitignore:\n%s", seed, d, files[".gitignore"], files["a/.gitignore"])
		}
	}
}
