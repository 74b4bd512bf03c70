package catalog_test

import (
	"errors"
	"testing"
	"time"

	"docent/chunker"
	"docent/internal/catalog"
)

func TestClaims(t *testing.T) { each(t, testClaims) }

func testClaims(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	must[catalog.Collection](t)(db.CreateCollection(ctx, "c", "", 0))
	jobs := []catalog.Job{{Collection: "c", Path: "a"}, {Collection: "c", Path: "a"}, {Collection: "c", Path: "s", Kind: catalog.SiteJob}, {Collection: "d", Path: "a"}}
	if err := db.AddJobs(ctx, jobs); err != nil {
		t.Fatal(err)
	}
	claim := func(sites bool, want int) catalog.Job {
		t.Helper()
		j, ok, err := db.ClaimJob(ctx, time.Minute, sites)
		if err != nil || ok != (want >= 0) || ok && j.ID != jobs[want].ID {
			t.Fatalf("claimed %+v, %v, %v, want job %d", j, ok, err, want)
		}
		return j
	}
	first := claim(false, 0)
	claim(false, 3) // of the second the path is being worked on, the third is a site
	claim(false, -1)
	claim(true, 2)

	// What is asked reaches whoever works on it with the next sign of life.
	if asked := must[bool](t)(db.AskJob(ctx, first.ID, catalog.PauseJob)); !asked {
		t.Error("a job at work cannot be asked")
	}
	if asked := must[bool](t)(db.AskJob(ctx, jobs[1].ID, catalog.PauseJob)); asked {
		t.Error("a job at rest was asked")
	}
	must[bool](t)(db.AskJob(ctx, first.ID, catalog.CancelJob))
	must[bool](t)(db.AskJob(ctx, first.ID, catalog.PauseJob))
	if asked := must[catalog.Request](t)(db.SaveJob(ctx, first, time.Minute)); asked != catalog.CancelJob {
		t.Errorf("asked %q", asked)
	}
	if _, err := db.ChangeJob(ctx, first.ID, func(j *catalog.Job) error { j.State = catalog.Paused; return nil }); !errors.Is(err, catalog.ErrBusy) {
		t.Errorf("a job at work was changed: %v", err)
	}

	// A document of a job is stored while the claim on it is held.
	put := func(claim string) error {
		change, err := db.PutDocument(ctx, catalog.Document{Collection: "c", Path: "a"}, chunker.Document{Text: "t"}, nil, "", 0, catalog.Notes{Claim: claim})
		if err != nil {
			return err
		}
		return change.Commit()
	}
	if err := put(first.Claim); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveJob(ctx, first, -time.Second); err != nil { // nothing was heard of it for long
		t.Fatal(err)
	}
	if err := put(first.Claim); err != nil {
		t.Errorf("the lease is over, but nobody has taken the job: %v", err)
	}
	again := must[[]catalog.Job](t)(db.RequeueJobs(ctx, 1, func(catalog.Job) string { return "too often" }))
	if len(again) != 1 || again[0].State != catalog.Cancelled { // as was asked
		t.Errorf("put back: %+v", again)
	}
	if err := put(first.Claim); !errors.Is(err, catalog.ErrLost) {
		t.Errorf("stored for a job that was lost: %v", err)
	}
	second := claim(false, 1)
	if _, err := db.SaveJob(ctx, second, -time.Second); err != nil {
		t.Fatal(err)
	}
	again = must[[]catalog.Job](t)(db.RequeueJobs(ctx, 1, func(catalog.Job) string { return "too often" }))
	if len(again) != 1 || again[0].State != catalog.Failed || again[0].Error != "too often" {
		t.Errorf("begun too often: %+v", again)
	}

	if err := db.SetSetting(ctx, catalog.QueuePaused, "yes"); err != nil {
		t.Fatal(err)
	}
	if err := db.AddJobs(ctx, []catalog.Job{{Collection: "c", Path: "b"}}); err != nil {
		t.Fatal(err)
	}
	claim(true, -1)
	for since, want := range map[time.Duration]int{-time.Minute: 5, time.Minute: 0} {
		changed, at, err := db.JobsSince(ctx, time.Now().Add(since))
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Fatalf("asked at %v: %v", at, err)
		}
		var last time.Time
		n := 0
		for j, err := range changed {
			if err != nil || j.UpdatedAt.Before(last) {
				t.Errorf("%+v, %v", j, err)
			}
			last = j.UpdatedAt
			n++
		}
		if n != want {
			t.Errorf("since %v: %d jobs changed, want %d", since, n, want)
		}
		for range changed { // who has seen enough goes
			break
		}
	}
}

func TestLeases(t *testing.T) { each(t, testLeases) }

func testLeases(t *testing.T, open func() *catalog.DB) {
	ctx := t.Context()
	db := open()
	for _, step := range []struct {
		owner string
		lease time.Duration
		want  bool
	}{{"a", time.Minute, true}, {"b", time.Minute, false}, {"a", -time.Second, true}, {"b", time.Minute, true}, {"a", time.Minute, false}} {
		if got := must[bool](t)(db.TakeLease(ctx, "watch", step.owner, step.lease)); got != step.want {
			t.Errorf("%+v: %v", step, got)
		}
	}
	for _, owner := range []string{"a", "b"} { // a has nothing to give
		if got := must[bool](t)(db.TakeLease(ctx, "watch", "c", time.Minute)); got {
			t.Error("given up by who did not have it")
		}
		if err := db.GiveLease(ctx, "watch", owner); err != nil {
			t.Fatal(err)
		}
	}
	if got := must[bool](t)(db.TakeLease(ctx, "watch", "c", time.Minute)); !got {
		t.Error("not given up")
	}
}
