// Package pgtest gives tests a database of a real Postgres.
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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

// Pooler starts PgBouncer before the database of an address and returns the address to reach it by. It hands out
// its few connections in a pool_mode (session, transaction or statement); settings are further lines of its
// configuration. It ends with the test, which is skipped where there is no pgbouncer.
func Pooler(t testing.TB, address, mode string, settings ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("needs pgbouncer, a package of most systems")
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address is not a URL")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pooler := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(pooler)
	password, _ := u.User.Password()
	config := fmt.Sprintf("[databases]\n* = host=%s port=%s user=%s password=%s\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%s\nunix_socket_dir=\nauth_type=any\npool_mode=%s\ndefault_pool_size=6\nlog_connections=0\nlog_disconnections=0\n%s\n",
		u.Hostname(), u.Port(), u.User.Username(), password, port, mode, strings.Join(settings, "\n"))
	path := filepath.Join(t.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{path}
	if os.Geteuid() == 0 { // which it refuses to run as
		args = []string{"-u", "nobody", path}
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 100 {
		c, err := net.Dial("tcp", pooler)
		if err == nil {
			c.Close()
			u.Host = pooler
			return u.String()
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("pgbouncer does not start")
	return ""
}
