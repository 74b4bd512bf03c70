package sqlitefile_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"docent/internal/sqlitefile"
)

// database writes a database with every kind of value, long values, a table in key order, enough rows for
// trees of three levels, and free pages.
func database(t testing.TB, path, mode string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=page_size(512)&_pragma=journal_mode("+mode+")&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		`CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, weight REAL, data BLOB, n INTEGER)`,
		`CREATE TABLE pairs (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID`,
		`CREATE INDEX things_name ON things (name)`,
		`WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 900)
			INSERT INTO things SELECT n, 'thing ' || n || substr(hex(zeroblob(600)), 1, n % 1200), n / 3.0, zeroblob(n % 7), (n - 450) << (n % 55) FROM i`,
		`WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 300) INSERT INTO pairs SELECT 'pair ' || n, n / 2, 'c' FROM i`,
		`DELETE FROM things WHERE id BETWEEN 300 AND 400`,
		`INSERT INTO things VALUES (1000, NULL, 1, x'', 0), (1001, '', 2.5, x'00ff', 1), (1002, 'ü', -1, NULL, -9223372036854775808)`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func read(t *testing.T, path string) (rows map[string][]sqlitefile.Row, strays []sqlitefile.Row) {
	t.Helper()
	f, err := sqlitefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows = map[string][]sqlitefile.Row{}
	for _, table := range f.Tables() {
		for row := range f.Rows(table.Root) {
			rows[table.Name] = append(rows[table.Name], row)
		}
	}
	for row := range f.Strays() {
		if !row.Keyed && len(row.Values) == 5 {
			strays = append(strays, row)
		}
	}
	return rows, strays
}

func TestRows(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			db := database(t, path, mode)
			defer db.Close()
			rows, strays := read(t, path)
			if len(strays) > 0 {
				t.Errorf("%d rows are taken for strays", len(strays))
			}
			same := func(query, table string, line func(sqlitefile.Row) string) {
				want, err := db.Query(query)
				if err != nil {
					t.Fatal(err)
				}
				defer want.Close()
				i := 0
				for ; want.Next(); i++ {
					var s string
					if err := want.Scan(&s); err != nil {
						t.Fatal(err)
					}
					if i >= len(rows[table]) {
						break
					}
					if got := line(rows[table][i]); got != s {
						t.Fatalf("%s, row %d: got %q, want %q", table, i, got, s)
					}
				}
				if i != len(rows[table]) {
					t.Errorf("%s: %d rows, want %d", table, len(rows[table]), i)
				}
			}
			same(`SELECT id || '|' || coalesce(name, '<nil>') || '|' || printf('%.6f', weight) || '|' || coalesce(hex(data), '') || '|' || n FROM things ORDER BY id`, "things", func(r sqlitefile.Row) string {
				weight := r.Values[2]
				if n, ok := weight.(int64); ok { // SQLite keeps a whole number as one
					weight = float64(n)
				}
				data, _ := r.Values[3].([]byte)
				return fmt.Sprintf("%d|%v|%.6f|%X|%d", r.ID, r.Values[1], weight, data, r.Values[4])
			})
			same(`SELECT b || '|' || a || '|' || c FROM pairs ORDER BY b, a`, "pairs", func(r sqlitefile.Row) string {
				return fmt.Sprintf("%d|%s|%s", r.Values[0], r.Values[1], r.Values[2])
			})
		})
	}
}

// A page of a tree that is destroyed costs its own rows; the pages under it are found again.
func TestStrays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	database(t, path, "delete").Close()
	whole, _ := read(t, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var interior []int
	for at := 512; at < len(data); at += 512 {
		if data[at] == 5 {
			interior = append(interior, at)
		}
	}
	if len(interior) < 3 {
		t.Fatalf("the tree has %d pages above its leaves", len(interior))
	}
	for _, at := range interior {
		spoilt := bytes.Clone(data)
		copy(spoilt[at:at+512], make([]byte, 512))
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, strays := read(t, path)
		if got, want := len(rows["things"])+len(strays), len(whole["things"]); got != want {
			t.Errorf("page %d destroyed: %d + %d rows, want %d", at/512+1, len(rows["things"]), len(strays), want)
		}
	}
}

func TestCheckLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	db := database(t, path, "wal")
	defer db.Close()
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	shm, err := os.ReadFile(path + "-shm")
	if err != nil {
		t.Fatal(err)
	}
	stride := 24 + int(binary.BigEndian.Uint32(wal[8:]))
	frames := (len(wal) - 32) / stride
	for _, tc := range []struct {
		name   string
		change func(wal []byte) []byte
		shm    bool
		says   string
	}{
		{"as it was", func(w []byte) []byte { return w }, true, ""},
		{"without its index", func(w []byte) []byte { return w }, false, ""},
		{"empty", func(w []byte) []byte { return nil }, false, ""},
		{"the header", func(w []byte) []byte { w[9] ^= 1; return w }, false, "header"},
		{"a bit in the middle", func(w []byte) []byte { w[32+stride*(frames/2)+100] ^= 8; return w }, false, fmt.Sprintf("page %d ", frames/2+1)},
		{"a bit of the last page", func(w []byte) []byte { w[len(w)-1] ^= 8; return w }, true, "cut short"},
		{"cut within the last transaction", func(w []byte) []byte { return w[:len(w)-stride/2] }, true, "cut short"},
		{"cut within the last transaction, after a power cut", func(w []byte) []byte { return w[:len(w)-stride/2] }, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			if err := os.WriteFile(path+"-wal", tc.change(bytes.Clone(wal)), 0o600); err != nil {
				t.Fatal(err)
			}
			if tc.shm {
				if err := os.WriteFile(path+"-shm", shm, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			log, err := sqlitefile.CheckLog(path)
			if err != nil || (tc.says == "") != (log.Lost == "") || !strings.Contains(log.Lost, tc.says) {
				t.Errorf("got %+v, %v", log, err)
			}
		})
	}
	if log, err := sqlitefile.CheckLog(filepath.Join(dir, "none.db")); err != nil || log.Lost != "" {
		t.Errorf("no log: %+v, %v", log, err)
	}
}

// Whatever a file holds, reading it ends, and yields no more than it can hold.
func FuzzRows(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.db")
	database(f, path, "delete").Close()
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	small := data[:min(len(data), 40*512)]
	f.Add(small, []byte{})
	f.Add(bytes.Repeat([]byte{0x05, 0, 0, 0, 1, 0, 0x20}, 300), []byte{})
	f.Fuzz(func(t *testing.T, data, wal []byte) {
		path := filepath.Join(t.TempDir(), "a.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-wal", wal, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := sqlitefile.Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		bytes := 0
		count := func(r sqlitefile.Row) {
			for _, v := range r.Values {
				if s, ok := v.(string); ok {
					bytes += len(s)
				}
			}
		}
		for _, table := range file.Tables() {
			for r := range file.Rows(table.Root) {
				count(r)
			}
		}
		for r := range file.Strays() {
			count(r)
		}
		if bytes > 2*(len(data)+len(wal))+1<<16 {
			t.Errorf("%d bytes of text in a file of %d", bytes, len(data))
		}
		if _, err := sqlitefile.CheckLog(path); err != nil {
			t.Error(err)
		}
	})
}
