package main_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docent/internal/pgtest"
)

// Two machines with data directories of their own work on one store.
func TestStoreInPostgres(t *testing.T) {
	address := pgtest.Database(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	a, b := newHome(t), newHome(t)
	a.env = append(a.env, "DOCENT_STORE="+address)
	if err := os.MkdirAll(b.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.data, "config.yaml"), []byte("store: "+address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.write("leave.md", "Employees get thirty days of leave a year.\n")
	a.ok("ingest", "-c", "house", "leave.md")
	for _, h := range []*home{a, b} {
		if out := h.ok("search", "-c", "house", "how much leave"); !strings.Contains(out, "thirty days") {
			t.Errorf("search: %s", out)
		}
	}
	b.ok("collections", "export", "house", "house.kb")
	alone := newHome(t)
	alone.ok("collections", "import", filepath.Join(b.work, "house.kb"))
	if out := alone.ok("search", "-c", "house", "how much leave"); !strings.Contains(out, "thirty days") {
		t.Errorf("search of the export: %s", out)
	}
	a.fails(1, []string{"pg_dump"}, "backup", "all.zip")
	if out := a.ok("doctor"); !strings.Contains(out, "xxxxx@") || strings.Contains(out, password) {
		t.Errorf("doctor shows the password, or no address: %s", out)
	}
	wrong := *u
	wrong.User = url.UserPassword("nobody", "sesame")
	if r := alone.fails(1, []string{wrong.Host}, "-v", "--store", wrong.String(), "collections"); strings.Contains(r.stderr, "sesame") {
		t.Errorf("the error shows the password: %s", r.stderr)
	}

	// What comes to one server is seen at the other, whichever takes it in.
	one, stopOne := a.serve("--model-provider", "extractive")
	other, stopOther := b.serve("--model-provider", "extractive")
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := range 6 {
		w, err := form.CreateFormFile("file", fmt.Sprintf("%d.md", i))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "The pump of hall %d is checked on day %d.\n", i, i)
	}
	form.Close()
	resp, err := http.Post(strings.TrimSuffix(one, "/")+"/api/collections/house/documents", form.FormDataContentType(), &body)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("upload: %v %v", resp, err)
	}
	resp.Body.Close()
	var jobs string
	for deadline := time.Now().Add(time.Minute); strings.Count(jobs, `"state":"done"`) < 6; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the jobs do not end: %s", jobs)
		}
		resp, err := http.Get(strings.TrimSuffix(other, "/") + "/api/collections/house/jobs")
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		jobs = string(data)
	}
	for _, stop := range []func() int{stopOne, stopOther} {
		if code := stop(); code != 0 {
			t.Errorf("serve ended with %d", code)
		}
	}
	if out := b.ok("documents", "-c", "house"); strings.Count(out, ".md") != 7 {
		t.Errorf("documents: %s", out)
	}
}
