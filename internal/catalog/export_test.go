package catalog

import (
	"context"
	"database/sql"
	"testing"
)

// MigratePostgresTo makes the schema of an earlier version in a database of Postgres.
func MigratePostgresTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	p, err := newMigrations(postgres, db)
	if err == nil {
		_, err = p.UpTo(context.Background(), version)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// RecordTables are those that a copy has.
var RecordTables = recordTables
