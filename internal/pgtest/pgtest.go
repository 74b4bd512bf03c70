// Package pgtest gives tests a database of a real Postgres.
package pgtest

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
)

// Database makes an empty database and returns its URL; the database goes with the test. The test is skipped
// where there is no server.
func Database(t testing.TB) string {
	t.Helper()
	server := os.Getenv("DOCENT_TEST_POSTGRES")
	if server == "" {
		t.Skip("needs a Postgres with pgvector: export DOCENT_TEST_POSTGRES=$(scripts/postgres.sh start), from the root of the repository")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("DOCENT_TEST_POSTGRES is not a URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "docent_test_" + strconv.FormatUint(rand.Uint64(), 36)
	if _, err := db.ExecContext(ctx, `CREATE DATABASE `+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	u.Path = "/" + name
	return u.String()
}
