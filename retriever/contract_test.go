package retriever_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"docent/internal/pgtest"
	"docent/retriever"
)

// A place is where a store lies: one that is opened there again has what was stored.
type place struct {
	dir     string
	address string // as Config.Store
	dense   *retriever.DensePart
}

// open opens the store of the place.
func (p place) open(t testing.TB, e retriever.Encoder, earlier ...retriever.Encoder) *retriever.Store {
	t.Helper()
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: p.dir, Store: p.address, Dense: p.dense, Encoder: e, Earlier: earlier, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// shared says whether the record, and so the files, are in Postgres.
func (p place) shared() bool { return strings.HasPrefix(p.address, "postgres") }

// another is a place of the same kind, with nothing in it.
func (p place) another(t *testing.T) place {
	p.dir = t.TempDir()
	if p.shared() {
		p.address = pgtest.Database(t)
	}
	return p
}

// eachStore runs a test of what every store has to do, in a place of each kind: the contract of
// retriever.Store. A kind whose server is not at hand is skipped, and says how to have it.
func eachStore(t *testing.T, test func(t *testing.T, at place)) {
	t.Run("embedded", func(t *testing.T) { test(t, place{dir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { test(t, place{dir: t.TempDir(), address: pgtest.Database(t)}) })
	t.Run("weaviate", func(t *testing.T) { test(t, place{dir: t.TempDir(), address: cluster(t)}) })
}

// cluster returns the address of the Weaviate cluster.
func cluster(t testing.TB) string {
	t.Helper()
	address := os.Getenv("DOCENT_TEST_WEAVIATE")
	if address == "" {
		t.Skip("needs a Weaviate cluster: export DOCENT_TEST_WEAVIATE=$(scripts/weaviate.sh start DIR), from the root of the repository")
	}
	return address
}
