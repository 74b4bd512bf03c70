package catalog_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/internal/catalog"
)

// rows has one row for each table that has checksums.
var rows = []string{
	`INSERT INTO collections (id, name, encoder, dim, created_at, settings) VALUES (1, 'handbook', 'words@1', 2, 1764000000000000, '{"retrieval":{"hops":2}}')`,
	`INSERT INTO documents (id, collection_id, path, title, format, language, sha256, bytes, pages, chunks, metadata, warnings, added_at, updated_at) VALUES
		('0198c0de-0000-7000-8000-000000000001', 1, 'leave.md', 'Leave', 'markdown', 'en', 'abab', 30, 1, 1, '{"team":"people"}', '["one page has no text"]', 1764000000000001, 1764000000000002)`,
	`INSERT INTO contents VALUES ('0198c0de-0000-7000-8000-000000000001', 'Employees get 30 days of leave.', '{"Format":"markdown"}', 0)`,
	`INSERT INTO chunks (id, document_id, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector, read_start, read_end, labels) VALUES
		(5, '0198c0de-0000-7000-8000-000000000001', 0, 0, 30, 8, 1, 1, '["Leave"]', 'Handbook', 'Employees get 30 days of leave.', x'000102', x'9a99193fcdcc4c3f', 0, 31, '["Table 1"]')`,
	`INSERT INTO jobs (seq, id, collection, kind, path, name, options, sha256, bytes, state, stage, done, total, error, document_id, status, attempts, heartbeat, created_at, updated_at, claim, lease, asked) VALUES
		(9, '0198c0de-0000-7000-8000-000000000002', 'handbook', 'file', 'new.md', 'new', '{}', 'cdcd', 7, 'queued', 'parsing', 1, 2, 'none', 'a', 'b', 1, 3, 4, 5, 'c', 6, 'cancel')`,
	`INSERT INTO conversations (id, collection, title, created_at, updated_at) VALUES ('0198c0de-0000-7000-8000-000000000003', 'handbook', 'How much leave?', 1, 2)`,
	`INSERT INTO messages (seq, id, conversation_id, role, content, data, created_at) VALUES (3, '0198c0de-0000-7000-8000-000000000004', '0198c0de-0000-7000-8000-000000000003', 'user', 'How much leave?', '{}', 1)`,
	`INSERT INTO settings (key, value) VALUES ('theme', 'dark')`,
	`INSERT INTO spare_vectors (encoder, hash, vector, created_at) VALUES ('words@2', x'0a0b', x'0000803f', 1)`,
	`INSERT INTO reports (collection_id, path, report, updated_at) VALUES (1, 'leave.md', '{"pages":1}', 1)`,
	`INSERT INTO signatures (document_id, minhash) VALUES ('0198c0de-0000-7000-8000-000000000001', x'01020304')`,
	`INSERT INTO signature_bands (collection_id, band, document_id) VALUES (1, 77, '0198c0de-0000-7000-8000-000000000001')`,
	`INSERT INTO fetches (collection_id, url, path, sha256, etag, last_modified, fetched_at) VALUES (1, 'https://example.org/', 'https://example.org/', 'abab', 'e', 'm', 1)`,
	`INSERT INTO watches (id, collection_id, folder, include, exclude, created_at) VALUES ('0198c0de-0000-7000-8000-000000000005', 1, '/srv/docs', '["*.md"]', '["old/*"]', 1)`,
	`INSERT INTO search_classes (name, collection_id, format, encoder, dim, ready, swept) VALUES ('Docent_1', 1, '3', 'words@1', 2, 1, 5)`,
	`INSERT INTO search_outbox (id, class, remove, first_chunk, last_chunk) VALUES (2, 'Docent_1', 1, 5, 6)`,
	`INSERT INTO leases (name, owner, until) VALUES ('watch', 'me', 7)`,
}

// everyTable makes a database with a row in each table, closed, and one to damage it by.
func everyTable(t *testing.T) (path string, raw *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "docent.db")
	if err := must[*catalog.DB](t)(catalog.Open(t.Context(), path, nil)).Close(); err != nil {
		t.Fatal(err)
	}
	raw = must[*sql.DB](t)(sql.Open("sqlite", path))
	t.Cleanup(func() { raw.Close() })
	raw.SetMaxOpenConns(1)
	for _, statement := range slices.Concat([]string{`PRAGMA ignore_check_constraints = 1`}, rows, []string{`PRAGMA user_version = 0`}) {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return path, raw
}

