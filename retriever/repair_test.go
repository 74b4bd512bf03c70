package retriever_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docent/retriever"
)

func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func repairDir(t *testing.T, dir string) string {
	t.Helper()
	done, err := retriever.RepairDir(t.Context(), dir, nil)
	if err != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	var said strings.Builder
	for _, r := range done {
		if r.What == "" || r.Done == "" {
			t.Errorf("half told: %+v", r)
		}
		said.WriteString(r.What + ": " + r.Done + "\n")
	}
	return said.String()
}

func TestRepairDir(t *testing.T) {
	cut := func(t *testing.T, path string, size int64) {
		t.Helper()
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, record string)
		opens  bool   // without repair: what is damaged is found by the doctor only
		says   string // by the repair
		left   int    // documents
		kept   string // a file kept aside
	}{
		{"nothing", func(*testing.T, string) {}, true, "", 4, ""},
		{"an index lacks rows", func(t *testing.T, record string) {
			execute(t, record, `PRAGMA writable_schema = 1`, `CREATE TABLE saved AS SELECT * FROM sqlite_schema WHERE name = 'jobs_sha256'`, `DELETE FROM sqlite_schema WHERE name = 'jobs_sha256'`)
			execute(t, record, `DELETE FROM jobs WHERE state = 'failed'`, `PRAGMA writable_schema = 1`, `INSERT INTO sqlite_schema SELECT * FROM saved`, `DROP TABLE saved`)
		}, false, "made anew from their tables", 4, ""},
		{"an index is missing", func(t *testing.T, record string) { execute(t, record, `DROP INDEX chunks_hash`) }, false, "index chunks_hash", 4, "docent.db"},
		{"a table is missing", func(t *testing.T, record string) { execute(t, record, `DROP TABLE signature_bands`) }, false, "table signature_bands", 4, "docent.db"},
		{"a column has another name", func(t *testing.T, record string) {
			execute(t, record, `ALTER TABLE chunks RENAME headings TO headingz`)
		}, false, "table chunks", 4, "docent.db"},
		{"a document is lost", func(t *testing.T, record string) {
			execute(t, record, `PRAGMA foreign_keys = 0`, `DELETE FROM documents WHERE path = 'pumps.txt'`)
		}, true, "1 documents have lost their name", 3, "files"},
		{"a collection is lost", func(t *testing.T, record string) {
			execute(t, record, `PRAGMA foreign_keys = 0`, `DELETE FROM collections WHERE name = 'handbook'`)
		}, true, `in the collection "recovered 1"`, 4, ""},
		{"metadata is no JSON", func(t *testing.T, record string) {
			execute(t, record, `UPDATE documents SET metadata = '{"author":' WHERE path = 'leave.md'`)
		}, true, "its metadata", 4, ""},
		{"it is empty", func(t *testing.T, record string) { cut(t, record, 0) }, false, "it is empty", 0, "files"},
		{"it is gone", func(t *testing.T, record string) {
			if err := os.Remove(record); err != nil {
				t.Fatal(err)
			}
		}, false, "it is gone", 0, "files"},
		{"it is cut within its first page", func(t *testing.T, record string) { cut(t, record, 1000) }, false, "damaged", 0, "docent.db"},
		{"it is no database", func(t *testing.T, record string) {
			if err := os.WriteFile(record, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false, "damaged", 0, "docent.db"},
		{"its first line is damaged", func(t *testing.T, record string) { flip(t, record, 3, 1) }, false, "documents 4", 4, "docent.db"},
		{"it forbids to write", func(t *testing.T, record string) { flip(t, record, 18, 64) }, false, "documents 4", 4, "docent.db"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, dir := t.Context(), unpackStore(t, "schema-07")
			record := filepath.Join(dir, "docent.db")
			tc.damage(t, record)
			if !tc.opens {
				s, err := retriever.Open(ctx, retriever.Config{Dir: dir})
				if err == nil {
					s.Close()
				}
				if err == nil || !strings.Contains(err.Error(), record) {
					t.Fatalf("it is opened: %v, want an error that names %s", err, record)
				}
			}
			said := repairDir(t, dir)
			if tc.says == "" && said != "" || !strings.Contains(said, tc.says) {
				t.Errorf("it says %q, want %q in it", said, tc.says)
			}
			kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*"))
			if tc.kept == "" && len(kept) > 0 {
				t.Errorf("%q was made", kept)
			}
			if tc.kept != "" {
				if len(kept) != 1 {
					t.Fatalf("%q was made", kept)
				}
				if _, err := os.Stat(filepath.Join(kept[0], tc.kept)); err != nil {
					t.Error(err)
				}
			}
			s := open(t, dir, nil)
			defer s.Close()
			total := 0
			all, err := s.Collections(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				docs, err := s.Documents(ctx, c.Name)
				if err != nil {
					t.Fatal(err)
				}
				total += len(docs)
			}
			if total != tc.left {
				t.Errorf("%d documents are left, want %d", total, tc.left)
			}
			s.Close()
			if again := repairDir(t, dir); again != "" {
				t.Errorf("a second repair says %q", again)
			}
		})
	}
}

