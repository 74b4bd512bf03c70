package sections_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"docent/internal/sections"
)

func write(t testing.TB, w *sections.Writer, numbers []uint32, text string) {
	t.Helper()
	if err := sections.Write(w, "numbers", numbers); err != nil {
		t.Fatal(err)
	}
	if err := w.Begin("text"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []byte(text) {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sections.Write[float32](w, "none", nil); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, f *sections.File, numbers []uint32, text string) {
	t.Helper()
	got, err := sections.Array[uint32](f, "numbers")
	if err != nil || !slices.Equal(got, numbers) {
		t.Errorf("numbers: %d values, %v, want %d", len(got), err, len(numbers))
	}
	b, err := f.Bytes("text")
	if err != nil || string(b) != text {
		t.Errorf("text: %q, %v, want %q", b, err, text)
	}
	if none, err := sections.Array[float32](f, "none"); err != nil || len(none) != 0 {
		t.Errorf("none: %v, %v", none, err)
	}
	if _, err := f.Bytes("other"); !errors.Is(err, sections.ErrDamaged) {
		t.Errorf("a section that is missing: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	numbers := make([]uint32, 66<<20/4+3) // of several pieces, so that checksums are joined
	for i := range numbers {
		numbers[i] = rand.Uint32()
	}
	for _, numbers := range [][]uint32{nil, {1, 2, 3}, numbers} {
		path := filepath.Join(t.TempDir(), "f")
		w, err := sections.Create(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, w, numbers, "some text")
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatal("the file is there before Commit")
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		w.Discard()
		f, err := sections.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		check(t, f, numbers, "some text")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}

		m := sections.InMemory(context.Background())
		write(t, m, numbers, "some text")
		if f, err = m.File(); err != nil {
			t.Fatal(err)
		}
		check(t, f, numbers, "some text")
	}
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	w, err := sections.Create(context.Background(), filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, []uint32{1}, "x")
	w.Discard()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// Every flipped bit of what matters and every cut is found.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	w, err := sections.Create(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, []uint32{1, 2, 3, 4}, "text")
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := func(data []byte) error {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := sections.Open(path)
		if err == nil {
			defer f.Close()
			b, _ := f.Bytes("text")
			n, _ := sections.Array[uint32](f, "numbers")
			if string(b) != "text" || !slices.Equal(n, []uint32{1, 2, 3, 4}) {
				t.Errorf("damage was not found: %q, %v", b, n)
			}
		}
		return err
	}
	if err := open(whole); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if err := open(whole[:n]); !errors.Is(err, sections.ErrDamaged) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for i := range len(whole) * 8 {
		flipped := bytes.Clone(whole)
		flipped[i/8] ^= 1 << (i % 8)
		_ = open(flipped) // the padding between sections may be anything
	}
}

func FuzzOpen(f *testing.F) {
	w := sections.InMemory(context.Background())
	write(f, w, []uint32{1, 2}, "text")
	path := filepath.Join(f.TempDir(), "f")
	c, err := sections.Create(context.Background(), path)
	if err != nil {
		f.Fatal(err)
	}
	write(f, c, []uint32{1, 2}, "text")
	if err := c.Commit(); err != nil {
		f.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	f.Add(whole)
	f.Add([]byte("docsects"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := sections.Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		for _, name := range []string{"text", "numbers"} {
			b, err := file.Bytes(name)
			if err == nil {
				crc32.ChecksumIEEE(b)
			}
		}
	})
}
