package ingest_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docent/ingest"
	"docent/retriever"
)

// TestDeletedIsGone: of a document that was removed no search finds anything, and no byte of its text is in any
// file of the data directory, also while the store is open. What a job and the log say of it by name stays.
func TestDeletedIsGone(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	secret := strings.Repeat("The quokkamarker lives in burrow nine near the river.\n\n", 400)
	res, err := b.pipe.Ingest(ctx, "c", b.file(t, "animals.md", secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pipe.Ingest(ctx, "c", b.file(t, "rooms.md", handbook), nil); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(b.dir, "data")
	if len(filesWith(t, data, "quokkamarker")) == 0 {
		t.Fatal("the data directory does not hold the text in the first place")
	}
	if err := b.store.DeleteDocument(ctx, res.DocumentID); err != nil {
		t.Fatal(err)
	}
	hits, err := b.store.Search(ctx, "c", "quokkamarker", retriever.WithMode(retriever.Keyword))
	if err != nil || len(hits) != 0 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	var left []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if left = filesWith(t, data, "quokkamarker"); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("the text is still in %v", left)
	}
	if got, err := b.pipe.Ingest(ctx, "c", b.file(t, "rooms.md", handbook), nil); err != nil || got.Status != ingest.Unchanged {
		t.Errorf("the other document: %+v, %v", got, err)
	}

	// A collection goes as its documents do.
	if err := b.store.DeleteCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	if left := filesWith(t, data, "fifteen days"); len(left) > 0 {
		t.Errorf("the text of a collection that was removed is still in %v", left)
	}
}

// filesWith are the files below dir that hold text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) { // gone since
			return nil
		}
		if bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}
