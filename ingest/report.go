package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"docent/ingest/clean"
	"docent/retriever"
)

// A Report says what became of a file: what it is, what was read of it, what cleaning did, and how long
// each stage took. The last one of each path of a collection is kept, also when the file failed.
type Report struct {
	Path       string `json:"path"`
	Status     string `json:"status"` // Ingested, Partial, Duplicate or Failed
	Error      string `json:"error,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
	Format     string `json:"format,omitempty"`
	Bytes      int64  `json:"bytes"`
	Pages      int    `json:"pages,omitempty"`
	Characters int    `json:"characters"` // of the text that was kept
	Language   string `json:"language,omitempty"`
	Chunks     int    `json:"chunks"`

	Warnings         []string    `json:"warnings,omitempty"`
	PagesWithoutText []int       `json:"pages_without_text,omitempty"` // from 1, after recognition
	NeedsOCR         []int       `json:"needs_ocr,omitempty"`          // of them: something is to be seen there that recognition may read
	NeedsOCRIn       []FilePages `json:"needs_ocr_in,omitempty"`       // likewise in files within the file
	GarbledPages     []int       `json:"garbled_pages,omitempty"`      // from 1: their text was left out, as their fonts garble it
	RecognizedPages  []int       `json:"recognized_pages,omitempty"`   // from 1: their text comes from a picture
	RecognizedBy     string      `json:"recognized_by,omitempty"`      // the program or model

	Cleaning       clean.Report    `json:"cleaning"`
	DuplicateOf    string          `json:"duplicate_of,omitempty"` // the path of the document with the same bytes
	NearDuplicates []NearDuplicate `json:"near_duplicates,omitempty"`

	Stages []StageTime `json:"stages"` // in order
	At     time.Time   `json:"at"`
}

// A NearDuplicate is another document of the collection that says nearly the same.
type NearDuplicate struct {
	DocumentID string  `json:"document_id"`
	Path       string  `json:"path"`
	Similarity float64 `json:"similarity"` // estimated share of phrases in common, 0 to 1
}

// StageTime is how long a file was in a stage.
type StageTime struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
}

// ReadReport returns the last report on a path of a collection, or ErrNotFound of package retriever. Its
// near duplicates are those of now: others may have come and gone since.
func ReadReport(ctx context.Context, store *retriever.Store, collection, path string) (Report, error) {
	data, err := store.Catalog().Report(ctx, collection, path)
	if err != nil {
		return Report{}, err
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return Report{}, err
	}
	if r.Status != Ingested && r.Status != Partial {
		return r, nil
	}
	minHash, err := store.Catalog().Signature(ctx, collection, path)
	if errors.Is(err, retriever.ErrNotFound) {
		return r, nil
	}
	var sig clean.Signature
	if err == nil {
		err = sig.UnmarshalBinary(minHash)
	}
	if err == nil {
		r.NearDuplicates, err = nearDuplicates(ctx, store, collection, path, sig)
	}
	return r, err
}

// maxNear is how many near duplicates a report lists, the most similar first.
const maxNear = 10

// nearDuplicates finds the documents of a collection, but the one at path, whose signature is near sig.
func nearDuplicates(ctx context.Context, store *retriever.Store, collection, path string, sig clean.Signature) ([]NearDuplicate, error) {
	candidates, err := store.Catalog().Similar(ctx, collection, sig.Bands())
	if err != nil {
		return nil, err
	}
	var near []NearDuplicate
	for _, c := range candidates {
		var other clean.Signature
		if c.Path == path || other.UnmarshalBinary(c.MinHash) != nil {
			continue
		}
		if s := sig.Similarity(other); s >= clean.NearDuplicateFrom {
			near = append(near, NearDuplicate{c.DocumentID, c.Path, s})
		}
	}
	slices.SortFunc(near, func(a, b NearDuplicate) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), strings.Compare(a.Path, b.Path))
	})
	return near[:min(len(near), maxNear)], nil
}

// FailedReports returns the reports on the files of a collection that failed, by path.
func FailedReports(ctx context.Context, store *retriever.Store, collection string) ([]Report, error) {
	rows, err := store.Catalog().FailedReports(ctx, collection)
	if err != nil {
		return nil, err
	}
	all := make([]Report, len(rows))
	for i, data := range rows {
		if err := json.Unmarshal(data, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// reporter fills in a report while a file goes through the stages.
type reporter struct {
	Report
	stage string
	since time.Time
}

// enter ends the stage before and begins another; an empty name begins none.
func (r *reporter) enter(stage string) {
	now := time.Now()
	if r.stage == stage {
		return
	}
	if r.stage != "" {
		r.Stages = append(r.Stages, StageTime{r.stage, now.Sub(r.since).Seconds()})
	}
	r.stage, r.since = stage, now
}

// read notes what a file was found to be.
func (r *reporter) read(doc *Document) {
	r.Format, r.Pages, r.Language, r.Warnings = doc.Format, len(doc.Pages), doc.Language, doc.Warnings
	r.PagesWithoutText, r.NeedsOCR, r.NeedsOCRIn, r.GarbledPages = doc.PagesWithoutText, doc.NeedsOCR, doc.NeedsOCRIn, doc.GarbledPages
	r.RecognizedPages, r.RecognizedBy = doc.RecognizedPages, doc.RecognizedBy
	r.Characters = utf8.RuneCountInString(doc.Text)
}

// stored is the status of a document that was stored.
func (r *reporter) stored() string {
	if len(r.NeedsOCR)+len(r.NeedsOCRIn) > 0 {
		return Partial
	}
	return Ingested
}

func (r *reporter) encode() []byte {
	r.At = time.Now().UTC()
	data, err := json.Marshal(r.Report)
	if err != nil {
		panic("ingest: " + err.Error()) // numbers, strings and times: always encodable
	}
	return data
}

// whyEmpty says what took the text of a document that has none left.
func (r *reporter) whyEmpty() string {
	if n := len(r.Cleaning.Dropped); n > 0 {
		return fmt.Sprintf("cleaning dropped all of it (%s)", r.Cleaning.Dropped[0].Reason)
	}
	return ""
}