// columns returns the tables of a database and the columns of each, but those that docent has not made.
func columns(t *testing.T, raw *sql.DB) (tables []string, of map[string][]string) {
	t.Helper()
	found := must[*sql.Rows](t)(raw.Query(`SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite_%' AND s.name <> 'goose_db_version' ORDER BY s.rowid, c.cid`))
	defer found.Close()
	of = make(map[string][]string)
	for found.Next() {
		var table, column string
		if err := found.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		if len(of[table]) == 0 {
			tables = append(tables, table)
		}
		of[table] = append(of[table], column)
	}
	return tables, of
}

// dump returns all rows, as text.
func dump(t *testing.T, raw *sql.DB) map[string]string {
	t.Helper()
	tables, of := columns(t, raw)
	all := make(map[string]string)
	for _, table := range tables {
		for _, c := range of[table] {
			var v string
			err := raw.QueryRow(fmt.Sprintf(`SELECT coalesce(group_concat(quote(%s)), '') FROM %s`, c, table)).Scan(&v)
			if err != nil {
				t.Fatal(err)
			}
			all[table+"."+c] = v
		}
	}
	return all
}

// spoil flips a bit of a column in the one row of a table, whatever the type of the column.
func spoil(t *testing.T, raw *sql.DB, table, column string, bit int) (undo func()) {
	t.Helper()
	var v any
	if err := raw.QueryRow(fmt.Sprintf(`SELECT %s FROM %s`, column, table)).Scan(&v); err != nil {
		t.Fatal(err)
	}
	set := func(as string, v any) {
		t.Helper()
		if _, err := raw.Exec(fmt.Sprintf(`UPDATE %s SET %s = %s`, table, column, as), v); err != nil {
			t.Fatalf("%s.%s: %v", table, column, err)
		}
	}
	switch was := v.(type) {
	case int64:
		set("?", was^1<<(bit%40))
	case string:
		b := []byte(was)
		if len(b) == 0 {
			b = []byte{0}
		}
		b[bit/8%len(b)] ^= 1 << (bit % 8)
		set("CAST(? AS TEXT)", b)
	case []byte:
		b := bytes.Clone(was)
		b[bit/8%len(b)] ^= 1 << (bit % 8)
		set("?", b)
	default:
		t.Fatalf("%s.%s is a %T", table, column, v)
	}
	return func() { t.Helper(); set("?", v) }
}

// A flipped bit of any column of any table is found, and told of the table.
func TestFlippedBits(t *testing.T) {
	path, raw := everyTable(t)
	db := open(t, path)
	tables, of := columns(t, raw)
	if len(tables) != len(rows) {
		t.Fatalf("tables %v, but %d rows", tables, len(rows))
	}
	whole := dump(t, raw)
	for _, table := range tables {
		if !slices.Contains(of[table], "sum") {
			t.Errorf("the rows of %s have no checksum", table)
		}
		for i, column := range of[table] {
			undo := spoil(t, raw, table, column, 17*i)
			damaged := must[[]catalog.DamagedRow](t)(db.DamagedRows(t.Context(), true))
			if len(damaged) != 1 || damaged[0].Table != table || damaged[0].What == "" {
				t.Errorf("%s.%s: found %+v", table, column, damaged)
			}
			if said := patrol(t, db); len(damaged) == 1 && (len(said) != 1 || !strings.HasPrefix(said[0], damaged[0].What)) {
				t.Errorf("%s.%s: the patrol says %q", table, column, said)
			}
			undo()
		}
	}
	if diff := cmp.Diff(whole, dump(t, raw)); diff != "" {
		t.Fatalf("the test does not put back what it damages:\n%s", diff)
	}
	if damaged := must[[]catalog.DamagedRow](t)(db.DamagedRows(t.Context(), true)); len(damaged) > 0 {
		t.Errorf("a whole database: %+v", damaged)
	}
}

// patrol returns what a patrol reports that rests after each row.
func patrol(t *testing.T, db *catalog.DB) (said []string) {
	t.Helper()
	defer catalog.RestAfterEachRow()()
	if err := db.Patrol(t.Context(), 1, func(what string) { said = append(said, what) }); err != nil {
		t.Fatal(err)
	}
	return said
}

