package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// fitPooler asks whether a pooler of connections answers in the place of the server, such as PgBouncer, and sets the
// connections so that they can be handed out for each transaction: without statements that a session keeps
// prepared. It returns ErrPooler where that does not do.
//
// A pooler tells its clients a process id of its own making, which they may cancel a query with; the server tells the
// one of the process that works.
func fitPooler(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == protocolViolation && strings.Contains(e.Message, "startup parameter") {
		return fmt.Errorf("%w: it answers %q: take that parameter out of the address, and set it with ALTER ROLE … SET", ErrPooler, e.Message)
	}
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var pid uint32
	var path string
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('search_path')`, pgx.QueryExecModeExec).Scan(&pid, &path); err != nil {
		return err
	}
	if pid == conn.PgConn().PID() {
		return nil
	}
	if want := cfg.RuntimeParams["search_path"]; want != "" && squeeze(want) != squeeze(path) {
		return fmt.Errorf("%w: it passes over search_path=%s of the address, and %s is in force: take it out, and use ALTER ROLE … SET search_path = %[2]s", ErrPooler, want, path)
	}
	tx, err := conn.Begin(ctx)
	if err == nil {
		err = tx.Rollback(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: it gives no transactions (%v); set pool_mode to transaction or session", ErrPooler, err)
	}
	if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return nil
}

// protocolViolation is the state of an error about what a client has sent.
const protocolViolation = "08P01"

// squeeze returns a list of names without spaces and quotes.
func squeeze(names string) string { return strings.NewReplacer(" ", "", `"`, "").Replace(names) }
