package web_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"docent/ingest"
	"docent/internal/catalog"
	"docent/web"
)

func TestQueueControl(t *testing.T) {
	h := filled(t)
	jobs, err := h.store.Catalog().Jobs(t.Context(), "docs", 1)
	if err != nil || len(jobs) == 0 {
		t.Fatal(err)
	}
	done := jobs[0].ID
	h.run(t, []scenario{
		{"pause the queue", "POST", "/api/queue/pause", "", nil, 200, []string{`{"paused":true}`}, nil},
		{"see it", "GET", "/api/collections/docs/queue", "", nil, 200, []string{`"paused":true`, `"files":`, `"stages":{}`}, nil},
		{"pause a job that is done", "POST", "/api/jobs/" + done + "/pause", "", nil, 409, []string{"conflict", "has ended"}, nil},
		{"pause no job", "POST", "/api/jobs/nope/pause", "", nil, 404, nil, nil},
		{"retry what failed", "POST", "/api/collections/docs/retry", "", nil, 200, []string{`{"retried":0}`}, nil},
		{"unknown collection", "POST", "/api/collections/nope/retry", "", nil, 404, nil, nil},
		{"unknown collection", "GET", "/api/collections/nope/queue", "", nil, 404, nil, nil},
		{"no watching", "POST", "/api/collections/docs/watches", `{"folder":"/etc"}`, nil, 403, []string{"--watch-root"}, nil},
		{"none watched", "GET", "/api/collections/docs/watches", "", nil, 200, []string{`"watches":[]`, `"possible":false`}, nil},
	})
	if status, body := h.upload(t, "docs", file{"later.md", "# Later\n\nWritten while the queue rests."}); status != 202 {
		t.Fatalf("%d %s", status, body)
	}
	jobs, err = h.store.Catalog().Jobs(t.Context(), "docs", 1)
	if err != nil || jobs[0].State != catalog.Queued {
		t.Fatalf("%+v, %v", jobs, err)
	}
	h.run(t, []scenario{
		{"pause a job", "POST", "/api/jobs/" + jobs[0].ID + "/pause", "", nil, 200, []string{`"state":"paused"`}, nil},
		{"resume the job", "POST", "/api/jobs/" + jobs[0].ID + "/resume", "", nil, 200, []string{`"state":"queued"`}, nil},
		{"resume the queue", "POST", "/api/queue/resume", "", nil, 200, []string{`{"paused":false}`}, nil},
	})
	for _, j := range h.settle(t, "docs") {
		if j.State != catalog.Done {
			t.Errorf("%+v", j)
		}
	}
}

func TestWatches(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	var watcher *ingest.Watcher
	h := newHouse(t, func(c *web.Config) {
		watcher = ingest.NewWatcher(c.Pipeline.(*ingest.Pipeline), ingest.WatchConfig{Roots: []string{root}, Debounce: 20 * time.Millisecond})
		c.Watcher = watcher
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watcher.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, "notes")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	body := func(folder string, more string) string {
		raw, _ := json.Marshal(folder)
		return `{"folder":` + string(raw) + more + `}`
	}
	h.run(t, []scenario{
		{"watch", "POST", "/api/collections/docs/watches", body(folder, `,"include":["*.md"]`), nil, 201, []string{`"include":["*.md"]`}, nil},
		{"twice", "POST", "/api/collections/docs/watches", body(folder, ""), nil, 409, []string{"exists"}, nil},
		{"outside", "POST", "/api/collections/docs/watches", body(outside, ""), nil, 400, []string{"--watch-root"}, nil},
		{"upwards", "POST", "/api/collections/docs/watches", body(root+"/../"+filepath.Base(outside), ""), nil, 400, nil, nil},
		{"relative", "POST", "/api/collections/docs/watches", `{"folder":"notes"}`, nil, 400, []string{"absolute"}, nil},
		{"missing", "POST", "/api/collections/docs/watches", body(filepath.Join(root, "nope"), ""), nil, 400, []string{"no folder"}, nil},
		{"bad pattern", "POST", "/api/collections/docs/watches", body(root, `,"include":["[a"]`), nil, 400, nil, nil},
		{"unknown collection", "POST", "/api/collections/nope/watches", body(root, ""), nil, 404, nil, nil},
	})
	if err := os.WriteFile(filepath.Join(folder, "a.md"), []byte("# A\n\nWatched words."), 0o644); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if docs, err := h.store.Documents(t.Context(), "docs"); err == nil && len(docs) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file was not taken in")
		}
	}
	_, list := h.do(t, "GET", "/api/collections/docs/watches", nil)
	var got struct{ Watches []ingest.Watching }
	if err := json.Unmarshal([]byte(list), &got); err != nil || len(got.Watches) != 1 || got.Watches[0].Files != 1 {
		t.Fatalf("%s, %v", list, err)
	}
	h.run(t, []scenario{
		{"stop", "DELETE", "/api/watches/" + got.Watches[0].ID, "", nil, 204, nil, nil},
		{"stop again", "DELETE", "/api/watches/" + got.Watches[0].ID, "", nil, 404, nil, nil},
	})
}
