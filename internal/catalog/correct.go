package catalog

import (
	"context"
	"fmt"
	"strings"

	"docent/internal/rowsum"
)

// correctRows puts right the rows that have one damaged byte, which their checksums tell.
func (d *DB) correctRows(ctx context.Context, tx *transaction, r *Repairs) error {
	// A key may come before what refers to it.
	if _, err := tx.exec(ctx, `PRAGMA defer_foreign_keys = 1`); err != nil {
		return err
	}
	for _, t := range d.summed {
		damaged, err := t.damaged(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, row := range damaged {
			if err := t.correct(ctx, tx, row, r); err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
		}
	}
	return nil
}

func (t summed) correct(ctx context.Context, tx *transaction, row DamagedRow, r *Repairs) error {
	values, sum, err := t.read(ctx, tx, row.key)
	if err != nil {
		return err
	}
	i, value, ok := rowsum.Correct(t.sums, values, sum)
	if !ok {
		return nil
	}
	if i < 0 {
		r.add("its checksum was made anew", "%s: its checksum was damaged", row.What)
		return t.accept(ctx, tx, row.key)
	}
	column := t.columns[i].name
	was := t.columnHas(column, row.key)
	// Where another row has the key by now, this one stays as it is.
	res, err := tx.Tx.ExecContext(ctx, fmt.Sprintf(`UPDATE OR IGNORE %s SET %s = ? WHERE %s`, t.name, column, t.is(func(string) string { return "?" })), append([]any{value}, row.key...)...)
	if err != nil {
		return err
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return nil
	}
	if was >= 0 {
		row.key[was] = value
	}
	r.add("the byte was put right by the row's checksum", "%s: a byte of its %s was damaged", row.What, strings.ReplaceAll(column, "_", " "))
	return t.accept(ctx, tx, row.key)
}

// columnHas returns the place of a column in the key, -1 when it is none of it. The id of a row that is its number, too.
func (t summed) columnHas(column string, key []any) int {
	for i := range key {
		if t.key[i] == column {
			return i
		}
	}
	for _, c := range t.columns {
		if c.rowID && c.name == column {
			return 0
		}
	}
	return -1
}

// read returns the values of a row, whatever bytes are in its texts, and its sum.
func (t summed) read(ctx context.Context, tx *transaction, key []any) (values []any, sum uint64, err error) {
	names := make([]string, 0, 2*len(t.columns))
	values, kinds := make([]any, len(t.columns)), make([]string, len(t.columns))
	var stored int64
	into := make([]any, 0, cap(names)+1)
	for i, c := range t.columns {
		names = append(names, "typeof("+c.name+")", "iif(typeof("+c.name+") = 'text', CAST("+c.name+" AS BLOB), "+c.name+")")
		into = append(into, &kinds[i], &values[i])
	}
	row := tx.Tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT %s, sum FROM %s WHERE %s`, strings.Join(names, ", "), t.name, t.is(func(string) string { return "?" })), key...)
	if err := row.Scan(append(into, &stored)...); err != nil {
		return nil, 0, err
	}
	for i, kind := range kinds {
		if b, ok := values[i].([]byte); ok && kind == "text" {
			values[i] = string(b)
		}
	}
	return values, uint64(stored), nil
}

// accept gives a row the sum of what it holds; one that a constraint forbids is removed.
func (t summed) accept(ctx context.Context, tx *transaction, key []any) error {
	res, err := tx.Tx.ExecContext(ctx, fmt.Sprintf(`UPDATE OR IGNORE %s SET sum = %s WHERE %s`, t.name, t.sum(""), t.is(func(string) string { return "?" })), key...)
	if err != nil {
		return err
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return t.remove(ctx, tx, key)
	}
	return nil
}

func (t summed) remove(ctx context.Context, tx *transaction, key []any) error {
	_, err := tx.Tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s`, t.name, t.is(func(string) string { return "?" })), key...)
	return err
}

// ofDocuments says whether the rows of a table are documents, their texts or their passages.
func ofDocuments(table string) bool {
	return table == "documents" || table == "contents" || table == "chunks"
}

// madeAnew are the tables whose rows come again by themselves.
var madeAnew = map[string]bool{"spare_vectors": true, "signatures": true, "signature_bands": true, "reports": true, "fetches": true, "leases": true}

// settleRows deals with the damaged rows that could not be put right: what comes again is removed; of what nothing else
// tells, it says so and leaves it as it is. Documents, their texts and passages are left to Store.Verify.
func (d *DB) settleRows(ctx context.Context, tx *transaction, r *Repairs) error {
	for _, t := range d.summed {
		if ofDocuments(t.name) {
			continue
		}
		damaged, err := t.damaged(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, row := range damaged {
			switch {
			case madeAnew[t.name]:
				err = t.remove(ctx, tx, row.key)
				r.add("it was removed, and is made anew when it is needed", "%s is not what was written", row.What)
			case t.name == "search_classes" || t.name == "search_outbox":
				r.Lost = true // so that all classes are made anew
				if err = t.accept(ctx, tx, row.key); err == nil {
					r.add("the search engine's copies of all collections are made anew", "%s is not what was written", row.What)
				}
			default:
				if err = t.accept(ctx, tx, row.key); err == nil {
					r.add("it stays as it is, or is removed where it makes no sense: look whether it is right", "%s is not what was written", row.What)
				}
			}
			if err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
		}
	}
	return nil
}
