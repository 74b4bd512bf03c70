package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// TransferProgress is how far a transfer is: Done of Total documents, then the other tables.
type TransferProgress struct {
	Done, Total int
}

// transferKey is the setting that marks a catalog as the target of a transfer that has not ended. Its value
// says which it is from.
const transferKey = "transfer"

// Transfer makes the catalog a copy of another, whichever databases they are in: collections, documents with
// their texts, chunks, vectors and signatures, jobs, conversations, settings, watches and reports, all under
// the ids they have, so that what refers to them goes on to do so. The files of documents are not part of it.
//
// It copies a few documents at a time, so that one that is cut off goes on where it was; what has changed in
// the other since then is copied again, what is gone there is removed. Nobody may change either meanwhile.
// Until EndTransfer the catalog is marked, and Transferring says so. It returns ErrExists for a catalog that
// holds anything but a part of such a copy, and ErrCorrupt when the other has rows that are not what was written.
func (d *DB) Transfer(ctx context.Context, from *DB, progress func(TransferProgress)) error {
	damaged, err := from.DamagedRows(ctx, true)
	if err == nil {
		err = damageError(from.Path(), damaged)
	}
	if err != nil {
		return err
	}
	if err := d.beginTransfer(ctx, from); err != nil {
		return err
	}
	source, err := from.snapshot(ctx)
	if err != nil {
		return Explain(err)
	}
	defer source.Rollback()
	t := &transfer{to: d, from: source, progress: progress, known: make(map[string][]string)}
	for _, step := range []func(context.Context) error{t.collections, t.documents, t.others, t.sequences} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("copy from %s to %s: %w", from.Path(), d.Path(), Explain(err))
		}
	}
	return nil
}

// EndTransfer takes the mark away, when all that belongs to the copy is there.
func (d *DB) EndTransfer(ctx context.Context) error {
	_, err := d.exec(ctx, `DELETE FROM settings WHERE key = ?`, transferKey)
	return Explain(err)
}

// Transferring returns the path of the catalog that this one is an unfinished copy of, and "" when it is
// none.
func (d *DB) Transferring(ctx context.Context) (string, error) {
	var from string
	err := d.read.queryRow(ctx, `SELECT value FROM settings WHERE key = ?`, transferKey).Scan(&from)
	if err == sql.ErrNoRows {
		err = nil
	}
	return from, Explain(err)
}

func (d *DB) beginTransfer(ctx context.Context, from *DB) error {
	marked, err := d.Transferring(ctx)
	if err != nil {
		return err
	}
	switch {
	case marked == from.Path():
		return nil
	case marked != "":
		return fmt.Errorf("%s: %w: it is an unfinished copy of %s; go on with that, or remove it", d.Path(), ErrExists, marked)
	}
	return d.update(ctx, func(tx *transaction) error {
		for _, table := range []string{"collections", "jobs", "conversations"} {
			var has bool
			if err := tx.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+`)`).Scan(&has); err != nil {
				return err
			}
			if has {
				return fmt.Errorf("%s: %w: it holds %s; give one that is empty", d.Path(), ErrExists, table)
			}
		}
		_, err := tx.exec(ctx, `INSERT INTO settings (key, value) VALUES (?,?)`, transferKey, from.Path())
		return err
	})
}

type transfer struct {
	to       *DB
	from     *transaction
	progress func(TransferProgress)
	known    map[string][]string // columns by table
}

// columns returns those that a table has in both databases.
func (t *transfer) columns(ctx context.Context, table string) ([]string, error) {
	if columns := t.known[table]; columns != nil {
		return columns, nil
	}
	of := func(q querier, l *dialect) ([]string, error) {
		statement := `SELECT name FROM pragma_table_info(?) ORDER BY cid`
		if l == postgres {
			statement = `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position`
		}
		rows, err := q.query(ctx, statement, table)
		return collect(rows, err, func(s scanner) (c string, err error) { return c, s.Scan(&c) })
	}
	here, err := of(t.to.read, t.to.dialect)
	if err != nil {
		return nil, err
	}
	there, err := of(t.from, t.from.dialect)
	if err != nil {
		return nil, err
	}
	t.known[table] = slices.DeleteFunc(here, func(c string) bool { return !slices.Contains(there, c) })
	return t.known[table], nil
}

