package ingest_test

import (
	"errors"
	"testing"

	"docent/ingest"
	"docent/retriever"
)

func TestSettings(t *testing.T) {
	ctx := t.Context()
	store, err := retriever.Open(ctx, retriever.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := ingest.ReadSettings(ctx, store, "none"); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("settings of a collection that is not there: %v", err)
	}
	if _, err := store.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	want := ingest.DefaultSettings()
	if want.OCR != "auto" || want.Private.Email != "leave" {
		t.Fatalf("defaults: %+v", want)
	}
	if got, err := ingest.ReadSettings(ctx, store, "c"); err != nil || got != want {
		t.Fatalf("at first: %+v, %v", got, err)
	}
	want.OCR, want.Private.Phone = "off", "mask"
	got, err := ingest.ChangeSettings(ctx, store, "c", func(s *ingest.Settings) error {
		if err := s.Set("ocr", "off"); err != nil {
			return err
		}
		return s.Merge([]byte(`{"private":{"phone":"mask"}}`))
	})
	if err != nil || got != want {
		t.Fatalf("changed: %+v, %v", got, err)
	}
	for _, bad := range []func(s *ingest.Settings) error{
		func(s *ingest.Settings) error { return s.Set("ocr", "sometimes") },
		func(s *ingest.Settings) error { return s.Set("private", "mask") },
		func(s *ingest.Settings) error { return s.Merge([]byte(`{"ocr":"perhaps"}`)) },
		func(s *ingest.Settings) error { return s.Merge([]byte(`{"colour":"red"}`)) },
		func(s *ingest.Settings) error { return s.Merge([]byte(`[1]`)) },
		func(s *ingest.Settings) error { s.Duplicates = "?"; return nil },
	} {
		if _, err := ingest.ChangeSettings(ctx, store, "c", bad); !errors.Is(err, ingest.ErrInvalidSetting) {
			t.Errorf("a bad setting: %v", err)
		}
	}
	if got, err := ingest.ReadSettings(ctx, store, "c"); err != nil || got != want {
		t.Errorf("in the end: %+v, %v", got, err)
	}
	for _, s := range got.List() {
		if s.Help == "" {
			t.Errorf("setting %s has no help", s.Key)
		}
	}
}
