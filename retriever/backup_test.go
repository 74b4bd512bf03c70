package retriever_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"docent/chunker"
	"docent/retriever"
)

// putWithFile stores a text with its original.
func putWithFile(t *testing.T, s *retriever.Store, collection, path, text string) retriever.Document {
	t.Helper()
	sum, size, err := s.PutFile(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d, err := put(t.Context(), s, collection, retriever.Document{Path: path, Title: path, SHA256: sum, Bytes: size, Metadata: map[string]string{"k": "v"}}, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func filled(t *testing.T, at place) *retriever.Store {
	t.Helper()
	s := at.open(t, words)
	create(t, s, "house", "other")
	for i := range 20 {
		putWithFile(t, s, "house", fmt.Sprintf("%d.md", i), fmt.Sprintf("pump rule %d\nannual leave of %d days\n年假 %d 天\n", i, i%5, i))
	}
	putWithFile(t, s, "other", "a.md", "secret of the other collection\n")
	return s
}

// answers are the ten best of some questions, with what cannot differ between copies left out.
func answers(t *testing.T, s *retriever.Store, collection string) []string {
	t.Helper()
	var all []string
	for _, q := range []string{"annual leave 3 days", "pump 7", "年假", "rule"} {
		for _, m := range modes {
			for _, h := range search(t, s, collection, q, retriever.WithMode(m)) {
				all = append(all, fmt.Sprintf("%s %s %s %d %.4f %q", q, m, h.Document.Path, h.Chunk.Start, h.Score, h.Chunk.Text))
			}
		}
	}
	return all
}

func checkFiles(t *testing.T, s *retriever.Store, collection string) {
	t.Helper()
	docs, err := s.Documents(context.Background(), collection)
	if err != nil || len(docs) == 0 {
		t.Fatalf("documents: %d, %v", len(docs), err)
	}
	for _, d := range docs {
		f, err := s.OpenFile(t.Context(), d.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(f)
		f.Close()
		content, err := s.Content(context.Background(), d.ID)
		if err != nil || content.Text != string(data) {
			t.Fatalf("%s: its file has %q, its text is %q, %v", d.Path, data, content.Text, err)
		}
	}
}

func TestBackup(t *testing.T) {
	s := filled(t, place{dir: t.TempDir()})
	if err := os.WriteFile(filepath.Join(s.Dir(), "config.yaml"), []byte("style: plain\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	m, err := retriever.Backup(t.Context(), s.Dir(), &buf, nil) // while it is open
	if err != nil || m.Documents != 21 {
		t.Fatalf("%+v, %v", m, err)
	}
	want := answers(t, s, "house")

	dir := filepath.Join(t.TempDir(), "new", "data")
	if _, err := retriever.Restore(t.Context(), bytes.NewReader(buf.Bytes()), int64(buf.Len()), dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := retriever.Restore(t.Context(), bytes.NewReader(buf.Bytes()), int64(buf.Len()), dir, nil); !errors.Is(err, retriever.ErrNotEmpty) {
		t.Errorf("restored over something: %v", err)
	}
	restored := open(t, dir, words)
	if diff := cmp.Diff(want, answers(t, restored, "house")); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	checkFiles(t, restored, "house")
	if data, err := os.ReadFile(filepath.Join(dir, "config.yaml")); string(data) != "style: plain\n" {
		t.Errorf("settings: %q, %v", data, err)
	}
	// Nothing is written where it is damaged.
	for _, at := range []int{100, buf.Len() / 2, buf.Len() - 40} {
		spoilt := bytes.Clone(buf.Bytes())
		spoilt[at] ^= 0x10
		dir := filepath.Join(t.TempDir(), "data")
		_, err := retriever.Restore(t.Context(), bytes.NewReader(spoilt), int64(len(spoilt)), dir, nil)
		if err == nil {
			continue // a bit of the zip's own that does not matter
		}
		if _, statErr := os.Stat(dir); !os.IsNotExist(statErr) {
			t.Errorf("a damaged backup left something: %v", err)
		}
	}
	for name, data := range map[string][]byte{"cut": buf.Bytes()[:buf.Len()-10], "empty": nil, "no zip": []byte("hello")} {
		_, err := retriever.Restore(t.Context(), bytes.NewReader(data), int64(len(data)), filepath.Join(t.TempDir(), "x"), nil)
		if !errors.Is(err, retriever.ErrNotBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A backup made while documents come and go holds all that was acknowledged before it began.
func TestBackupWhileWriting(t *testing.T) {
	s := filled(t, place{dir: t.TempDir()})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			text := fmt.Sprintf("passing %d\n", i)
			sum, size, err := s.PutFile(context.Background(), strings.NewReader(text))
			if err != nil {
				t.Error(err)
				return
			}
			d, err := put(context.Background(), s, "other", retriever.Document{Path: "passing", SHA256: sum, Bytes: size}, text)
			if err == nil && i%3 == 0 {
				err = s.DeleteDocument(context.Background(), d.ID)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 5 {
		var buf bytes.Buffer
		if _, err := retriever.Backup(t.Context(), s.Dir(), &buf, nil); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := retriever.Restore(t.Context(), bytes.NewReader(buf.Bytes()), int64(buf.Len()), dir, nil); err != nil {
			t.Fatal(err)
		}
		restored := open(t, dir, words)
		checkFiles(t, restored, "house")
		checkFiles(t, restored, "other")
		restored.Close()
	}
	close(stop)
	<-done
}

func TestExport(t *testing.T) { eachStore(t, testExport) }

func testExport(t *testing.T, at place) {
	s := filled(t, at)
	var buf bytes.Buffer
	m, err := s.Export(t.Context(), "house", &buf, nil)
	if err != nil || m.Documents != 20 || m.Encoder != words.Fingerprint() {
		t.Fatalf("%+v, %v", m, err)
	}
	if bytes.Contains(buf.Bytes(), []byte("secret of the other")) {
		t.Error("the file holds another collection's text")
	}
	want := answers(t, s, "house")

	// Elsewhere, where nothing can embed a document.
	calls := words
	other := at.another(t).open(t, countingEncoder{calls, t})
	create(t, other, "full")
	for _, name := range []string{"", "again"} {
		c, err := other.Import(t.Context(), bytes.NewReader(buf.Bytes()), int64(buf.Len()), name, nil)
		if err != nil || c.Documents != 20 {
			t.Fatalf("%+v, %v", c, err)
		}
		if diff := cmp.Diff(want, answers(t, other, c.Name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name, diff)
		}
		checkFiles(t, other, c.Name)
	}
	if _, err := other.Import(t.Context(), bytes.NewReader(buf.Bytes()), int64(buf.Len()), "", nil); !errors.Is(err, retriever.ErrExists) {
		t.Errorf("imported twice under one name: %v", err)
	}
	d, err := other.DocumentByPath(t.Context(), "again", "3.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteDocument(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	checkFiles(t, other, "house") // the other collection's document of the same bytes keeps its file

	kb, err := retriever.OpenExported(t.Context(), fstest.MapFS{"house.kb": {Data: buf.Bytes()}}, "house.kb", retriever.Config{Encoder: words})
	if err != nil {
		t.Fatal(err)
	}
	defer kb.Close()
	// Weaviate counts the words of a passage otherwise, so its scores by words are others.
	if diff := cmp.Diff(want, answers(t, kb, "house")); diff != "" && !at.weaviate() {
		t.Errorf("read-only (-want +got):\n%s", diff)
	}
	checkFiles(t, kb, "house")
	_, _, errFile := kb.PutFile(t.Context(), strings.NewReader("x"))
	_, errPut := kb.Put(t.Context(), "house", retriever.Document{Path: "x"}, chunker.Document{}, nil, nil)
	_, errCreate := kb.CreateCollection(t.Context(), "x")
	_, errReindex := kb.Reindex(t.Context(), "house", nil)
	docs, _ := kb.Documents(t.Context(), "house")
	for _, err := range []error{errFile, errPut, errCreate, errReindex, kb.DeleteDocument(t.Context(), docs[0].ID), kb.DeleteCollection(t.Context(), "house")} {
		if !errors.Is(err, retriever.ErrReadOnly) {
			t.Errorf("a change of a read-only store: %v", err)
		}
	}
	dir := kb.Dir()
	if err := kb.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind", dir)
	}
	if _, err := other.Import(t.Context(), bytes.NewReader(buf.Bytes()[:buf.Len()/2]), int64(buf.Len()/2), "x", nil); !errors.Is(err, retriever.ErrNotBundle) {
		t.Errorf("half a file: %v", err)
	}
}

// countingEncoder fails the test when it is to embed documents.
type countingEncoder struct {
	wordEncoder
	t *testing.T
}

func (e countingEncoder) EmbedDocuments(context.Context, []string) ([][]float32, error) {
	e.t.Error("documents are embedded")
	return nil, errors.New("not to be called")
}
