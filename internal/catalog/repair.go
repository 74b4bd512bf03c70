package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"docent/internal/sqlitefile"
)

// A Repair is a damage that was found, and what was done about it.
type Repair struct {
	What string `json:"what"`
	Done string `json:"done"`
}

// Repairs are what RepairFile found and did.
type Repairs struct {
	All []Repair
	// Lost says that documents or jobs may have been lost, so that files they named are named by nothing.
	Lost bool
}

func (r *Repairs) add(done, format string, args ...any) {
	r.All = append(r.All, Repair{fmt.Sprintf(format, args...), done})
}

// CheckFile looks for damage that opening the database file at path, which nobody may have open, would hide: a
// header that SQLite takes for that of a file of another kind, and a write-ahead log of which it would drop
// transactions that had ended. It returns ErrCorrupt with the file's name.
func CheckFile(path string) error {
	what, err := sqlitefile.CheckHeader(path)
	if err == nil && what != "" {
		return fmt.Errorf("%s: %w: %s", path, ErrCorrupt, what)
	}
	if err != nil {
		return err
	}
	return checkLog(path)
}

func checkLog(path string) error {
	log, err := sqlitefile.CheckLog(path)
	if err == nil && log.Lost != "" {
		err = fmt.Errorf("%s: %w: %s", path+"-wal", ErrCorrupt, log.Lost)
	}
	return err
}

// RepairFile looks for damage in the database file at path, which nobody may have open, and mends it: indexes
// are made anew from their tables; a file that cannot be trusted is read page by page into a new one, in
// whose place it is put; rows that contradict the others are mended or removed. A file that was damaged is
// kept in the folder keep, which is made when it is needed. Lost documents are listed, as far as anything is
// known of them.
func RepairFile(ctx context.Context, path, keep string) (Repairs, error) {
	var r Repairs
	if err := checkLog(path); errors.Is(err, ErrCorrupt) {
		if err := keepFile(path, keep); err != nil {
			return r, err
		}
		r.Lost = true
		r.add("the transactions after the damage are lost; both files as they were are kept in "+keep, "%v", err)
	} else if err != nil {
		return r, err
	}
	damage, err := sqlitefile.CheckHeader(path)
	if err != nil {
		return r, err
	}
	indexes := false
	if damage == "" {
		if damage, indexes, err = examine(ctx, path); err != nil {
			return r, err
		}
	}
	if damage != "" && indexes {
		if damage, err = r.reindex(ctx, path, damage); err != nil {
			return r, err
		}
	}
	if damage != "" {
		if err := r.salvage(ctx, path, keep, damage); err != nil {
			return r, err
		}
	}
	db, err := Open(ctx, path, nil)
	if err != nil {
		return r, err
	}
	err = db.mendRows(ctx, keep, &r)
	return r, errors.Join(err, db.Close())
}

// examine returns the first findings on the file's structure; "" when it has no flaw. indexes says that
// nothing but indexes is concerned, which their tables can make anew.
func examine(ctx context.Context, path string) (damage string, indexes bool, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false, err
	}
	db, err := connect(abs)
	if err != nil {
		return "", false, err
	}
	defer db.Close()
	return examineDB(ctx, db)
}

// CheckAll compares the whole file with itself: its structure, its indexes with their tables, the tables with those
// of its schema version, and rows with their checksums, but for those of documents, which Flaws and ChunksAfter tell.
// It returns ErrCorrupt with the first findings, which RepairFile mends.
//
// Postgres has tools of its own for that, and is not checked.
func (d *DB) CheckAll(ctx context.Context) error {
	if d.dialect != sqlite {
		return nil
	}
	damage, _, err := examineDB(ctx, d.write.DB)
	if err == nil && damage != "" {
		err = fmt.Errorf("%s: %w: %s", d.path, ErrCorrupt, damage)
	}
	if err != nil {
		return err
	}
	damaged, err := d.DamagedRows(ctx, true)
	if err != nil {
		return err
	}
	return damageError(d.path, slices.DeleteFunc(damaged, func(r DamagedRow) bool { return ofDocuments(r.Table) }))
}

func examineDB(ctx context.Context, db *sql.DB) (damage string, indexes bool, err error) {
	found, err := findings(ctx, db, "integrity_check(20)")
	if unreadable(err) {
		return err.Error(), false, nil
	}
	if err != nil {
		return "", false, err
	}
	if len(found) == 0 {
		missing, err := missingParts(ctx, db)
		return missing, false, err
	}
	indexes = true
	for _, f := range found {
		indexes = indexes && (strings.HasPrefix(f, "row ") && strings.Contains(f, " missing from index ") || strings.HasPrefix(f, "wrong # of entries in index ") || strings.HasPrefix(f, "non-unique entry in index "))
	}
	return strings.Join(found, "; "), indexes, nil
}

