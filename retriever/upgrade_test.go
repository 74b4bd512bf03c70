package retriever_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docent/embed"
	"docent/internal/catalog"
	"docent/internal/pgtest"
	"docent/retriever"
)

// unpackStore returns a data directory of an earlier release, of testdata/stores.
func unpackStore(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "stores", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(to, 0o700)
		} else {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, data, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func earlierCopies(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "earlier", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStoresOfEarlierReleases(t *testing.T) {
	for _, version := range []int{1, 7, 10} {
		t.Run(fmt.Sprintf("schema %d", version), func(t *testing.T) {
			dir := unpackStore(t, fmt.Sprintf("schema-%02d", version))
			s := checkEarlier(t, place{dir: dir})
			for _, copied := range earlierCopies(t, dir) {
				if !strings.HasPrefix(filepath.Base(copied), fmt.Sprintf("record-v%04d-", version)) {
					t.Errorf("the copy is named %s", copied)
				}
			}
			if _, err := put(t.Context(), s, "empty", retriever.Document{Path: "new.txt"}, "a new document"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A database that an earlier release has filled opens, is copied to a schema of its own and migrated, and what it was
// searched by is made anew.
func TestPostgresOfEarlierRelease(t *testing.T) {
	at := place{dir: t.TempDir(), address: pgtest.Database(t)}
	db := loadDump(t, at.address, "postgres-03")
	defer db.Close()
	one := func(statement string) (n int) {
		t.Helper()
		if err := db.QueryRow(statement).Scan(&n); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		return n
	}
	if n := one(`SELECT max(version_id) FROM goose_db_version`); n != 3 {
		t.Fatalf("the dump is of schema %d", n)
	}
	had := one(`SELECT count(*) FROM chunks`)
	s := checkEarlier(t, at)
	if _, err := put(t.Context(), s, "empty", retriever.Document{Path: "new.txt"}, "a new document"); err != nil {
		t.Error(err)
	}
	if n := one(`SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'docent\_copy\_v0003\_%'`); n != 1 {
		t.Errorf("%d copies of before", n)
	}
	if n := one(`SELECT max(version_id) FROM goose_db_version`); n <= 3 {
		t.Errorf("the schema is %d", n)
	}
	if n := one(`SELECT count(*) FROM chunks`); n != had+1 {
		t.Errorf("%d chunks, want %d and one more", n, had)
	}
	agrees(t, s, "handbook", had)
}

// loadDump fills an empty database with a dump of testdata/stores.
func loadDump(t *testing.T, address, name string) *sql.DB {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "stores", name+".sql.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	statements, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(0) // a dump sets its session's search_path
	if _, err := db.Exec(string(statements)); err != nil {
		t.Fatal(err)
	}
	return db
}

// checkEarlier opens a store as make-store.sh filled it, and looks for all that is in it.
func checkEarlier(t *testing.T, at place) *retriever.Store {
	t.Helper()
	ctx := t.Context()
	enc, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	s := at.open(t, enc)
	v, err := s.Verify(ctx, "handbook")
	if err != nil || len(v.Problems) > 0 || v.Documents != 4 || v.Files != 3 || v.Chunks == 0 || v.Vectors != v.Chunks {
		t.Fatalf("%+v, %v", v, err)
	}
	c, err := s.Collection(ctx, "handbook")
	if err != nil {
		t.Fatal(err)
	}
	if c.Encoder != enc.Fingerprint() {
		if _, err := s.Search(ctx, "handbook", "x", retriever.WithMode(retriever.Dense)); !errors.Is(err, retriever.ErrEncoderMismatch) {
			t.Errorf("a search with another encoder's vectors: %v", err)
		}
		if _, err := s.Reindex(ctx, "handbook", nil); err != nil {
			t.Fatal(err)
		}
	}
	for query, path := range map[string]string{"order code PX-4471": "pumps.txt", "退款": "returns-zh.md", "vacation days": "leave.md"} {
		hits := search(t, s, "handbook", query, retriever.TopK(1))
		if len(hits) != 1 || hits[0].Document.Path != path && (path != "leave.md" || hits[0].Document.Path != "copy-of-leave.md") {
			t.Errorf("%q finds %+v, want %s", query, hits, path)
		}
	}
	jobs, err := s.Catalog().Jobs(ctx, "handbook", 0)
	if err != nil || len(jobs) != 5 || jobs[0].Path != "broken.pdf" || jobs[0].State != catalog.Failed || jobs[4].State != catalog.Done {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
	talks, err := s.Catalog().Conversations(ctx, 10, 0)
	if err != nil || len(talks) != 1 {
		t.Fatalf("conversations %+v, %v", talks, err)
	}
	if said, err := s.Catalog().Messages(ctx, talks[0].ID); err != nil || len(said) != 2 {
		t.Errorf("messages %+v, %v", said, err)
	}
	return s
}

// A migration that fails leaves the file as the earlier release wrote it, and each attempt a copy, of which
// three are kept.
func TestFailedUpgrade(t *testing.T) {
	ctx, dir := t.Context(), unpackStore(t, "schema-01")
	record := filepath.Join(dir, "docent.db")
	change := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", record)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	change(`CREATE TABLE watches (other INTEGER)`) // in the way of migration 5, not of those before
	for range 2 {
		_, err := retriever.Open(ctx, retriever.Config{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "is as it was") || !strings.Contains(err.Error(), "record-v0001-") {
			t.Fatalf("got %v", err)
		}
	}
	db, err := sql.Open("sqlite", record)
	if err != nil {
		t.Fatal(err)
	}
	var version, jobs int
	if err := db.QueryRow(`SELECT (SELECT max(version_id) FROM goose_db_version), (SELECT count(*) FROM jobs WHERE attempts >= 0)`).Scan(&version, &jobs); err != nil || version != 1 || jobs != 5 {
		t.Errorf("schema %d, %d jobs, %v", version, jobs, err)
	}
	db.Close()
	change(`DROP TABLE watches`)
	for _, at := range []string{"20260101T000000Z", "20260102T000000Z", "20260103T000000Z"} {
		if err := os.WriteFile(filepath.Join(dir, "earlier", "record-v0001-"+at+".db"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, nil)
	s.Close()
	if kept := earlierCopies(t, dir); len(kept) > 3 {
		t.Errorf("%q are kept", kept)
	}
}

// A record of a later release is refused, and the error names the copy that this one can use.
func TestDowngrade(t *testing.T) {
	dir := unpackStore(t, "schema-01")
	s := open(t, dir, nil)
	s.Close()
	db, err := sql.Open("sqlite", filepath.Join(dir, "docent.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	_, err = retriever.Open(context.Background(), retriever.Config{Dir: dir})
	copies := earlierCopies(t, dir)
	if !errors.Is(err, retriever.ErrNewerSchema) || len(copies) != 1 || !strings.Contains(err.Error(), copies[0]) {
		t.Fatalf("got %v, copies %q", err, copies)
	}
	again := t.TempDir()
	data, err := os.ReadFile(copies[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(again, "docent.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, again, nil)
	defer s.Close()
	if docs, err := s.Documents(t.Context(), "handbook"); err != nil || len(docs) != 4 {
		t.Errorf("%d documents in the copy, %v", len(docs), err)
	}
}
