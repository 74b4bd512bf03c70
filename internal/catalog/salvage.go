package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"docent/internal/sqlitefile"
)

// A column of a table, in the order in which rows are stored.
type column struct {
	name    string
	kind    string // INTEGER, TEXT or BLOB
	notNull bool
	rowID   bool // it is the row's id, and stored apart
	value   any  // of rows from before there was the column
	has     bool // there is such a value
}

type shape struct {
	name    string
	columns []column
	key     []string // the columns of the primary key, or rowid
	keyed   bool     // WITHOUT ROWID

	read, kept int
}

// salvage reads what the pages of the file at path hold into a new file, and puts that in its place.
func (r *Repairs) salvage(ctx context.Context, path, keep, damage string) error {
	part := path + ".part"
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := removeIfThere(part + suffix); err != nil {
			return err
		}
	}
	to, err := connect(part)
	if err != nil {
		return err
	}
	defer to.Close()
	to.SetMaxOpenConns(1)
	tables, err := r.copyRows(ctx, path, to)
	if err != nil {
		return fmt.Errorf("recover %s: %w", path, err)
	}
	var finding string
	if err := to.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&finding); err != nil || finding != "ok" {
		return fmt.Errorf("recover %s: %w", path, errors.Join(err, errors.New(finding)))
	}
	if err := errors.Join(to.Close(), syncFile(part)); err != nil {
		return err
	}
	if err := keepFile(path, keep); err != nil {
		return err
	}
	// The damaged file is kept; what is left of it here would be taken for the new one's.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := removeIfThere(path + suffix); err != nil {
			return err
		}
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	r.Lost = true
	var counts []string
	for _, t := range tables {
		if t.read > 0 {
			counts = append(counts, fmt.Sprintf("%s %d", strings.ReplaceAll(t.name, "_", " "), t.kept))
		}
	}
	got := "nothing could be read from it"
	if len(counts) > 0 {
		got = "recovered rows: " + strings.Join(counts, ", ")
	}
	r.add(got+"; the damaged file is kept in "+keep, "%s: %s", path, damage)
	return nil
}

