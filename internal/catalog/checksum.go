package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	sqlitedriver "modernc.org/sqlite"

	"docent/internal/rowsum"
)

// Each row in a file of SQLite has a checksum, the column sum, which triggers keep that only the connection that writes
// has: whatever else changes a row, be it the disk, leaves it with a sum that is not its own. A migration that changes
// rows sets their sums to 0; a column that it adds has a default. Postgres has checksums of pages.

func init() {
	// row_sum(seed, value, seed, value, …)
	if err := sqlitedriver.RegisterFunction("row_sum", &sqlitedriver.FunctionImpl{NArgs: -1, Deterministic: true, VolatileArgs: true, Scalar: func(_ *sqlitedriver.FunctionContext, args []driver.Value) (driver.Value, error) {
		columns, values := make([]rowsum.Column, len(args)/2), make([]any, len(args)/2)
		for i := range columns {
			seed, ok := args[2*i].(int64)
			if !ok {
				return nil, fmt.Errorf("row_sum: seed %d is a %T", i, args[2*i])
			}
			columns[i].Seed, values[i] = uint64(seed), args[2*i+1]
		}
		return int64(rowsum.Sum(columns, values)), nil
	}}); err != nil {
		panic(err)
	}
	// row_sum_update(stored, old, new)
	if err := sqlitedriver.RegisterDeterministicScalarFunction("row_sum_update", 3, func(_ *sqlitedriver.FunctionContext, args []driver.Value) (driver.Value, error) {
		var n [3]uint64
		for i, a := range args {
			v, ok := a.(int64)
			if !ok {
				return nil, fmt.Errorf("row_sum_update: argument %d is a %T", i, a)
			}
			n[i] = uint64(v)
		}
		return int64(rowsum.Update(n[0], n[1], n[2])), nil
	}); err != nil {
		panic(err)
	}
}

// sumColumn is the column of the checksum.
const sumColumn = "sum"

// A summed is a table whose rows have checksums.
type summed struct {
	*shape
	sums []rowsum.Column // of the columns but sum
}

// summedTables returns the tables that have the column, parents before children.
func summedTables(ctx context.Context, db *sql.DB) ([]summed, error) {
	shapes, err := shapesOf(ctx, db)
	if err != nil {
		return nil, err
	}
	var all []summed
	for _, s := range shapes {
		t := summed{shape: &shape{name: s.name, keyed: s.keyed, key: s.key}}
		has := false
		for _, c := range s.columns {
			if c.name == sumColumn {
				has = true
				continue
			}
			of := rowsum.NewColumn(s.name, c.name)
			if c.has {
				of.Default = c.value
			}
			t.columns, t.sums = append(t.columns, c), append(t.sums, of)
		}
		if has {
			all = append(all, t)
		}
	}
	return all, nil
}

// whole is the expression for whether a row of a table is what was written. alias is how the statement calls the row,
// with a dot, or "".
func (r Reader) whole(table, alias string) string {
	for _, t := range r.summed {
		if t.name == table {
			return alias + "sum = " + t.sum(alias)
		}
	}
	return "true"
}

// damage is the expression for what a row is of, where it is not what was written; NULL for one that is.
func (r Reader) damage(table, alias string) string {
	if whole := r.whole(table, alias); whole != "true" {
		return fmt.Sprintf("iif(%s, NULL, %s)", whole, describedRows[table].name)
	}
	return "NULL"
}

// A damageScanner scans rows whose first column is damage.
type damageScanner struct {
	scanner
	of *sql.NullString
}

func (s damageScanner) Scan(dest ...any) error {
	return s.scanner.Scan(append([]any{s.of}, dest...)...)
}

// undamaged reads all rows of a table by scan, of statements whose first column is damage. It leaves out those that are
// not what was written, and names them in a DamageError, with which it returns the others.
func undamaged[T any](rows *sql.Rows, err error, table string, scan func(scanner) (T, error)) ([]T, error) {
	all := []T{}
	var damage DamageError
	_, err = collect(rows, err, func(s scanner) (struct{}, error) {
		var of sql.NullString
		one, err := scan(damageScanner{s, &of})
		switch {
		case of.Valid: // whatever became of scanning it
			damage.add(table, of)
			return struct{}{}, nil
		case err == nil:
			all = append(all, one)
		}
		return struct{}{}, err
	})
	if err == nil && len(damage.Rows) > 0 {
		err = &damage
	}
	return all, err
}

