package catalog_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"docent/internal/catalog"
	"docent/internal/pgtest"
)

// What a pooler does not do is told before anything is written, with what to set. (That the catalog works through
// one every test of each shows.)
func TestPoolerRefused(t *testing.T) {
	address := pgtest.Database(t)
	with := func(address, key, value string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = url.Values{key: {value}}.Encode()
		return u.String()
	}
	for _, c := range []struct{ name, mode, setting, key, value, says string }{
		{"a connection for each statement", "statement", "", "", "", "set pool_mode to transaction"},
		{"a parameter it refuses", "transaction", "", "search_path", "other,public", "ALTER ROLE"},
		{"a parameter it passes over", "transaction", "ignore_startup_parameters=search_path", "search_path", "other,public", "SET search_path = other,public"},
		{"one it passes over and that is in force", "transaction", "ignore_startup_parameters=search_path", "search_path", "$user,public", ""},
		{"sessions", "session", "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := pgtest.Pooler(t, address, c.mode, c.setting)
			if c.key != "" {
				to = with(to, c.key, c.value)
			}
			db, err := catalog.OpenPostgres(t.Context(), to, nil)
			if err == nil {
				db.Close()
			}
			if (c.says == "") != (err == nil) || err != nil && (!errors.Is(err, catalog.ErrPooler) || errors.Is(err, catalog.ErrUnavailable) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want it to say %q", err, c.says)
			}
		})
	}
}
