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

// RestAfterEachRow makes Patrol rest after each row, until it is undone.
func RestAfterEachRow() (undo func()) {
	before := patrolStep
	patrolStep = 0
	return func() { patrolStep = before }
}

// Trusting returns a reader that does not compare rows with their checksums.
func Trusting(r Reader) Reader { return Reader{querier: r.querier} }