// table copies those rows of a table that a condition on its alias o picks.
func (t *transfer) table(ctx context.Context, tx *transaction, table, of string, args ...any) error {
	columns, err := t.columns(ctx, table)
	if err == nil {
		c := copying{from: t.from, to: tx, same: true}
		err = c.rows(ctx, table, columns, of, 0, args...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	return nil
}

// collections makes those of the target the same as the source's, and removes those that are not there with
// their documents.
func (t *transfer) collections(ctx context.Context) error {
	type row struct {
		id            int64
		name, encoder string
		dim           int
	}
	collections := func(q querier) ([]row, error) {
		rows, err := q.query(ctx, `SELECT id, name, encoder, dim FROM collections`)
		return collect(rows, err, func(s scanner) (r row, err error) { return r, s.Scan(&r.id, &r.name, &r.encoder, &r.dim) })
	}
	want, err := collections(t.from)
	if err != nil {
		return err
	}
	return t.to.update(ctx, func(tx *transaction) error {
		has, err := collections(tx)
		if err != nil {
			return err
		}
		for _, r := range has {
			if slices.Contains(want, r) {
				continue
			}
			if _, err := tx.exec(ctx, `DELETE FROM collections WHERE id = ?`, r.id); err != nil {
				return err
			}
		}
		for _, r := range want {
			if !slices.Contains(has, r) {
				err = t.table(ctx, tx, "collections", ` o WHERE o.id = ?`, r.id)
			} else {
				var settings string
				if err = t.from.queryRow(ctx, `SELECT settings FROM collections WHERE id = ?`, r.id).Scan(&settings); err == nil {
					_, err = tx.exec(ctx, `UPDATE collections SET settings = ? WHERE id = ?`, settings, r.id)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// transferChunks is about how many chunks are copied in one transaction: what a cut can cost.
const transferChunks = 500

// documents copies those that the target has not, or has as they were before, in the order in which their
// chunks came.
func (t *transfer) documents(ctx context.Context) error {
	type row struct {
		id, duplicateOf string
		updated         int64
		chunks          int
	}
	documents := func(q querier) ([]row, error) {
		rows, err := q.query(ctx, `SELECT d.id, d.duplicate_of, d.updated_at, d.chunks FROM documents d ORDER BY (SELECT min(k.id) FROM chunks k WHERE k.document_id = d.id), d.id`)
		return collect(rows, err, func(s scanner) (r row, err error) { return r, s.Scan(&r.id, &r.duplicateOf, &r.updated, &r.chunks) })
	}
	want, err := documents(t.from)
	if err != nil {
		return err
	}
	has, err := documents(t.to.read)
	if err != nil {
		return err
	}
	there := make(map[string]row, len(has))
	for _, r := range has {
		there[r.id] = r
	}
	var missing []row
	done := 0
	for _, r := range want {
		if there[r.id] == r {
			delete(there, r.id)
			done++
		} else {
			missing = append(missing, r)
		}
	}
	var stale []string
	for id := range there {
		stale = append(stale, id)
	}
	for batch := range slices.Chunk(stale, 500) {
		if _, err := t.to.exec(ctx, `DELETE FROM documents WHERE id IN {texts}`, list(batch)); err != nil {
			return err
		}
	}
	report := func() {
		if t.progress != nil {
			t.progress(TransferProgress{done, len(want)})
		}
	}
	report()
	for len(missing) > 0 {
		var ids []string
		for chunks := 0; len(missing) > 0 && len(ids) < 500 && (len(ids) == 0 || chunks+missing[0].chunks <= transferChunks); missing = missing[1:] {
			ids = append(ids, missing[0].id)
			chunks += missing[0].chunks
		}
		err := t.to.update(ctx, func(tx *transaction) error {
			for _, c := range []struct{ table, of string }{
				{"documents", ` o WHERE o.id IN {texts}`},
				{"contents", ` o WHERE o.document_id IN {texts}`},
				{"chunks", ` o WHERE o.document_id IN {texts} ORDER BY o.id`},
				{"signatures", ` o WHERE o.document_id IN {texts}`},
				{"signature_bands", ` o WHERE o.document_id IN {texts}`},
			} {
				if err := t.table(ctx, tx, c.table, c.of, list(ids)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		done += len(ids)
		report()
	}
	return nil
}

// others copies the tables that are small beside documents, each at one stroke and in the place of what a cut
// transfer left of it.
func (t *transfer) others(ctx context.Context) error {
	for _, tables := range [][]string{{"reports"}, {"fetches"}, {"watches"}, {"jobs"}, {"conversations", "messages"}, {"spare_vectors"}} {
		err := t.to.update(ctx, func(tx *transaction) error {
			for _, table := range slices.Backward(tables) {
				if _, err := tx.exec(ctx, `DELETE FROM `+table); err != nil {
					return err
				}
			}
			for _, table := range tables {
				if err := t.table(ctx, tx, table, ` o`); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return t.to.update(ctx, func(tx *transaction) error {
		if _, err := tx.exec(ctx, `DELETE FROM settings WHERE key <> ?`, transferKey); err != nil {
			return err
		}
		return t.table(ctx, tx, "settings", ` o WHERE o.key <> ?`, transferKey)
	})
}

// sequences keeps ids that the source has given out from being given out again.
func (t *transfer) sequences(ctx context.Context) error {
	return t.to.update(ctx, func(tx *transaction) error {
		for table, column := range map[string]string{"collections": "id", "chunks": "id", "jobs": "seq", "messages": "seq"} {
			last, err := lastID(ctx, t.from, table, column)
			if err != nil {
				return err
			}
			if err := setLastID(ctx, tx, table, column, last); err != nil {
				return err
			}
		}
		return nil
	})
}

// lastID is the last id that a table has given out, or 0.
func lastID(ctx context.Context, tx *transaction, table, column string) (last int64, err error) {
	if tx.dialect == postgres {
		var n sql.NullInt64
		err = tx.queryRow(ctx, `SELECT pg_sequence_last_value(pg_get_serial_sequence('`+table+`', '`+column+`')::regclass)`).Scan(&n)
		return n.Int64, err
	}
	err = tx.queryRow(ctx, `SELECT max((SELECT coalesce(max(`+column+`), 0) FROM `+table+`), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))`, table).Scan(&last)
	return last, err
}

func setLastID(ctx context.Context, tx *transaction, table, column string, last int64) error {
	if last == 0 {
		return nil
	}
	if tx.dialect == postgres {
		var n int64
		return tx.queryRow(ctx, `SELECT setval(pg_get_serial_sequence('`+table+`', '`+column+`'), ?)`, last).Scan(&n)
	}
	var auto bool
	if err := tx.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ? AND sql LIKE '%AUTOINCREMENT%')`, table).Scan(&auto); err != nil || !auto {
		return err
	}
	res, err := tx.exec(ctx, `UPDATE sqlite_sequence SET seq = ? WHERE name = ?`, last, table)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?,?)`, table, last)
	return err
}

// Counts returns how many rows the catalog has of what people put in: a name for each kind.
func (d *DB) Counts(ctx context.Context) (map[string]int64, error) {
	counts := make(map[string]int64)
	for _, table := range strings.Fields("collections documents contents chunks jobs conversations messages watches fetches reports") {
		var n int64
		if err := d.read.queryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
			return nil, Explain(err)
		}
		counts[table] = n
	}
	var n int64
	if err := d.read.queryRow(ctx, `SELECT count(*) FROM chunks WHERE vector IS NOT NULL`).Scan(&n); err != nil {
		return nil, Explain(err)
	}
	counts["vectors"] = n
	return counts, nil
}
