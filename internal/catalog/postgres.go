package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pgvector/pgvector-go"
	"github.com/pressly/goose/v3"
)

var postgres = &dialect{
	name:    "postgres",
	goose:   goose.DialectPostgres,
	words:   strings.NewReplacer(postgresWords...),
	numbers: true,
	value: func(a any) any {
		if s, ok := a.(string); ok {
			return storable(s)
		}
		return a
	},
	vector: func(v []float32) any {
		if v == nil {
			return nil
		}
		return pgvector.NewVector(v).String()
	},
	floats: func(b []byte) ([]float32, error) {
		if len(b) == 0 {
			return nil, nil
		}
		var v pgvector.Vector
		err := v.Scan(b)
		return v.Slice(), err
	},
	again: func(err error) bool {
		e, ok := errors.AsType[*pgconn.PgError](err)
		return ok && (e.Code == "40001" || e.Code == "40P01") // serialization failure, deadlock
	},
}

// storable returns s without what Postgres does not take in a text, at the same length where it was UTF-8: a
// zero byte becomes a space.
func storable(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

const (
	// How many connections a process has at most: to change the record, and to read it. Those at rest for a
	// minute are closed; a server takes 100 by default, for all its clients.
	maxWriters  = 8
	maxReaders  = 12
	connTimeout = 10 * time.Second

	// upgradeCopy is the parameter of an address that keeps a migration from copying the record first: off.
	upgradeCopy = "upgrade_copy"
)

// OpenPostgres opens the database of a Postgres server that the URL names, which must have the extension
// vector or let the user create it, and brings its schema up to date. Any number of processes can have it
// open. It returns ErrNewerSchema for a database that a later release has brought up to date. Errors and
// log records do not have the password.
func OpenPostgres(ctx context.Context, address string, logger *slog.Logger) (*DB, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	shown := Redacted(address)
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: the address is not one of Postgres, such as postgres://user:password@host:5432/database", shown)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connTimeout
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "docent"
	}
	copying := true
	switch cfg.RuntimeParams[upgradeCopy] {
	case "", "on":
	case "off":
		copying = false
	default:
		return nil, fmt.Errorf("open catalog %s: %s is on or off", shown, upgradeCopy)
	}
	delete(cfg.RuntimeParams, upgradeCopy)
	if err := fitPooler(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", shown, Explain(err))
	}
	d := &DB{path: shown, dialect: postgres}
	connections := func(n int) pool {
		db := stdlib.OpenDB(*cfg)
		db.SetMaxOpenConns(n)
		db.SetMaxIdleConns(n)
		db.SetConnMaxIdleTime(time.Minute)
		return pool{db, postgres}
	}
	d.write, d.read = connections(maxWriters), connections(maxReaders)
	d.Reader = Reader{querier: d.read}
	if err := d.migratePostgres(ctx, copying, logger); err != nil {
		d.Close()
		return nil, fmt.Errorf("open catalog %s: %w", shown, Explain(err))
	}
	return d, nil
}

// IsPostgres says whether the address of a store is one for OpenPostgres.
func IsPostgres(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return ok && (scheme == "postgres" || scheme == "postgresql")
}

// Redacted returns the address of a store without its passwords, for logs and errors.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" && u.User == nil {
		// What cannot be told apart is not shown.
		scheme, _, _ := strings.Cut(address, ":")
		return scheme + "://…"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "xxxxx")
	}
	q := u.Query()
	for key := range q {
		if strings.Contains(strings.ToLower(key), "password") || strings.Contains(strings.ToLower(key), "key") {
			q.Set(key, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Shared says whether other processes may have the catalog open too.
func (d *DB) Shared() bool { return d.dialect == postgres }

// Postgres returns the connections that read the database, for a search engine that keeps what it needs
// beside the record; nil for SQLite.
func (d *DB) Postgres() *sql.DB {
	if d.dialect != postgres {
		return nil
	}
	return d.read.DB
}

// Tx returns the transaction of the change, for what is to become visible with it.
func (c *Change) Tx() *sql.Tx { return c.tx.Tx }