// copyRows makes the tables of the damaged file's schema version in to and copies rows that fit them.
func (r *Repairs) copyRows(ctx context.Context, path string, to *sql.DB) ([]*shape, error) {
	from, err := sqlitefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	roots := make(map[string]int)
	for _, t := range from.Tables() {
		roots[t.Name] = t.Root
	}
	// The schema version first: it says which tables there are.
	version, err := latestSchema(sqlite)
	if err != nil {
		return nil, err
	}
	if root := roots["goose_db_version"]; root > 0 {
		var found int64
		for row := range from.Rows(root) {
			if len(row.Values) > 1 {
				if v, ok := row.Values[1].(int64); ok && v > found && v <= version {
					found = v
				}
			}
		}
		if found > 0 {
			version = found
		}
	}
	if err := migrateTo(ctx, to, version); err != nil {
		return nil, err
	}
	shapes, err := shapesOf(ctx, to)
	if err != nil {
		return nil, err
	}
	// Rows whose parent is lost are dealt with when all are there.
	if _, err := to.ExecContext(ctx, `PRAGMA foreign_keys = 0`); err != nil {
		return nil, err
	}
	tx, err := to.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	for _, s := range shapes {
		if roots[s.name] == 0 {
			continue
		}
		for row := range from.Rows(roots[s.name]) {
			if err := s.insert(ctx, tx, row); err != nil {
				return nil, err
			}
		}
	}
	last := make(map[string]int64)
	for row := range from.Rows(roots["sqlite_sequence"]) {
		if len(row.Values) == 2 {
			name, ok1 := row.Values[0].(string)
			n, ok2 := row.Values[1].(int64)
			if ok1 && ok2 && n < 1<<50 { // above it is damaged
				last[name] = n
			}
		}
	}
	for row := range from.Strays() {
		for _, s := range shapes {
			if s.fits(row) {
				if err := s.insert(ctx, tx, row); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	for name, n := range last {
		if _, err := tx.ExecContext(ctx, `UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?`, n, name); err != nil {
			return nil, err
		}
	}
	return shapes, tx.Commit()
}

// margin is how far above the last id that is known the next ones begin after a loss: those between may have
// been given out.
const margin = 1 << 20

// skipIDs keeps ids that were given out before a loss from being given out again: what indexes have under them
// would be taken for what comes.
func skipIDs(ctx context.Context, tx *sql.Tx) error {
	for table, column := range map[string]string{"chunks": "id", "jobs": "seq", "messages": "seq"} {
		var most int64
		if err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT max((SELECT coalesce(max(%s), 0) FROM %s), coalesce((SELECT seq FROM sqlite_sequence WHERE name = '%[2]s'), 0))`, column, table)).Scan(&most); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = ?`, table); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, most+margin); err != nil {
			return err
		}
	}
	return nil
}

// shapesOf returns the tables of a database, parents before children.
func shapesOf(ctx context.Context, db *sql.DB) ([]*shape, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version' ORDER BY rowid`)
	shapes, err := collect(rows, err, func(s scanner) (*shape, error) {
		var text string
		sh := new(shape)
		err := s.Scan(&sh.name, &text)
		sh.keyed = strings.Contains(text, "WITHOUT ROWID")
		return sh, err
	})
	if err != nil {
		return nil, err
	}
	for _, s := range shapes {
		type described struct {
			column
			key int // place in the primary key, from 1
		}
		rows, err := db.QueryContext(ctx, `SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?) ORDER BY cid`, s.name)
		all, err := collect(rows, err, func(r scanner) (c described, err error) {
			var value sql.NullString
			err = r.Scan(&c.name, &c.kind, &c.notNull, &value, &c.key)
			if c.has = value.Valid; c.has {
				c.value = strings.Trim(value.String, "'")
				if c.kind == "INTEGER" {
					c.value = int64(0) // the only number that is a default here
				}
			}
			return c, err
		})
		if err != nil {
			return nil, err
		}
		if s.keyed { // the primary key first (section 2.4 of the file format)
			slices.SortStableFunc(all, func(a, b described) int {
				rank := func(c described) int {
					if c.key == 0 {
						return len(all)
					}
					return c.key
				}
				return rank(a) - rank(b)
			})
		}
		for _, c := range all {
			c.rowID = !s.keyed && c.key == 1 && c.kind == "INTEGER"
			s.columns = append(s.columns, c.column)
			if s.keyed && c.key > 0 {
				s.key = append(s.key, c.name)
			}
		}
		if !s.keyed {
			s.key = []string{"rowid"}
		}
	}
	return shapes, nil
}

// fits tells whether a row can be one of the table.
func (s *shape) fits(row sqlitefile.Row) bool {
	if row.Keyed != s.keyed || len(row.Values) == 0 || len(row.Values) > len(s.columns) {
		return false
	}
	for i, c := range s.columns {
		if i >= len(row.Values) {
			if !c.has {
				return false
			}
			continue
		}
		ok := false
		switch row.Values[i].(type) {
		case nil:
			ok = c.rowID || !c.notNull
		case int64:
			ok = c.kind == "INTEGER" && !c.rowID
		case string:
			ok = c.kind == "TEXT"
		case []byte:
			ok = c.kind == "BLOB"
		}
		if !ok {
			return false
		}
	}
	return true
}

// insert puts a row in unless it does not fit, or is there.
func (s *shape) insert(ctx context.Context, tx *sql.Tx, row sqlitefile.Row) error {
	s.read++
	if !s.fits(row) {
		return nil
	}
	names, args := make([]string, len(s.columns)), make([]any, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
		switch {
		case c.rowID:
			args[i] = row.ID
		case i < len(row.Values):
			args[i] = row.Values[i]
		default:
			args[i] = c.value
		}
	}
	// A value that a CHECK forbids, or a key that is taken, makes it no row of this table.
	res, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT OR IGNORE INTO %s (%s) VALUES (?%s)`, s.name, strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1)), args...)
	if err != nil {
		return fmt.Errorf("table %s: %w", s.name, Explain(err))
	}
	if n, _ := res.RowsAffected(); n > 0 {
		s.kept++
	}
	return nil
}
