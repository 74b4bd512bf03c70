package catalog

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	sqlitedriver "modernc.org/sqlite"
)

var sqlite = &dialect{
	name:  "sqlite",
	goose: goose.DialectSQLite3,
	words: strings.NewReplacer(sqliteWords...),
	vector: func(v []float32) any {
		if v == nil {
			return nil
		}
		b := make([]byte, 0, 4*len(v))
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	},
	floats: func(b []byte) ([]float32, error) {
		if len(b)%4 != 0 {
			return nil, fmt.Errorf("%w: a vector of %d bytes", ErrCorrupt, len(b))
		}
		if len(b) == 0 {
			return nil, nil
		}
		v := make([]float32, len(b)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return v, nil
	},
}

// checkedAlways is the size in bytes up to which a database is checked at every Open; a larger one is
// checked only after an end without Close, to keep the start quick.
const checkedAlways = 64 << 20

// Open opens the database file at path, creating it where it is missing, and brings its schema up to
// date. It returns ErrCorrupt for a damaged file and ErrNewerSchema for one of a later release; the
// file is left as it was in both cases. A nil logger discards.
func Open(ctx context.Context, path string, logger *slog.Logger) (*DB, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	check := needsCheck(abs)
	d := &DB{path: abs, dialect: sqlite, log: &emptier{path: abs}}
	// Full: a commit is synced to the disk before it is acknowledged, so it survives a power cut as well
	// as SIGKILL. Normal would be quicker and lose the last commits of a power cut.
	// What is removed is overwritten: a document that was deleted must not be found in the file's free pages.
	connector, err := sqlitedriver.NewConnector(address(abs, "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=secure_delete(1)"))
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	k := &keeper{Connector: connector}
	write := sql.OpenDB(k)
	write.SetMaxOpenConns(1)
	read, err := connect(abs, "_pragma=query_only(1)")
	if err != nil {
		write.Close()
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	read.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	read.SetMaxIdleConns(max(4, runtime.GOMAXPROCS(0)))
	d.write, d.read = pool{write, sqlite}, pool{read, sqlite}
	d.Reader = Reader{querier: d.read}
	if check {
		err = d.Check(ctx)
	}
	if err == nil {
		err = d.migrate(ctx, logger)
	}
	if err == nil {
		err = d.checkSchema(ctx)
	}
	if err == nil {
		err = d.keepSums(ctx, k)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open catalog %s: %w", path, Explain(err))
	}
	return d, nil
}

// needsCheck says whether the file's structure is to be checked before use. A write-ahead log left
// behind means that the last owner did not Close.
func needsCheck(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return false
	}
	wal, err := os.Stat(path + "-wal")
	return info.Size() <= checkedAlways || err == nil && wal.Size() > 0
}

func connect(path string, params ...string) (*sql.DB, error) {
	return sql.Open("sqlite", address(path, params...))
}

func address(path string, params ...string) string {
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/… on Windows
	}
	params = append([]string{"_pragma=busy_timeout(10000)", "_pragma=foreign_keys(1)", "_pragma=temp_store(MEMORY)", "_pragma=mmap_size(0)"}, params...)
	return "file://" + (&url.URL{Path: name}).EscapedPath() + "?" + strings.Join(params, "&")
}

// Check reads the whole file and returns ErrCorrupt, with the first finding, when its structure is
// damaged. Of a database of Postgres, which has checks of its own, it only asks whether it answers.
func (d *DB) Check(ctx context.Context) error {
	if d.dialect != sqlite {
		return Explain(d.read.PingContext(ctx))
	}
	found, err := findings(ctx, d.write.DB, "quick_check(20)")
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: %s", ErrCorrupt, found[0])
	}
	return err
}

// findings returns the first of those of a check of SQLite. A row that a constraint forbids is none: it has a
// checksum, which tells more.
func findings(ctx context.Context, db *sql.DB, check string) ([]string, error) {
	rows, err := db.QueryContext(ctx, "PRAGMA "+check)
	found, err := collect(rows, err, func(s scanner) (f string, err error) { return f, s.Scan(&f) })
	return slices.DeleteFunc(found, func(f string) bool { return f == "ok" || strings.HasPrefix(f, "CHECK constraint failed") }), err
}

// SetMaxBytes bounds the size of the database file, in bytes rounded up to its pages; a change that
// would pass it fails with ErrDiskFull. It cannot be less than the file is already. 0 means no bound.
// It holds until Close. It is for SQLite only.
func (d *DB) SetMaxBytes(ctx context.Context, n int64) error {
	var page int64
	if err := d.write.queryRow(ctx, "PRAGMA page_size").Scan(&page); err != nil {
		return Explain(err)
	}
	pages := int64(math.MaxUint32 - 1) // SQLite's own bound
	if n > 0 {
		pages = min((n+page-1)/page, pages)
	}
	_, err := d.exec(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return Explain(err)
}
