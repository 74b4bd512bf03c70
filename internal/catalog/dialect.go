package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
)

// Statements are written once, for SQLite and Postgres. Where the two differ they say what they mean in
// braces, and a dialect has its words for it: see the keys of sqliteWords and postgresWords. Parameters are
// ? or ?1, ?2 and so on.
type dialect struct {
	name    string
	goose   goose.Dialect
	words   *strings.Replacer
	numbers bool // parameters are $1, $2
	known   sync.Map
	// value makes of an argument what the driver takes.
	value func(any) any
	// vector and floats turn vectors to arguments and what was read back to vectors.
	vector func([]float32) any
	floats func([]byte) ([]float32, error)
	// again says whether a transaction failed only because of another one.
	again func(error) bool
}

var sqliteWords = []string{
	"{ints}", "(SELECT value FROM json_each(?))", // one argument: a JSON array of them
	"{texts}", "(SELECT value FROM json_each(?))",
	"{each hash}", "json_each(?2) h", "{hash}", "unhex(h.value)", // argument 2: a JSON array of them, hexadecimal
	"{join in order}", "CROSS JOIN", // the planner is not to turn it round
	"{by hash}", "INDEXED BY chunks_hash", // without statistics the planner might start from the collections and read every chunk
	"{text bytes}", "CAST(text AS BLOB)",
	"{spare dim}", "length(s.vector) / 4",
	"{now}", "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", // in microseconds; SQLite knows milliseconds
	"{given ids}", "",
	"{for share}", "", "{for update}", "", "{skip locked}", "", // the one connection that writes is lock enough
}

var postgresWords = []string{
	"{ints}", "(SELECT value::bigint FROM json_array_elements_text(?::json))",
	"{texts}", "(SELECT value FROM json_array_elements_text(?::json))",
	"{each hash}", "json_array_elements_text(?2::json) AS h (value)", "{hash}", "decode(h.value, 'hex')",
	"{join in order}", "JOIN",
	"{by hash}", "",
	"{text bytes}", "convert_to(text, 'UTF8')",
	"{spare dim}", "vector_dims(s.vector)",
	"{now}", "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
	"{given ids}", "OVERRIDING SYSTEM VALUE", // rows come with their ids
	"{for share}", "FOR SHARE", "{for update}", "FOR UPDATE", "{skip locked}", "FOR UPDATE SKIP LOCKED",
}

// decode returns a vector as it was stored; nil for none.
func (l *dialect) decode(vector []byte) ([]float32, error) { return l.floats(vector) }

// statement returns a statement in the dialect's words.
func (l *dialect) statement(text string) string {
	if s, ok := l.known.Load(text); ok {
		return s.(string)
	}
	s := l.words.Replace(text)
	if l.numbers {
		s = numbered(s)
	}
	l.known.Store(text, s)
	return s
}

// numbered writes the parameters ? and ?N as $N. Statements have no question mark elsewhere.
func numbered(text string) string {
	var sb strings.Builder
	next := 1
	for {
		before, after, ok := strings.Cut(text, "?")
		sb.WriteString(before)
		if !ok {
			return sb.String()
		}
		sb.WriteByte('$')
		if after == "" || after[0] < '0' || after[0] > '9' {
			sb.WriteString(strconv.Itoa(next))
			next++
		}
		text = after
	}
}

func (l *dialect) values(args []any) []any {
	if l.value == nil {
		return args
	}
	given := make([]any, len(args))
	for i, a := range args {
		given[i] = l.value(a)
	}
	return given
}

// text returns a text as the database stores it.
func (l *dialect) text(s string) string {
	if l.value == nil {
		return s
	}
	return l.value(s).(string)
}

// A pool is a set of connections.
type pool struct {
	*sql.DB
	*dialect
}

// exec runs one statement as a transaction of its own.
func (p pool) exec(ctx context.Context, statement string, args ...any) (res sql.Result, err error) {
	err = p.retry(ctx, func() error {
		res, err = p.DB.ExecContext(ctx, p.statement(statement), p.values(args)...)
		return err
	})
	return res, err
}

func (p pool) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return p.DB.QueryContext(ctx, p.statement(statement), p.values(args)...)
}

func (p pool) queryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return p.DB.QueryRowContext(ctx, p.statement(statement), p.values(args)...)
}

func (p pool) begin(ctx context.Context, opts *sql.TxOptions) (*transaction, error) {
	tx, err := p.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &transaction{tx, p.dialect}, nil
}

// maxAgain is how often a transaction is begun anew because of others.
const maxAgain = 10

// retry calls fn again while it fails only because of another transaction.
func (l *dialect) retry(ctx context.Context, fn func() error) error {
	for n := 1; ; n++ {
		err := fn()
		if err == nil || n == maxAgain || l.again == nil || !l.again(err) {
			return err
		}
		select {
		case <-time.After(rand.N(time.Duration(n) * 10 * time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// A transaction is one on a pool of its dialect.
type transaction struct {
	*sql.Tx
	*dialect
}

func (t *transaction) exec(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	return t.Tx.ExecContext(ctx, t.statement(statement), t.values(args)...)
}

func (t *transaction) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(ctx, t.statement(statement), t.values(args)...)
}

func (t *transaction) queryRow(ctx context.Context, statement string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(ctx, t.statement(statement), t.values(args)...)
}

// lock waits until no other transaction holds a lock of the same name. It ends with the transaction. SQLite
// has one transaction that writes at a time.
func (t *transaction) lock(ctx context.Context, name string) error {
	if t.dialect == sqlite {
		return nil
	}
	_, err := t.exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended(?, 0))`, name)
	return err
}

// lockDocument makes the changes of one path wait for each other.
func lockDocument(ctx context.Context, tx *transaction, collection int64, path string) error {
	return tx.lock(ctx, fmt.Sprintf("document %d %s", collection, path))
}

// lockBytes makes the changes of documents of the same bytes, which may be duplicates, wait for each other. It
// comes after lockDocument.
func lockBytes(ctx context.Context, tx *transaction, collection int64, sha256 string) error {
	return tx.lock(ctx, fmt.Sprintf("bytes %d %s", collection, sha256))
}
