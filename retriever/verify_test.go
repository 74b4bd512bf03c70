package retriever_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docent/chunker"
	"docent/retriever"
)

// letters makes unit vectors of two dimensions.
type letters struct{}

func (letters) Fingerprint() string { return "letters" }
func (letters) Dim() int            { return 2 }
func (letters) Languages() []string { return nil }
func (letters) EmbedQuery(context.Context, string) ([]float32, error) {
	return []float32{1, 0}, nil
}

func (letters) EmbedDocuments(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = []float32{1, float32(len(text))}
	}
	return out, nil
}

func TestVerify(t *testing.T) {
	for _, tc := range []struct {
		name, change string // SQL, by somebody else than docent
		says         string
	}{
		{name: "nothing is wrong"},
		{"a chunk is gone", `DELETE FROM chunks WHERE id = 2`, "should have 3 chunks, but has 2"},
		{"the text is gone", `DELETE FROM contents`, "its text is missing"},
		{"a chunk has other words", `UPDATE chunks SET text = 'other words' WHERE id = 2`, "checksum"},
		{"a chunk lies outside", `UPDATE chunks SET end_byte = 100000 WHERE id = 3`, "outside its text"},
		{"numbers are missing", `UPDATE chunks SET ordinal = 7 WHERE id = 3`, "not numbered through"},
		{"a vector is another", `UPDATE chunks SET vector = x'0000803f00000000' WHERE id = 1`, "does not match its checksum"},
		{"a title is another", `UPDATE documents SET title = 'other'`, "what is known of document"},
		{"metadata is other", `UPDATE documents SET metadata = '{"team":"x"}'`, "what is known of document"},
		{"a place in the text is another", `UPDATE chunks SET last_page = 7 WHERE id = 2`, "does not match its checksum"},
		{"a structure is another", `UPDATE contents SET structure = '{}'`, "the text of document"},
		{"a vector is short", `UPDATE chunks SET vector = x'00000000' WHERE id = 1`, "does not match its checksum"},
		{"a vector is long", `UPDATE chunks SET vector = x'0000004000000040' WHERE id = 1`, "does not match its checksum"},
		{"a file is damaged", "", "do not have its checksum"},
		{"a file is gone", "", "is gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := t.Context()
			dir := t.TempDir()
			open := func() *retriever.Store {
				s, err := retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: letters{}})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := open()
			if _, err := s.CreateCollection(ctx, "c"); err != nil {
				t.Fatal(err)
			}
			sum, _, err := s.PutFile(ctx, strings.NewReader("one two three"))
			if err != nil {
				t.Fatal(err)
			}
			chunks := []chunker.Chunk{{Text: "one", End: 3}, {Text: "two", Start: 4, End: 7}, {Text: "three", Start: 8, End: 13}}
			vectors, err := s.Vectors(ctx, "c", chunks, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Put(ctx, "c", retriever.Document{Path: "a.txt", SHA256: sum}, chunker.Document{Text: "one two three"}, chunks, vectors, retriever.Notes{}); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if tc.change != "" {
				db, err := sql.Open("sqlite", filepath.Join(dir, "docent.db"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.Exec(tc.change); err != nil {
					t.Fatal(err)
				}
				db.Close()
			}
			switch original := filepath.Join(dir, "files", sum[:2], sum); tc.name {
			case "a file is damaged":
				err = os.WriteFile(original, []byte("four"), 0o600)
			case "a file is gone":
				err = os.Remove(original)
			}
			if err != nil {
				t.Fatal(err)
			}
			s = open()
			defer s.Close()
			v, err := s.Verify(ctx, "c")
			if err != nil {
				t.Fatal(err)
			}
			if tc.says == "" {
				if len(v.Problems) > 0 || v.Documents != 1 || v.Chunks != 3 || v.Vectors != 3 || v.Files != 1 {
					t.Errorf("%+v", v)
				}
				return
			}
			said := ""
			for _, p := range v.Problems {
				if said += p.What + "\n"; p.Fix == "" {
					t.Errorf("no fix for %q", p.What)
				}
			}
			if !strings.Contains(said, tc.says) {
				t.Errorf("problems %q, want one that says %q", said, tc.says)
			}
		})
	}
	s, err := retriever.Open(t.Context(), retriever.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Verify(t.Context(), "nope"); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