// flip changes bits of one byte of a file.
func flip(t *testing.T, path string, at int64, bits byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= bits
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// Transactions that a damaged write-ahead log has lost are not dropped in silence.
func TestRepairLog(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	for _, path := range []string{"1", "2", "3"} {
		sum, _, err := s.PutFile(ctx, strings.NewReader("original of "+path))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := put(ctx, s, "c", retriever.Document{Path: path, SHA256: sum}, "text of "+path); err != nil {
			t.Fatal(err)
		}
	}
	killed := t.TempDir() // what is on the disk were the process killed now
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	log := filepath.Join(killed, "docent.db-wal")
	info, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, log, info.Size()/2, 16)
	if _, err := retriever.Open(ctx, retriever.Config{Dir: killed}); !errors.Is(err, retriever.ErrCorrupt) || !strings.Contains(err.Error(), log) {
		t.Fatalf("got %v, want ErrCorrupt and the name of the log", err)
	}
	if said := repairDir(t, killed); !strings.Contains(said, "transactions after the damage are lost") {
		t.Errorf("it says %q", said)
	}
	s = open(t, killed, words)
	defer s.Close()
	found := map[string]bool{}
	all, err := s.Collections(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		docs, err := s.Documents(ctx, c.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			found[d.SHA256] = true
		}
	}
	kept, _ := filepath.Glob(filepath.Join(killed, "damaged-*", "files", "*"))
	if len(found) == 3 || len(found)+len(kept) != 3 {
		t.Errorf("%d documents are left and %d originals kept, of 3", len(found), len(kept))
	}
	// Ids that what is lost may have had are not given out again.
	if len(all) == 0 {
		create(t, s, "c")
	}
	d := mustPut(t, s, "c", "new", "new words")
	if chunks, err := s.Catalog().Chunks(ctx, d.ID); err != nil || len(chunks) != 1 || chunks[0].ID < 1<<20 {
		t.Errorf("the next chunk is %+v, %v", chunks, err)
	}
}

// Whichever page of the record is destroyed, repair ends with a record that opens, holds nothing that was not
// there, and keeps the damaged file.
func TestRepairEachPage(t *testing.T) {
	ctx := t.Context()
	whole := unpackStore(t, "schema-07")
	repairDir(t, whole)
	data, err := os.ReadFile(filepath.Join(whole, "docent.db"))
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{"leave.md": true, "pumps.txt": true, "returns-zh.md": true, "copy-of-leave.md": true}
	lost := 0
	for page := range len(data) / 4096 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		spoilt := bytes.Clone(data)
		for i := range 4096 {
			spoilt[4096*page+i] ^= 0xa5
		}
		if err := os.WriteFile(filepath.Join(dir, "docent.db"), spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		repairDir(t, dir)
		s, err := retriever.Open(ctx, retriever.Config{Dir: dir})
		if err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
		all, err := s.Collections(ctx)
		if err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
		n := 0
		for _, c := range all {
			docs, err := s.Documents(ctx, c.Name)
			if err != nil {
				t.Fatalf("page %d: %v", page, err)
			}
			for _, d := range docs {
				if n++; !paths[d.Path] {
					t.Errorf("page %d: a document %q", page, d.Path)
				}
			}
			if _, err := s.Verify(ctx, c.Name); err != nil {
				t.Errorf("page %d: %v", page, err)
			}
		}
		if n < 4 {
			lost++
			if kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*", "docent.db")); len(kept) != 1 {
				t.Errorf("page %d: %d documents are left and the damaged file is not kept", page, n)
			}
		}
		s.Close()
	}
	t.Logf("%d pages, of which %d cost documents", len(data)/4096, lost)
	if lost > 2 { // the schema's, and the documents'
		t.Errorf("%d pages cost documents", lost)
	}
}

