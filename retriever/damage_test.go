package retriever_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/retriever"
)

// A letter of a title that is another is told when the store is opened, by a backup, and by an export, which is
// refused; and put right by a repair.
func TestDamagedTitle(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	if _, err := put(ctx, s, "c", retriever.Document{Path: "leave.md", Title: "Leave", Metadata: map[string]string{"team": "people"}}, "salary and leave\n"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	execute(t, filepath.Join(dir, "docent.db"), `UPDATE documents SET title = 'Lease'`)

	var log bytes.Buffer
	s, err := retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: words, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if said := log.String(); !strings.Contains(said, "leave.md") || !strings.Contains(said, "docent doctor --repair") {
		t.Errorf("opening says %q", said)
	}
	if _, err := s.Export(ctx, "c", io.Discard, nil); !errors.Is(err, retriever.ErrCorrupt) || !strings.Contains(err.Error(), "leave.md") {
		t.Errorf("export: %v", err)
	}
	s.Close()
	m, err := retriever.Backup(ctx, dir, io.Discard, nil)
	if err != nil || len(m.Damaged) != 1 || !strings.Contains(m.Damaged[0], "leave.md") {
		t.Errorf("backup: %+v, %v", m.Damaged, err)
	}
	if said := repairDir(t, dir); !strings.Contains(said, "a byte of its title") {
		t.Errorf("repair says %q", said)
	}
	log.Reset()
	if s, err = retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: words, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	docs, err := s.Documents(ctx, "c")
	if err != nil || len(docs) != 1 || docs[0].Title != "Leave" || log.Len() > 0 {
		t.Errorf("after the repair: %+v, %v, %q", docs, err, log.String())
	}
	if m, err = retriever.Backup(ctx, dir, io.Discard, nil); err != nil || len(m.Damaged) > 0 {
		t.Errorf("backup after the repair: %+v, %v", m.Damaged, err)
	}
}

// Of a large record, which is not read as a whole when it is opened, nothing damaged is shown, the damage is told beside
// its use, and put right by a repair.
func TestDamageOfLargeRecord(t *testing.T) {
	defer retriever.ReadAtOpen(0)()
	defer retriever.MergeEarly(2)()
	const text = "salary and leave\nsalary of others\n"
	for _, tc := range []struct {
		name, change, says string
		shown              []string // texts of a search for "salary"
	}{
		{"nothing", ``, "", []string{"salary and leave", "salary of others"}},
		{"text of a passage", `UPDATE chunks SET text = replace(text, 'salary', 'selary') WHERE text LIKE 'salary and%'`, `a passage, or the vector of one, of document "leave.md"`, []string{"salary of others"}},
		{"place of a passage", `UPDATE chunks SET last_page = 7 WHERE text LIKE 'salary and%'`, `a passage, or the vector of one, of document "leave.md"`, []string{"salary of others"}},
		{"type of a place", `PRAGMA ignore_check_constraints = 1; UPDATE chunks SET headings = '[' WHERE text LIKE 'salary and%'`, `a passage, or the vector of one, of document "leave.md"`, []string{"salary of others"}},
		{"title", `UPDATE documents SET title = 'Lease' WHERE path = 'leave.md'`, `what is known of document "leave.md"`, nil},
		{"original", "", `the original of "leave.md" is damaged`, []string{"salary and leave", "salary of others"}},
		{"text of the document", `UPDATE contents SET text = replace(text, 'leave', 'lease') WHERE document_id = (SELECT id FROM documents WHERE path = 'leave.md')`, `the text of document "leave.md"`, []string{"salary and leave", "salary of others"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, dir := t.Context(), t.TempDir()
			s := open(t, dir, words)
			create(t, s, "c")
			sum, _, err := s.PutFile(ctx, strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := put(ctx, s, "c", retriever.Document{Path: "leave.md", Title: "Leave", SHA256: sum}, text)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 9 {
				mustPut(t, s, "c", fmt.Sprint("other", i), "a pump is serviced\n")
			}
			search(t, s, "c", "salary")
			s.WaitForMerges()
			s.Close()
			if tc.change != "" {
				execute(t, filepath.Join(dir, "docent.db"), tc.change)
			}
			if tc.name == "original" {
				if err := os.WriteFile(filepath.Join(dir, "files", sum[:2], sum), []byte("salary"), 0o600); err != nil {
					t.Fatal(err)
				}
			}

			s = open(t, dir, words)
			for _, opts := range [][]retriever.SearchOption{{}, {retriever.Neighbours(1)}, {retriever.Diversity(.3)}} {
				var shown []string
				for _, h := range search(t, s, "c", "salary", append(opts, retriever.WithMode(retriever.Keyword))...) {
					for line := range strings.Lines(h.Chunk.Text) {
						shown = append(shown, strings.TrimSpace(line))
					}
				}
				slices.Sort(shown)
				if !slices.Equal(shown, tc.shown) {
					t.Errorf("it shows %q, want %q", shown, tc.shown)
				}
			}
			content, err := s.Content(ctx, doc.ID)
			if strings.HasPrefix(tc.name, "text of the doc") != errors.Is(err, retriever.ErrCorrupt) || err == nil && content.Text != text {
				t.Errorf("its text is %q, %v", content.Text, err)
			}
			s.WaitForDamage()
			d := s.Damage()
			if !d.Done || (tc.says == "") != (len(d.Found) == 0) || tc.says != "" && (len(d.Found) != 1 || !strings.HasPrefix(d.Found[0], tc.says)) {
				t.Errorf("it tells of %+v", d)
			}
			s.Close()
			if tc.change == "" || strings.HasPrefix(tc.name, "type") {
				return // RepairDir does not mend it
			}
			if said := repairDir(t, dir); !strings.Contains(said, "put right") {
				t.Errorf("repair says %q", said)
			}
			s = open(t, dir, words)
			s.WaitForDamage()
			if hits := search(t, s, "c", "salary", retriever.WithMode(retriever.Keyword)); len(hits) != 2 || hits[0].Document.Title != "Leave" || len(s.Damage().Found) > 0 {
				t.Errorf("after the repair: %d hits, %+v", len(hits), s.Damage())
			}
		})
	}
}
