package ingest_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"docent/ingest"
)

func TestWalk(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(t.TempDir(), "docs")
	write := func(name string) {
		t.Helper()
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b.md", "a.txt", "sub/deep/c.pdf", "手册/年假.docx", ".hidden.md", ".git/config", "sub/node_modules/x/readme.md",
		"tool.EXE", "photo.jpg", "backup.7z", "lib.so", "~$b.docx", "no-extension"} {
		write(name)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret.txt"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{
		"inside.md": filepath.Join(root, "b.md"), "secret.txt": filepath.Join(outside, "secret.txt"),
		"out": outside, "loop": root, "nowhere.md": filepath.Join(root, "gone.md"),
	}
	linked := true
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			linked = false // Windows without the privilege
		}
	}
	locked := filepath.Join(root, "locked")
	if err := os.Mkdir(locked, 0o755); err != nil {
		t.Fatal(err)
	}
	write("locked/d.md")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(locked, 0o755) })
	_, err := os.ReadDir(locked)
	isLocked := err != nil // not for the superuser, nor on Windows

	l, err := ingest.List(root, ingest.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	short := func(p string) string { r, _ := filepath.Rel(root, p); return filepath.ToSlash(r) }
	var got []string
	for _, it := range l.Items {
		name := short(it.Path)
		if it.Err != nil {
			if !errors.Is(it.Err, os.ErrPermission) {
				t.Errorf("%s: %v", name, it.Err)
			}
			name += " (error)"
		}
		got = append(got, name)
	}
	want := []string{"a.txt", "b.md"}
	if linked {
		want = append(want, "inside.md")
	}
	if isLocked {
		want = append(want, "locked (error)")
	} else {
		want = append(want, "locked/d.md")
	}
	want = append(want, "no-extension", "sub/deep/c.pdf", "手册/年假.docx")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("items: %s", d)
	}
	reasons := make(map[string]string)
	for _, s := range l.Skipped {
		reasons[short(s.Path)] = s.Reason
	}
	wantReasons := map[string]string{
		".hidden.md": "hidden", ".git": "a folder of version control, packages or caches", "sub/node_modules": "a folder of version control, packages or caches",
		"tool.EXE": "a program or library", "photo.jpg": "a picture", "backup.7z": "an archive", "lib.so": "a program or library", "~$b.docx": "hidden",
	}
	if linked {
		for k, v := range map[string]string{"secret.txt": "a symbolic link out of the folder", "out": "a symbolic link out of the folder",
			"loop": "a symbolic link to a folder", "nowhere.md": "a symbolic link that leads nowhere"} {
			wantReasons[k] = v
		}
	}
	if d := cmp.Diff(wantReasons, reasons); d != "" {
		t.Errorf("skipped: %s", d)
	}

	t.Run("a file named itself", func(t *testing.T) {
		for _, name := range []string{"tool.EXE", ".hidden.md"} {
			items, err := ingest.Walk(filepath.Join(root, name))
			if err != nil || len(items) != 1 || items[0].Path != filepath.Join(root, name) {
				t.Errorf("%s: %+v, %v", name, items, err)
			}
		}
	})
	t.Run("a relative path is recorded absolute", func(t *testing.T) {
		t.Chdir(root)
		items, err := ingest.Walk("sub/../sub")
		if err != nil || len(items) != 1 || !filepath.IsAbs(items[0].Path) || strings.Contains(items[0].Path, "..") {
			t.Errorf("%+v, %v", items, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		if _, err := ingest.Walk(filepath.Join(root, "gone")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a device", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("no /dev/null on Windows")
		}
		if _, err := ingest.Walk(os.DevNull); !errors.Is(err, ingest.ErrUnsupported) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the root is a link", func(t *testing.T) {
		if !linked {
			t.Skip("no symbolic links here")
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(filepath.Join(root, "sub"), link); err != nil {
			t.Fatal(err)
		}
		items, err := ingest.Walk(link)
		if err != nil || len(items) != 1 || items[0].Path != filepath.Join(link, "deep", "c.pdf") {
			t.Errorf("%+v, %v", items, err)
		}
	})
}

func TestCleanName(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"report.pdf", "report.pdf"},
		{"folder/报告 1.pdf", "folder/报告 1.pdf"},
		{"../../etc/passwd", "etc/passwd"},
		{"/etc/passwd", "etc/passwd"},
		{`C:\Users\me\a.docx`, "Users/me/a.docx"},
		{`..\..\a.md`, "a.md"},
		{"a/./b//c/../d.md", "a/b/c/d.md"},
		{"a\x00b\n.md", "ab.md"},
		{"evil\u202efdp.exe", "evilfdp.exe"},
		{"bad\xffname.md", "bad\ufffdname.md"},
		{" spaced /  name.md ", "spaced/name.md"},
		{"..", ""}, {"", ""}, {"/", ""}, {"\x00", ""}, {"../..", ""},
	} {
		got, err := ingest.CleanName(tc.in)
		if got != tc.want || (err != nil) != (tc.want == "") || err != nil && !errors.Is(err, ingest.ErrName) {
			t.Errorf("CleanName(%q) = %q, %v, want %q", tc.in, got, err, tc.want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("../a/b.md")
	f.Add(strings.Repeat("长", 2000) + ".md")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := ingest.CleanName(name)
		if err != nil {
			return
		}
		if !utf8.ValidString(got) || len(got) > 1024 || strings.HasPrefix(got, "/") || strings.Contains(got, "\\") {
			t.Fatalf("%q", got)
		}
		for part := range strings.SplitSeq(got, "/") {
			if part == "" || part == "." || part == ".." {
				t.Fatalf("%q has the part %q", got, part)
			}
		}
		if again, err := ingest.CleanName(got); err != nil || again != got {
			t.Fatalf("%q becomes %q, %v", got, again, err)
		}
	})
}