// unreadable tells errors that come of what the file holds from those of the disk or of other processes.
func unreadable(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return errors.Is(err, ErrCorrupt)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM:
		return false
	case sqlite3.SQLITE_IOERR:
		return e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ
	}
	return true
}

// missingParts names the tables and indexes of a database of the same schema version that this one has not, or
// not in that form.
func missingParts(ctx context.Context, db *sql.DB) (string, error) {
	version, err := versionOf(ctx, db)
	if unreadable(err) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	fresh, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", err
	}
	defer fresh.Close()
	fresh.SetMaxOpenConns(1)
	if err := migrateTo(ctx, fresh, version); err != nil {
		return "", err
	}
	want, err := partsOf(ctx, fresh)
	if err != nil {
		return "", err
	}
	has, err := partsOf(ctx, db)
	if err != nil {
		return "", err
	}
	var missing []string
	for _, part := range want {
		if !slices.Contains(has, part) {
			missing = append(missing, part.name)
		}
	}
	if len(missing) == 0 {
		return "", nil
	}
	return "missing from it, or not as they should be: " + strings.Join(missing, ", "), nil
}

// A schemaPart is a table or index and the statement that makes it.
type schemaPart struct{ name, sql string }

func partsOf(ctx context.Context, db *sql.DB) ([]schemaPart, error) {
	rows, err := db.QueryContext(ctx, `SELECT type || ' ' || name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version' ORDER BY 1`)
	return collect(rows, err, func(s scanner) (p schemaPart, err error) {
		err = s.Scan(&p.name, &p.sql)
		p.sql = plainSQL(p.sql)
		return p, err
	})
}

// schemaSum is the checksum of the parts of a new database. To make one for comparison takes long.
const schemaSum = "fa2a09254a82b642"

func sumOfParts(parts []schemaPart) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s\n%s\n", p.name, p.sql)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// checkSchema returns ErrCorrupt unless all tables and indexes are there, as they were made.
func (d *DB) checkSchema(ctx context.Context) error {
	parts, err := partsOf(ctx, d.write.DB)
	if err != nil || sumOfParts(parts) == schemaSum {
		return err
	}
	missing, err := missingParts(ctx, d.write.DB)
	if err == nil && missing != "" {
		err = fmt.Errorf("%w: %s", ErrCorrupt, missing)
	}
	return err
}

var sqlComment = regexp.MustCompile(`--[^\n]*`)

// plainSQL is a statement without comments, which releases may word otherwise, and with single spaces.
func plainSQL(text string) string {
	return strings.Join(strings.Fields(sqlComment.ReplaceAllString(text, "")), " ")
}

// reindex makes all indexes anew, and returns what damage is left.
func (r *Repairs) reindex(ctx context.Context, path, damage string) (left string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	db, err := connect(abs)
	if err != nil {
		return "", err
	}
	_, err = db.ExecContext(ctx, `REINDEX`)
	if err = errors.Join(err, db.Close()); err != nil {
		return damage + "; " + err.Error(), nil
	}
	if left, _, err = examine(ctx, path); err == nil && left == "" {
		r.add("the indexes were made anew from their tables; nothing is lost", "%s: %s", path, damage)
	}
	return left, err
}

// keepFile puts a database file and its log into the folder keep, as they are.
func keepFile(path, keep string) error {
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return Explain(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		from, to := path+suffix, filepath.Join(keep, filepath.Base(path)+suffix)
		if _, err := os.Stat(to); err == nil {
			continue // it was kept before anything was changed
		}
		if err := copyTo(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Explain(err)
		}
	}
	return nil
}

