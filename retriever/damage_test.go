package retriever_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
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
