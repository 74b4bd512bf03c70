package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// schemaLock is the name of the lock that every change of the record shares, and that a migration has alone. It
// lasts as long as its transaction, so that it holds through a pooler which hands out connections for each.
const schemaLock = `hashtextextended('docent schema', 0)`

// newerSchema is the state of an error that tells a change that the schema is not the one it was written for.
const newerSchema = "DC001"

// SchemaVersion selects the version of the schema, for CheckSchema.
const SchemaVersion = `SELECT max(version_id) FROM goose_db_version WHERE is_applied`

// CheckSchema returns ErrNewerSchema for another version than the one that this process works with.
func (d *DB) CheckSchema(version int64) error {
	if version == d.schema {
		return nil
	}
	return fmt.Errorf("%s: %w: it has brought the schema up to date while this process, which knows version %d, was running; start this process anew with that release", d.path, ErrNewerSchema, d.schema)
}

// guard returns the statements with which a change begins: they wait for a migration, and fail with newerSchema
// after one by a later release.
func guard(version int64) string {
	return fmt.Sprintf(`SELECT pg_advisory_xact_lock_shared(%s);
		DO $$ BEGIN IF (%s) <> %d THEN RAISE EXCEPTION 'other schema' USING ERRCODE = '%s'; END IF; END $$`, schemaLock, SchemaVersion, version, newerSchema)
}

// refused explains the error of a guard.
func (d *DB) refused(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == newerSchema {
		return d.CheckSchema(-1)
	}
	return err
}

// migratePostgres runs the migrations that the database lacks, after it has copied the record unless copying is
// off. Other processes that start wait for it, and the changes of those that run, which are refused afterwards.
func (d *DB) migratePostgres(ctx context.Context, copying bool, logger *slog.Logger) error {
	latest, err := latestSchema(postgres)
	if err != nil {
		return err
	}
	d.schema = latest
	current, err := d.currentSchema(ctx, latest)
	if err != nil || current == latest {
		return err
	}
	// The transaction only holds the lock; the migrations have a connection of their own.
	tx, err := d.write.begin(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.exec(ctx, `SELECT pg_advisory_xact_lock(`+schemaLock+`)`); err != nil {
		return err
	}
	if current, err = d.currentSchema(ctx, latest); err != nil || current == latest { // another process was quicker
		return err
	}
	if current > 0 && copying {
		began := time.Now()
		name, err := d.copySchema(ctx, current)
		if err != nil {
			return fmt.Errorf("copy the record, of schema %d, before its migration to %d: %w; nothing was changed. Make room, or make a copy with pg_dump and add upgrade_copy=off to the address", current, latest, Explain(err))
		}
		logger.WarnContext(ctx, "record copied before its migration", "schema", current, "to", latest, "copy", name, "took", time.Since(began).Round(time.Millisecond),
			"hint", "the release before opens it with search_path="+name+",public in the address; DROP SCHEMA "+name+" CASCADE removes it")
	}
	p, err := newMigrations(postgres, d.write.DB)
	if err != nil {
		return err
	}
	results, err := p.Up(ctx)
	for _, r := range results {
		logger.InfoContext(ctx, "catalog migrated", "migration", filepath.Base(r.Source.Path), "took", r.Duration)
	}
	return err
}

// currentSchema is 0 for a database without one, and ErrNewerSchema for one above latest.
func (d *DB) currentSchema(ctx context.Context, latest int64) (int64, error) {
	var has bool
	if err := d.write.queryRow(ctx, `SELECT to_regclass(quote_ident(current_schema()) || '.goose_db_version') IS NOT NULL`).Scan(&has); err != nil || !has {
		return 0, err
	}
	var version sql.NullInt64
	if err := d.write.queryRow(ctx, SchemaVersion).Scan(&version); err != nil {
		return 0, err
	}
	if version.Int64 <= latest {
		return version.Int64, nil
	}
	hint := ""
	var copied string
	err := d.write.queryRow(ctx, `SELECT coalesce(max(nspname), '') FROM pg_namespace WHERE nspname BETWEEN ? AND ?`, copyPrefix, fmt.Sprintf("%s%04d_z", copyPrefix, latest)).Scan(&copied)
	if err == nil && copied != "" {
		hint = fmt.Sprintf("; or go back to the copy made before the migration, without what has been done since: add search_path=%s,public to the address", copied)
	}
	return 0, fmt.Errorf("%w: its schema is version %d, this program knows up to %d; update the program%s", ErrNewerSchema, version.Int64, latest, hint)
}

// copyPrefix begins the names of the schemas that hold copies: docent_copy_v0004_20260131t120000.
const copyPrefix = "docent_copy_v"

// recordTables are the tables of the record, and goose's. What is searched is made of it.
var recordTables = strings.Fields(`collections documents contents chunks spare_vectors reports signatures signature_bands fetches watches jobs conversations messages settings
	files file_pieces search_classes search_outbox leases goose_db_version`)

// copySchema copies the record to a schema of its own in the same database, which the release that wrote the record can
// open as it is, and removes earlier copies. It returns the name.
func (d *DB) copySchema(ctx context.Context, version int64) (name string, err error) {
	name = fmt.Sprintf("%s%04d_%s", copyPrefix, version, time.Now().UTC().Format("20060102t150405"))
	tx, err := d.write.begin(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return "", err
	}
	defer tx.Rollback()
	texts := func(statement string, args ...any) ([]string, error) {
		rows, err := tx.query(ctx, statement, args...)
		return collect(rows, err, func(s scanner) (one string, err error) { return one, s.Scan(&one) })
	}
	earlier, err := texts(`SELECT nspname FROM pg_namespace WHERE starts_with(nspname, ?) AND nspname <> current_schema()`, copyPrefix)
	if err != nil {
		return "", err
	}
	tables, err := texts(`SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname IN {texts}`, list(recordTables))
	if err != nil {
		return "", err
	}
	// What refers to what is said without the schema while that is the one searched, and so holds in the copy too.
	references, err := texts(`SELECT 'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(conname) || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
		WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conrelid::regclass::text IN {texts}`, list(tables))
	if err != nil {
		return "", err
	}
	counters, err := texts(`SELECT format('SELECT setval(pg_get_serial_sequence(%L, %L), (SELECT last_value FROM %s), (SELECT is_called FROM %s))', t.relname, a.attname, s.oid::regclass, s.oid::regclass)
		FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attidentity <> '' JOIN pg_class s ON s.oid = pg_get_serial_sequence(t.oid::regclass::text, a.attname)::regclass
		WHERE t.relnamespace = current_schema()::regnamespace AND t.relname IN {texts}`, list(tables))
	if err != nil {
		return "", err
	}
	statements := []string{`CREATE SCHEMA ` + name}
	for _, t := range tables {
		statements = append(statements, fmt.Sprintf(`CREATE TABLE %s.%s (LIKE %[2]s INCLUDING ALL)`, name, t), fmt.Sprintf(`INSERT INTO %s.%s OVERRIDING SYSTEM VALUE TABLE %[2]s`, name, t))
	}
	for _, c := range counters {
		statements = append(statements, strings.Replace(c, "pg_get_serial_sequence('", "pg_get_serial_sequence('"+name+".", 1))
	}
	statements = append(statements, `SELECT set_config('search_path', '`+name+`,' || current_setting('search_path'), true)`)
	statements = append(statements, references...)
	for _, e := range earlier {
		statements = append(statements, `DROP SCHEMA `+e+` CASCADE`)
	}
	for _, s := range statements {
		if _, err := tx.exec(ctx, s); err != nil {
			return "", err
		}
	}
	return name, tx.Commit()
}