func copyTo(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// mendRows mends or removes rows that contradict the others, or that cannot be decoded.
func (d *DB) mendRows(ctx context.Context, keep string, r *Repairs) error {
	return d.update(ctx, func(t *transaction) error {
		tx := t.Tx
		if err := d.correctRows(ctx, t, r); err != nil {
			return err
		}
		if err := keepTexts(ctx, tx, keep, r); err != nil {
			return err
		}
		if err := adoptDocuments(ctx, tx, r); err != nil {
			return err
		}
		// A collection is put above, so whoever refers to a collection or document that is missing refers to
		// nothing. messages go with their conversation.
		for _, orphans := range []struct{ table, column, parent string }{
			{"contents", "document_id", "documents"}, {"chunks", "document_id", "documents"}, {"signatures", "document_id", "documents"},
			{"signature_bands", "document_id", "documents"}, {"messages", "conversation_id", "conversations"}, {"reports", "collection_id", "collections"},
			{"signature_bands", "collection_id", "collections"}, {"fetches", "collection_id", "collections"}, {"watches", "collection_id", "collections"},
		} {
			res, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s NOT IN (SELECT id FROM %s)`, orphans.table, orphans.column, orphans.parent))
			if err != nil {
				return err
			}
			if n, _ := res.RowsAffected(); n > 0 {
				r.Lost = r.Lost || orphans.parent == "documents"
				r.add("they were removed", "%d rows of %s belong to nothing in %s", n, orphans.table, orphans.parent)
			}
		}
		for _, c := range []struct {
			table, key, column, empty, done string
			into                            func() any
		}{
			{"documents", "id", "metadata", "{}", "its metadata is empty now", func() any { return new(map[string]string) }},
			{"documents", "id", "warnings", "[]", "its warnings were removed", func() any { return new([]string) }},
			{"chunks", "id", "headings", "[]", "they were removed; ingest the document again to have them", func() any { return new([]string) }},
			{"chunks", "id", "labels", "[]", "they were removed; ingest the document again to have them", func() any { return new([]string) }},
			{"collections", "name", "settings", "{}", "the collection has the default settings now", func() any { return new(map[string]json.RawMessage) }},
			{"watches", "id", "include", "[]", "the list is empty now", func() any { return new([]string) }},
			{"watches", "id", "exclude", "[]", "the list is empty now", func() any { return new([]string) }},
		} {
			rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s, %s FROM %s WHERE %s <> ?`, c.key, c.column, c.table, c.column), c.empty)
			bad, err := collect(rows, err, func(s scanner) (key any, err error) {
				var text string
				if err := s.Scan(&key, &text); err != nil {
					return nil, err
				}
				if json.Unmarshal([]byte(text), c.into()) == nil {
					key = nil
				}
				return key, nil
			})
			if err != nil {
				return err
			}
			for _, key := range bad {
				if key == nil {
					continue
				}
				if _, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET %s = ? WHERE %s = ?`, c.table, c.column, c.key), c.empty, key); err != nil {
					return err
				}
				r.add(c.done, "%s %v: its %s are not what was written", strings.TrimSuffix(c.table, "s"), key, c.column)
			}
		}
		if err := d.settleRows(ctx, t, r); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM search_outbox WHERE class NOT IN (SELECT name FROM search_classes)`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE search_classes SET collection_id = NULL WHERE ? OR collection_id NOT IN (SELECT id FROM collections)`, r.Lost); err != nil {
			return err // after a loss none can be relied on, and all are made anew
		}
		if r.Lost {
			if err := skipIDs(ctx, tx); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM reports WHERE NOT json_valid(report)`)
		if err != nil {
			return err
		}
		if n, _ := res.RowsAffected(); n > 0 {
			r.add("they were removed", "%d reports on how files were read are not what was written", n)
		}
		return nil
	})
}

// keepTexts writes the texts of documents that are missing to files.
func keepTexts(ctx context.Context, tx *sql.Tx, keep string, r *Repairs) error {
	rows, err := tx.QueryContext(ctx, `SELECT document_id, text FROM contents WHERE document_id NOT IN (SELECT id FROM documents)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	dir, n := filepath.Join(keep, "texts"), 0
	for rows.Next() {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		if _, err := uuid.Parse(id); err != nil {
			id = newID() // it is damaged too, and no name for a file
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, id+".txt"), []byte(text), 0o600); err != nil {
			return err
		}
		n++
	}
	if n > 0 {
		r.Lost = true
		r.add("the texts are kept in "+dir+"; the files they were made of can be ingested again", "%d documents have lost their name and place", n)
	}
	return rows.Err()
}

// adoptDocuments makes a collection for the documents of each that is missing.
func adoptDocuments(ctx context.Context, tx *sql.Tx, r *Repairs) error {
	rows, err := tx.QueryContext(ctx, `SELECT d.collection_id, count(*), (SELECT coalesce(max(length(k.vector)), 0) / 4 FROM chunks k JOIN documents o ON o.id = k.document_id WHERE o.collection_id = d.collection_id)
		FROM documents d WHERE d.collection_id NOT IN (SELECT id FROM collections) GROUP BY d.collection_id`)
	type lost struct {
		id             int64
		documents, dim int
	}
	all, err := collect(rows, err, func(s scanner) (l lost, err error) { return l, s.Scan(&l.id, &l.documents, &l.dim) })
	if err != nil {
		return err
	}
	for _, l := range all {
		name, encoder := fmt.Sprintf("recovered %d", l.id), ""
		if l.dim > 0 {
			encoder = "unknown"
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO collections (id, name, encoder, dim, created_at) VALUES (?,?,?,?,?)`, l.id, name, encoder, l.dim, toMicro(now())); err != nil {
			return err
		}
		r.add(fmt.Sprintf("they are in the collection %q now; docent reindex makes it searchable by meaning", name), "a collection of %d documents has lost its name and settings", l.documents)
	}
	return nil
}