// A saved index that is damaged, wherever, is left aside, and made anew.
func TestRepairSavedIndex(t *testing.T) {
	defer retriever.MergeEarly(8)()
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	search(t, s, "c", "x")
	storeLines(t, s, 0, 12)
	path := s.SavedPath("c")
	s.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The table of package sections, before 24 bytes that begin with its size.
	var names []struct {
		Name         string
		Offset, Size int64
	}
	end := len(data) - 24
	if err := json.Unmarshal(data[end-int(binary.LittleEndian.Uint64(data[end:])):end], &names); err != nil {
		t.Fatal(err)
	}
	if len(names) < 5 {
		t.Fatalf("sections %v", names)
	}
	spoil := func(name string, spoilt []byte) {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir, words)
			defer s.Close()
			if v, err := s.Verify(ctx, "c"); err != nil || len(v.Problems) > 0 || v.Chunks != 48 {
				t.Fatalf("%+v, %v", v, err)
			}
			checkFilled(t, s, all, 12)
			s.WaitForMerges()
			made, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) || bytes.Equal(made, spoilt) {
				t.Errorf("the damaged file is there still, %v", err)
			}
		})
	}
	for _, section := range names {
		if section.Size == 0 {
			continue
		}
		for _, at := range []int64{0, section.Size / 2, section.Size - 1} {
			spoilt := bytes.Clone(data)
			spoilt[section.Offset+at] ^= 2
			spoil(section.Name, spoilt)
		}
		spoil("cut at "+section.Name, data[:section.Offset])
	}
	spoil("the table", append(bytes.Clone(data[:len(data)-40]), make([]byte, 40)...))
}

// An index that is whole but of other words than the record's is told, and made anew when it is discarded.
func TestDiscardIndex(t *testing.T) {
	defer retriever.MergeEarly(8)()
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	search(t, s, "c", "x")
	storeLines(t, s, 0, 12)
	s.Close()
	text := "wings of engines\n"
	hash := sha256.Sum256([]byte(text))
	db, err := sql.Open("sqlite", filepath.Join(dir, "docent.db"))
	if err != nil {
		t.Fatal(err)
	}
	// A row without a checksum gets one when a database of an earlier schema is opened.
	if _, err := db.Exec(`UPDATE chunks SET text = ?, hash = ?, sum = 0 WHERE id = 2; PRAGMA user_version = 0`, text, hash[:]); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s = open(t, dir, words)
	defer s.Close()
	v, err := s.Verify(ctx, "c")
	if err != nil || !v.Index || !strings.Contains(fmt.Sprint(v.Problems), "other words") {
		t.Fatalf("%+v, %v", v, err)
	}
	if err := s.DiscardIndex(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if v, err = s.Verify(ctx, "c"); err != nil || v.Index {
		t.Errorf("after it was discarded: %+v, %v", v.Problems, err)
	}
	if hits := search(t, s, "c", "wings", retriever.WithMode(retriever.Keyword)); len(hits) != 1 || hits[0].Chunk.Text != text {
		t.Errorf("found %+v", hits)
	}
	if err := s.DiscardIndex(ctx, "none"); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("no collection: %v", err)
	}
}

// What was half written when a process ended is gone after the next start, and nothing else.
func TestHalfWritten(t *testing.T) {
	dir := unpackStore(t, "schema-07")
	open(t, dir, nil).Close() // makes the folders
	var half []string
	for _, name := range []string{"docent.db.part", "docent.db.part-wal", "files/incoming-123", "index/0123.index.new-456", "earlier/record-v0001-20260101T000000Z.db.part"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		half = append(half, path)
	}
	s := open(t, dir, nil)
	defer s.Close()
	for _, path := range half {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	if v, err := s.Verify(t.Context(), "handbook"); err != nil || len(v.Problems) > 0 {
		t.Errorf("%+v, %v", v.Problems, err)
	}
}
