package retriever_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/internal/catalog"
	"docent/internal/pgtest"
	"docent/retriever"
)

// migrateFrom and migrateTo tell a re-run of this test binary to migrate until it is killed.
const (
	migrateFrom = "DOCENT_TEST_MIGRATE_FROM" // directory, then address
	migrateTo   = "DOCENT_TEST_MIGRATE_TO"   // the same
)

func migrateSlowly(from string) error {
	config := func(place string) retriever.Config {
		dir, address, _ := strings.Cut(place, " ")
		return retriever.Config{Dir: dir, Store: address}
	}
	_, err := retriever.Migrate(context.Background(), config(from), config(os.Getenv(migrateTo)), func(p retriever.MigrateProgress) {
		fmt.Println(p.Stage, p.Done, p.Total)
		time.Sleep(30 * time.Millisecond) // so that there is time to kill it
	})
	return err
}

// storeToMigrate makes a store of two collections, with all that goes with them.
func storeToMigrate(t *testing.T, at place) {
	t.Helper()
	ctx := t.Context()
	s := at.open(t, words)
	create(t, s, "c", "empty", "德 c")
	for i := range 60 {
		text := fmt.Sprintf("pump %dx is serviced every %d days\nnobody runs pump %dx dry\nthe leave of engineer %dx is %d days\n", i, i, i, i, 2*i)
		for j := range 27 {
			text += fmt.Sprintf("wing %dx of engine %dx is inspected by employee %dx\n", i, j, i*j)
		}
		sum, _, err := s.PutFile(ctx, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		d, err := put(ctx, s, "c", retriever.Document{Path: fmt.Sprintf("%02d", i), SHA256: sum, Metadata: map[string]string{"n": fmt.Sprint(i)}}, text)
		if err != nil {
			t.Fatal(err)
		}
		if i%20 == 7 {
			if _, err := s.PutDuplicate(ctx, "c", retriever.Document{Path: fmt.Sprintf("%02d copy", i), SHA256: sum, DuplicateOf: d.ID}, retriever.Notes{Report: []byte(`{"status":"duplicate"}`)}); err != nil {
				t.Fatal(err)
			}
		}
		if i%9 == 0 { // so that ids have gaps
			if err := s.DeleteDocument(ctx, d.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustPut(t, s, "德 c", "中文", "客户可以在三十天内退货\n退款在五个工作日内到账\n")
	db := s.Catalog()
	if err := db.AddJobs(ctx, []catalog.Job{{Collection: "c", Path: "later.md"}, {Collection: "c", Path: "failed.md", State: catalog.Failed, Error: "no"}}); err != nil {
		t.Fatal(err)
	}
	talk, err := db.CreateConversation(ctx, catalog.Conversation{Collection: "c", Title: "Pumps"})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"user", "assistant"} {
		if _, err := db.AddMessage(ctx, catalog.Message{ConversationID: talk.ID, Role: role, Content: "about pumps", Data: []byte(`{"citations":[]}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.AddWatch(ctx, catalog.Watch{Collection: "c", Folder: "/srv/handbook", Include: []string{"*.md"}}); err != nil {
		t.Fatal(err)
	}
	if err := db.SpareVectors(ctx, "words@1", map[catalog.Hash][]float32{catalog.HashText("spare"): make([]float32, 32)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// told is all that a store has, as text.
func told(t *testing.T, s *retriever.Store) map[string]string {
	t.Helper()
	ctx, db := t.Context(), s.Catalog()
	all := map[string]string{}
	add := func(key string, v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		all[key] = fmt.Sprintf("%+v", v)
	}
	collections, err := s.Collections(ctx)
	add("collections", collections, err)
	for _, c := range collections {
		settings, err := db.CollectionSettings(ctx, c.Name)
		add("settings "+c.Name, string(settings), err)
		docs, err := s.Documents(ctx, c.Name)
		add("documents "+c.Name, docs, err)
		for _, d := range docs {
			content, err := s.Content(ctx, d.ID)
			add("content "+d.ID, content, err)
			if d.SHA256 != "" {
				f, err := s.OpenFile(ctx, d.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
		}
		for k, err := range db.ChunksAfter(ctx, c.Name, 0) {
			add(fmt.Sprintf("chunk %d", k.ID), k, err)
		}
	}
	jobs, err := db.Jobs(ctx, "", 0)
	add("jobs", jobs, err)
	talks, err := db.Conversations(ctx, 100, 0)
	add("conversations", talks, err)
	for _, talk := range talks {
		said, err := db.Messages(ctx, talk.ID)
		for _, m := range said {
			add("message "+m.ID, m.Role+m.Content+string(m.Data), nil)
		}
		add("messages", len(said), err)
	}
	watches, err := db.Watches(ctx, "")
	add("watches", watches, err)
	spare, err := db.VectorsByHash(ctx, "words@1", []catalog.Hash{catalog.HashText("spare")})
	add("spare vectors", spare, err)
	return all
}

func (p place) config() retriever.Config { return retriever.Config{Dir: p.dir, Store: p.address} }

// migrateWith copies a store and compares the two.
func migrateWith(t *testing.T, from, to place) {
	t.Helper()
	m, err := retriever.Migrate(t.Context(), from.config(), to.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := from.open(t, nil)
	want := told(t, a)
	a.Close()
	b := to.open(t, nil)
	defer b.Close()
	keyword := 1.0
	if from.weaviate() != to.weaviate() {
		keyword = .95 // a Weaviate cluster rounds otherwise
	}
	if m.Keyword < keyword || m.Dense < .98 || m.Queries < 20 || m.Missing > 0 || (m.Files == 0) != (from.dir == to.dir) || m.Counts["documents"] == 0 || m.Counts["vectors"] != m.Counts["chunks"] {
		t.Errorf("%+v", m)
	}
	if diff := cmp.Diff(want, told(t, b)); diff != "" {
		t.Errorf("the copy differs (-from +to):\n%s", diff)
	}
	t.Logf("%+v", m)
}

func TestMigrateEmbedded(t *testing.T) {
	from, to := place{dir: t.TempDir()}, place{dir: t.TempDir()}
	storeToMigrate(t, from)
	migrateWith(t, from, to)
	if _, err := retriever.Migrate(t.Context(), place{dir: t.TempDir()}.config(), to.config(), nil); !errors.Is(err, retriever.ErrExists) {
		t.Errorf("to a store that holds something: %v", err)
	}
	s := to.open(t, words)
	defer s.Close()
	d := mustPut(t, s, "c", "new", "an engine of wings\n")
	if hits := search(t, s, "c", "wings", retriever.TopK(1)); len(hits) != 1 || hits[0].Document.ID != d.ID {
		t.Errorf("what is put into the copy is not found: %+v", hits)
	}
}

// killMigration lets a process copy a store, and kills it a moment after the report that is waited for.
func killMigration(t *testing.T, from, to place, stage string, report int, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), migrateFrom+"="+from.dir+" "+from.address, migrateTo+"="+to.dir+" "+to.address)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), stage+" ") {
			report--
		}
		if report == 0 {
			time.Sleep(after)
			return
		}
	}
	t.Fatal("the process ended before it was killed")
}

// Each kind of store to each other: killed while documents are copied, killed while the copy is filled and asked,
// and then to the end, while the source changes between.
func TestMigrateEach(t *testing.T) {
	kinds := map[string]func(t *testing.T) place{
		"embedded": func(t *testing.T) place { return place{dir: t.TempDir()} },
		"postgres": func(t *testing.T) place { return place{dir: t.TempDir(), address: pgtest.Database(t)} },
		"weaviate": func(t *testing.T) place { return place{dir: t.TempDir(), address: cluster(t)} },
	}
	for source, from := range kinds {
		for target, to := range kinds {
			if source == target {
				continue
			}
			t.Run(source+" to "+target, func(t *testing.T) {
				from, to := from(t), to(t)
				storeToMigrate(t, from)
				killMigration(t, from, to, "documents", 3, 0)
				if _, err := retriever.Open(t.Context(), to.config()); !errors.Is(err, retriever.ErrUnfinished) {
					t.Errorf("the unfinished copy is opened: %v", err)
				}
				s := from.open(t, words)
				mustPut(t, s, "c", "01", "pump 1x was replaced\n")
				d, err := s.DocumentByPath(t.Context(), "c", "02")
				if err == nil {
					err = s.DeleteDocument(t.Context(), d.ID)
				}
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
				asked := 20 + 2 + 1 // the queries for the source, and that they are done
				killMigration(t, from, to, "queries", asked+1, 200*time.Millisecond)
				migrateWith(t, from, to)
				s = to.open(t, words)
				d = mustPut(t, s, "c", "new", "an engine of wings\n")
				if hits := search(t, s, "c", "wings", retriever.TopK(1)); len(hits) != 1 || hits[0].Document.ID != d.ID {
					t.Errorf("what is put into the copy is not found: %+v", hits)
				}
			})
		}
	}
}

// Embedded to a cluster where the record stays.
func TestMigrateSearchOnly(t *testing.T) {
	from := place{dir: t.TempDir()}
	address := cluster(t)
	storeToMigrate(t, from)
	migrateWith(t, from, place{dir: from.dir, address: address})
}