// A patrol comes by every row, whatever the key of the table, finds damage of the file's structure, and ends when it is told to.
func TestPatrol(t *testing.T) {
	path, raw := everyTable(t)
	for _, statement := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO settings (key, value) SELECT 'key' || i, 'value' FROM n`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO spare_vectors (encoder, hash, vector, created_at) SELECT 'words@' || i % 7, CAST('hash' || i AS BLOB), x'0000803f', 1 FROM n`,
	} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db := must[*catalog.DB](t)(catalog.Open(t.Context(), path, nil))
	defer db.Close()
	if said := patrol(t, db); len(said) > 0 {
		t.Errorf("of a whole database it says %q", said)
	}
	for _, statement := range []string{
		`UPDATE settings SET value = 'valve' WHERE key IN ('key1', 'key99', 'key200')`,
		`UPDATE spare_vectors SET created_at = 2 WHERE hash IN (CAST('hash1' AS BLOB), CAST('hash7' AS BLOB), CAST('hash200' AS BLOB))`,
	} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	said := patrol(t, db)
	if len(said) != 6 || !slices.Contains(said, `setting "key99" does not match its checksum`) {
		t.Errorf("it says %q", said)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Patrol(ctx, 1, func(what string) { t.Errorf("it goes on and says %q", what) }); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// One damaged byte of a row, in each table at once, is put right.
func TestCorrectRows(t *testing.T) {
	path, raw := everyTable(t)
	if err := must[*catalog.DB](t)(catalog.Open(t.Context(), path, nil)).Close(); err != nil {
		t.Fatal(err)
	}
	tables, of := columns(t, raw)
	whole := dump(t, raw)
	most := 0
	for _, table := range tables {
		most = max(most, len(of[table]))
	}
	for i := range most {
		var spoilt []string
		for _, table := range tables {
			if i < len(of[table]) {
				spoil(t, raw, table, of[table][i], 5+i)
				spoilt = append(spoilt, table+"."+of[table][i])
			}
		}
		r, err := catalog.RepairFile(t.Context(), path, filepath.Join(t.TempDir(), "keep"))
		if err != nil {
			t.Fatalf("%v: %v", spoilt, err)
		}
		if diff := cmp.Diff(whole, dump(t, raw)); diff != "" || len(r.All) != len(spoilt) || r.Lost {
			t.Fatalf("%v: it did %+v\n%s", spoilt, r, diff)
		}
	}
}

// What more than a byte of is damaged is told, and is gone or accepted after a repair, unless it is of a document, which
// others make anew.
func TestSettleRows(t *testing.T) {
	path, raw := everyTable(t)
	if err := must[*catalog.DB](t)(catalog.Open(t.Context(), path, nil)).Close(); err != nil {
		t.Fatal(err)
	}
	tables, of := columns(t, raw)
	for _, table := range tables {
		column := of[table][max(0, len(of[table])-2)]
		for _, bit := range []int{1, 10, 20} {
			spoil(t, raw, table, column, bit)
		}
	}
	before := must[*catalog.DB](t)(catalog.Open(t.Context(), path, nil))
	if err := before.CheckAll(t.Context()); !errors.Is(err, catalog.ErrCorrupt) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("the check says %v", err)
	}
	before.Close()
	r, err := catalog.RepairFile(t.Context(), path, filepath.Join(t.TempDir(), "keep"))
	if err != nil {
		t.Fatal(err)
	}
	told := fmt.Sprint(r.All)
	for _, says := range []string{`setting "theme" is not what was written it stays`, `collection "handbook" is not`, "leases is not what was written it was removed"} {
		if !strings.Contains(told, says) {
			t.Errorf("it says %s, want %q in it", told, says)
		}
	}
	db := open(t, path)
	for _, row := range must[[]catalog.DamagedRow](t)(db.DamagedRows(t.Context(), true)) {
		if !slices.Contains([]string{"documents", "contents", "chunks"}, row.Table) {
			t.Errorf("damaged still: %+v", row)
		}
	}
	// What is of a damaged document goes nowhere else.
	other := open(t, filepath.Join(t.TempDir(), "other.db"))
	if _, err := other.ImportCollection(t.Context(), db, "handbook", "copy"); !errors.Is(err, catalog.ErrCorrupt) || !strings.Contains(err.Error(), "leave.md") {
		t.Errorf("import: %v", err)
	}
	if err := other.Transfer(t.Context(), db, nil); !errors.Is(err, catalog.ErrCorrupt) {
		t.Errorf("transfer: %v", err)
	}
}
