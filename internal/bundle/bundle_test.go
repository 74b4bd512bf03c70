package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"docent/internal/bundle"
)

func written(t testing.TB, entries map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := bundle.NewWriter(context.Background(), &buf, bundle.Manifest{Kind: bundle.Backup, Documents: 3}, nil)
	for name, text := range entries {
		if err := w.Add(name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestRoundTrip(t *testing.T) {
	entries := map[string]string{"a": "", "b/c.txt": "text", "b/d": strings.Repeat("x", 1<<20)}
	data := written(t, entries)
	r, err := bundle.NewReader(bytes.NewReader(data), int64(len(data)), bundle.Backup)
	if err != nil {
		t.Fatal(err)
	}
	if r.Manifest.Documents != 3 || len(r.Manifest.Entries) != 3 {
		t.Errorf("%+v", r.Manifest)
	}
	for name, want := range entries {
		f, err := r.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		f.Close()
	}
	if _, err := r.Open("../a"); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("an entry that is not there: %v", err)
	}
	if _, err := bundle.NewReader(bytes.NewReader(data), int64(len(data)), bundle.Collection); !errors.Is(err, bundle.ErrNotBundle) {
		t.Errorf("another kind: %v", err)
	}
}

// No flipped bit reads as the text it was not.
func TestDamage(t *testing.T) {
	data := written(t, map[string]string{"a": "text"})
	for i := range len(data) * 8 {
		spoilt := bytes.Clone(data)
		spoilt[i/8] ^= 1 << (i % 8)
		r, err := bundle.NewReader(bytes.NewReader(spoilt), int64(len(spoilt)), bundle.Backup)
		if err != nil {
			continue
		}
		f, err := r.Open("a")
		if err != nil {
			continue
		}
		if got, err := io.ReadAll(f); err == nil && string(got) != "text" {
			t.Errorf("bit %d: read %q", i, got)
		}
		f.Close()
	}
}

func TestNames(t *testing.T) {
	w := bundle.NewWriter(context.Background(), io.Discard, bundle.Manifest{Kind: bundle.Backup}, nil)
	for _, name := range []string{"", "/a", "../a", "a/../b", "manifest.json"} {
		if err := w.Add(name, strings.NewReader("")); err == nil {
			t.Errorf("an entry %q is written", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w = bundle.NewWriter(ctx, io.Discard, bundle.Manifest{Kind: bundle.Backup}, nil)
	if err := w.Add("a", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(written(f, map[string]string{"a": "text"}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := bundle.NewReader(bytes.NewReader(data), int64(len(data)), bundle.Backup)
		if err != nil {
			return
		}
		for _, e := range r.Manifest.Entries {
			if f, err := r.Open(e.Name); err == nil {
				n, _ := io.Copy(io.Discard, f)
				if n > e.Size+1 {
					t.Fatalf("%d bytes of an entry of %d", n, e.Size)
				}
				f.Close()
			}
		}
	})
}