// sum is the expression for the sum of a row: of NEW., OLD., an alias, or "", the row at hand.
func (t summed) sum(row string) string {
	args := make([]string, 0, 2*len(t.columns))
	for i, c := range t.columns {
		value := row + c.name
		switch d := t.sums[i].Default.(type) {
		case string:
			value = fmt.Sprintf("nullif(%s, '%s')", value, d)
		case int64:
			value = fmt.Sprintf("nullif(%s, %d)", value, d)
		}
		args = append(args, strconv.FormatUint(t.sums[i].Seed, 10), value)
	}
	return "row_sum(" + strings.Join(args, ", ") + ")"
}

// is is the condition on the row of the key in NEW. or in parameters.
func (t summed) is(value func(column string) string) string {
	var all []string
	for _, k := range t.key {
		all = append(all, k+" = "+value(k))
	}
	return strings.Join(all, " AND ")
}

func (t summed) triggers() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	this := t.is(func(c string) string { return "NEW." + c })
	return fmt.Sprintf(`
CREATE TEMP TRIGGER IF NOT EXISTS sum_%[1]s_insert AFTER INSERT ON main.%[1]s WHEN NEW.sum = 0 BEGIN UPDATE %[1]s SET sum = %[2]s WHERE %[4]s; END;
CREATE TEMP TRIGGER IF NOT EXISTS sum_%[1]s_update AFTER UPDATE OF %[5]s ON main.%[1]s BEGIN UPDATE %[1]s SET sum = row_sum_update(OLD.sum, %[3]s, %[2]s) WHERE %[4]s; END;`,
		t.name, t.sum("NEW."), t.sum("OLD."), this, strings.Join(names, ", "))
}

// A keeper makes connections that keep the sums of rows, once it knows the tables.
type keeper struct {
	driver.Connector
	triggers atomic.Value // string
}

func (k *keeper) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if triggers, _ := k.triggers.Load().(string); triggers != "" {
		if _, err := c.(driver.ExecerContext).ExecContext(ctx, triggers, nil); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// keepSums has the connection that writes keep the sums of rows. After a migration it makes those that are missing.
func (d *DB) keepSums(ctx context.Context, k *keeper) error {
	tables, err := summedTables(ctx, d.write.DB)
	if err != nil {
		return err
	}
	d.summed = tables
	// The header's user version says which schema's rows all have their sums.
	var done, version int64
	if version, err = latestSchema(sqlite); err != nil {
		return err
	}
	if err := d.write.queryRow(ctx, `PRAGMA user_version`).Scan(&done); err != nil {
		return err
	}
	if done != version {
		err := d.update(ctx, func(tx *transaction) error {
			for _, t := range tables {
				if _, err := tx.Tx.ExecContext(ctx, `UPDATE `+t.name+` SET sum = `+t.sum("")+` WHERE sum = 0`); err != nil {
					return err
				}
			}
			_, err := tx.Tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version))
			return err
		})
		if err != nil {
			return fmt.Errorf("checksums of rows: %w", err)
		}
	}
	var triggers strings.Builder
	for _, t := range tables {
		triggers.WriteString(t.triggers())
	}
	k.triggers.Store(triggers.String())
	_, err = d.write.DB.ExecContext(ctx, triggers.String())
	return err
}

// A DamagedRow is a row that is not what was written.
type DamagedRow struct {
	Table    string
	What     string // for people
	Document string // id of the document that it belongs to; empty for none
	key      []any
}

// describedRows says what rows of a table are to people, by an expression that names one; the others are told by the
// table's name and their key. document is the column with the document's id.
var describedRows = map[string]struct{ what, name, document string }{
	"collections":     {"collection", "name", ""},
	"documents":       {"what is known of document", "path", "id"},
	"contents":        {"the text of document", pathOfRow, "document_id"},
	"chunks":          {"a passage, or the vector of one, of document", pathOfRow, "document_id"},
	"signatures":      {"the signature of document", pathOfRow, "document_id"},
	"signature_bands": {"the signature of document", pathOfRow, "document_id"},
	"reports":         {"the report on document", "path", ""},
	"jobs":            {"the job of", "path", ""},
	"conversations":   {"conversation", "title", ""},
	"messages":        {"a message of conversation", "coalesce((SELECT title FROM conversations WHERE id = conversation_id), conversation_id)", ""},
	"settings":        {"setting", "key", ""},
	"watches":         {"the watched folder", "folder", ""},
	"fetches":         {"what is known of the page", "url", ""},
}

