package catalog_test

import (
	"database/sql"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"docent/internal/catalog"
	"docent/internal/pgtest"
)

// A record of an earlier release is copied before it is migrated, once however many processes start; the copy is one that
// release can go on with, and a process of it that still runs is refused.
func TestPostgresUpgrade(t *testing.T) {
	ctx, address := t.Context(), pgtest.Database(t)
	raw := must[*sql.DB](t)(sql.Open("pgx", address))
	defer raw.Close()
	do := func(statement string) {
		t.Helper()
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	one := func(statement string) (n int) {
		t.Helper()
		if err := raw.QueryRow(statement).Scan(&n); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		return n
	}
	catalog.MigratePostgresTo(t, raw, 3)
	do(`INSERT INTO collections (name, encoder, dim, created_at) VALUES ('a', '', 0, 1), ('b', '', 0, 1);
		DELETE FROM collections WHERE name = 'a';
		INSERT INTO documents (id, collection_id, path, title, format, language, sha256, bytes, pages, chunks, metadata, warnings, added_at, updated_at)
			VALUES ('d', 2, 'p', 't', 'text', '', '', 1, 0, 1, '{}', '[]', 1, 1);
		INSERT INTO chunks (document_id, ordinal, start_byte, end_byte, tokens, first_page, last_page, headings, context, text, hash, vector)
			VALUES ('d', 0, 0, 4, 1, 0, 0, '[]', '', 'what?', '\x00', '[1,0]');`)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			db, err := catalog.OpenPostgres(ctx, address, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if all, err := db.Collections(ctx); err != nil || len(all) != 1 || all[0].Name != "b" {
				t.Errorf("%+v, %v", all, err)
			}
			db.Close()
		})
	}
	wg.Wait()
	var name string
	if err := raw.QueryRow(`SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname LIKE 'docent\_copy%'`).Scan(&name); err != nil || !strings.HasPrefix(name, "docent_copy_v0003_") || strings.Contains(name, " ") {
		t.Fatalf("copies %q, %v", name, err)
	}
	if n := one(`SELECT count(*) FROM ` + name + `.chunks WHERE text = 'what?' AND vector = '[1,0]'`); n != 1 {
		t.Errorf("the copy has %d of the chunk", n)
	}
	if n := one(`SELECT max(version_id) FROM ` + name + `.goose_db_version`); n != 3 {
		t.Errorf("the copy is of schema %d", n)
	}
	if n := one(`SELECT count(*) FROM pg_constraint x JOIN pg_class c ON c.oid = x.confrelid WHERE x.contype = 'f' AND x.connamespace = '` + name + `'::regnamespace AND c.relnamespace <> x.connamespace`); n != 0 {
		t.Errorf("%d references of the copy lead out of it", n)
	}
	if a, b := one(`SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = '`+name+`'::regnamespace`), one(`SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`); a != b || a == 0 {
		t.Errorf("the copy has %d references, the record %d", a, b)
	}
	if n := one(`INSERT INTO ` + name + `.collections (name, encoder, dim, created_at) VALUES ('next', '', 0, 1) RETURNING id`); n != 3 {
		t.Errorf("the next collection of the copy has number %d, want 3", n)
	}

	// Everything that the record has is in a copy.
	var tables []string
	for rows := must[*sql.Rows](t)(raw.Query(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)); rows.Next(); {
		var t string
		rows.Scan(&t)
		tables = append(tables, t)
	}
	for _, table := range tables {
		if !slices.Contains(catalog.RecordTables, table) {
			t.Errorf("%s is not copied", table)
		}
	}

	// The copy is itself a record that can be opened.
	u := must[*url.URL](t)(url.Parse(address))
	u.RawQuery = url.Values{"search_path": {name + ",public"}, "upgrade_copy": {"off"}}.Encode()
	earlier := must[*catalog.DB](t)(catalog.OpenPostgres(ctx, u.String(), nil))
	if all, err := earlier.Collections(ctx); err != nil || len(all) != 2 {
		t.Errorf("the copy has %+v, %v", all, err)
	}
	earlier.Close()
	if n := one(`SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'docent\_copy%'`); n != 1 {
		t.Errorf("%d copies after upgrade_copy=off", n)
	}

	running := must[*catalog.DB](t)(catalog.OpenPostgres(ctx, address, nil))
	defer running.Close()
	do(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	if _, err := running.CreateCollection(ctx, "late", "", 0); !errors.Is(err, catalog.ErrNewerSchema) || !strings.Contains(err.Error(), "start this process anew") {
		t.Errorf("a change by an earlier release: %v", err)
	}
	if _, err := catalog.OpenPostgres(ctx, address, nil); !errors.Is(err, catalog.ErrNewerSchema) || !strings.Contains(err.Error(), "search_path="+name) {
		t.Errorf("an earlier release opens it: %v", err)
	}
	if _, err := catalog.OpenPostgres(ctx, address+"?upgrade_copy=perhaps", nil); err == nil || !strings.Contains(err.Error(), "on or off") {
		t.Errorf("upgrade_copy=perhaps: %v", err)
	}
}
