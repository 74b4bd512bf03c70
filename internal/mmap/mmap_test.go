package mmap_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"docent/internal/mmap"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string][]byte{
		"empty": {}, "short": []byte("GGUF"), "several pages": bytes.Repeat([]byte("weights "), 600_000),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := mmap.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(f.Data, want) {
				t.Errorf("%d bytes, want %d", len(f.Data), len(want))
			}
			if f.Release(); !bytes.Equal(f.Data, want) {
				t.Error("after Release the content is another")
			}
			var copied bytes.Buffer
			if n, err := f.WriteTo(&copied); err != nil || n != int64(len(want)) || !bytes.Equal(copied.Bytes(), want) {
				t.Errorf("WriteTo: %d bytes, %v", n, err)
			}
			// A new version comes by a rename, as models are installed: the old one stays readable.
			if mmap.Mapped {
				if err := os.WriteFile(path+".new", []byte("other"), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(f.Data, want) {
					t.Error("the content changed with the file's name")
				}
			}
			for range 2 {
				if err := f.Close(); err != nil || f.Data != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
	}
	if _, err := mmap.Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := mmap.Open(dir); !errors.Is(err, mmap.ErrNotRegular) {
		t.Errorf("folder: %v", err)
	}
}