const pathOfRow = "coalesce((SELECT path FROM documents WHERE id = document_id), document_id)"

// smallTables are those that Open of a large store may look at: they have no texts and vectors.
var smallTables = map[string]bool{"collections": true, "documents": true, "settings": true, "watches": true, "search_classes": true, "leases": true}

// DamagedRows returns the rows whose checksum is not that of what they hold: of all tables, or of the few small ones that
// the others hang on. Of Postgres, which has checksums of its own, it returns none.
func (d *DB) DamagedRows(ctx context.Context, all bool) ([]DamagedRow, error) {
	var damaged []DamagedRow
	for _, t := range d.summed {
		if !all && !smallTables[t.name] {
			continue
		}
		found, err := t.damaged(ctx, d.read, "")
		if err != nil {
			return nil, err
		}
		damaged = append(damaged, found...)
	}
	return damaged, nil
}

// damagedIn returns the damaged rows of the documents of a collection in those of the tables documents, contents and
// chunks that are named.
func damagedIn(ctx context.Context, q querier, tables []summed, collection int64, names ...string) ([]DamagedRow, error) {
	var damaged []DamagedRow
	for _, t := range tables {
		if !slices.Contains(names, t.name) {
			continue
		}
		where := "document_id IN (SELECT id FROM documents WHERE collection_id = ?)"
		if t.name == "documents" {
			where = "collection_id = ?"
		}
		found, err := t.damaged(ctx, q, where, collection)
		if err != nil {
			return nil, err
		}
		damaged = append(damaged, found...)
	}
	return damaged, nil
}

func (t summed) damaged(ctx context.Context, q querier, where string, args ...any) ([]DamagedRow, error) {
	about, known := describedRows[t.name]
	name, document := "''", "''"
	if known {
		name = about.name
	}
	if about.document != "" {
		document = about.document
	}
	if where != "" {
		where += " AND "
	}
	rows, err := q.query(ctx, fmt.Sprintf(`SELECT %s, %s, %s FROM %s WHERE %s sum <> %s`, name, document, strings.Join(t.key, ", "), t.name, where, t.sum("")), args...)
	return collect(rows, err, func(s scanner) (DamagedRow, error) {
		r := DamagedRow{Table: t.name, key: make([]any, len(t.key))}
		into := []any{&r.What, &r.Document}
		for i := range r.key {
			into = append(into, &r.key[i])
		}
		err := s.Scan(into...)
		r.What = describe(t.name, r.What)
		return r, err
	})
}

// describe says what a row is to people; name is what describedRows names it by.
func describe(table, name string) string {
	about, known := describedRows[table]
	if !known {
		return fmt.Sprintf("a row of %s", strings.ReplaceAll(table, "_", " "))
	}
	return fmt.Sprintf("%s %q", about.what, name)
}

// A DamageError names rows that are not what was written. It wraps ErrCorrupt.
type DamageError struct {
	File string // of the database; may be empty
	Rows []DamagedRow
}

// add adds a row of a table, by what damage says that it is of; a row that is whole it leaves out.
func (e *DamageError) add(table string, of sql.NullString) {
	if of.Valid {
		e.Rows = append(e.Rows, DamagedRow{Table: table, What: describe(table, of.String)})
	}
}

func (e *DamageError) Error() string {
	file, more := "", ""
	if e.File != "" {
		file = e.File + ": "
	}
	if n := len(e.Rows) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Sprintf("%s%v: %s does not match its checksum%s", file, ErrCorrupt, e.Rows[0].What, more)
}

// Unwrap returns ErrCorrupt.
func (e *DamageError) Unwrap() error { return ErrCorrupt }

// damageError returns a DamageError of the rows, nil when there is none.
func damageError(path string, damaged []DamagedRow) error {
	if len(damaged) == 0 {
		return nil
	}
	return &DamageError{path, damaged}
}
