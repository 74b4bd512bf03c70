package retriever

import (
	"context"
	"errors"
	"fmt"

	"docent/internal/catalog"
)

// A Problem is something that does not agree with something else, and what to do about it.
type Problem struct {
	What string `json:"what"`
	Fix  string `json:"fix"`
}

// A Verification is what Verify found.
type Verification struct {
	Documents int       `json:"documents"`
	Chunks    int       `json:"chunks"`
	Vectors   int       `json:"vectors"`
	Files     int       `json:"files"` // original files that were read
	Problems  []Problem `json:"problems"`

	// What the problems are of, all of it.
	Index     bool                       `json:"-"` // what is searched is not what the record has
	Damaged   map[string]DamagedDocument `json:"-"` // by id
	Originals []Document                 `json:"-"` // whose file is damaged or gone
}

// A DamagedDocument has something in the record that is not what was written.
type DamagedDocument struct {
	Document
	Text bool // its text or structure is damaged or missing, not only its passages or their vectors
}

const (
	fixDocument = "docent doctor --repair makes it anew; where it cannot, ingest the file again, or remove the document with: docent rm"
	fixSearch   = "mend the documents"
	fixIndex    = "docent doctor --repair makes the index anew"
	fixFile     = "docent doctor --repair looks for it where it came from; where it is not there, add the file again"

	// maxProblems is how many are told of; a damage that is everywhere needs no list.
	maxProblems = 100
	// verifyBatch is how many chunks an engine is asked about at a time.
	verifyBatch = 256
)

func (v *Verification) add(fix, format string, args ...any) {
	v.Index = v.Index || fix == fixIndex
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, Problem{fmt.Sprintf(format, args...), fix})
	}
}

// damaged adds a problem of a document.
func (v *Verification) damaged(id string, text bool, format string, args ...any) {
	d := v.Damaged[id]
	d.ID, d.Text = id, d.Text || text
	v.Damaged[id] = d
	v.add(fixDocument, format, args...)
}

// Verify checks a collection: that each document has its text and chunks, that each chunk's text has its
// checksum and its vector the right dimension and unit length, that the index has the same chunks with the
// same words and vectors and no others, and that each original file is there with its checksum. It reads
// everything, about as fast as the disk allows. It returns ErrNotFound for an unknown collection.
func (s *Store) Verify(ctx context.Context, collection string) (Verification, error) {
	v := Verification{Problems: []Problem{}, Damaged: map[string]DamagedDocument{}}
	c, err := s.Collection(ctx, collection)
	if err != nil {
		return v, err
	}
	flaws, err := s.db.Flaws(ctx, collection)
	if err != nil {
		return v, err
	}
	for _, f := range flaws {
		if f.Path != "" {
			f.What = fmt.Sprintf("document %q: %s", f.Path, f.What)
		}
		v.damaged(f.Document, f.Text, "%s", f.What)
	}
	if err := s.verifyChunks(ctx, c, &v); err != nil {
		return v, err
	}
	docs, err := s.Documents(ctx, collection)
	if err != nil {
		return v, err
	}
	v.Documents = len(docs)
	if err := s.verifyTexts(ctx, docs, &v); err != nil {
		return v, err
	}
	err = s.verifyFiles(ctx, docs, &v)
	for _, doc := range docs {
		if d, ok := v.Damaged[doc.ID]; ok {
			d.Document = doc
			v.Damaged[doc.ID] = d
		}
	}
	return v, err
}

// verifyTexts compares the text of each document with that of its passages.
func (s *Store) verifyTexts(ctx context.Context, docs []Document, v *Verification) error {
	for _, d := range docs {
		if d.DuplicateOf != "" || v.Damaged[d.ID].Text {
			continue
		}
		content, err := s.Content(ctx, d.ID)
		if errors.Is(err, ErrCorrupt) {
			v.damaged(d.ID, true, "document %q: %v", d.Path, err)
			continue
		}
		if errors.Is(err, ErrNotFound) {
			continue // gone meanwhile
		}
		if err != nil {
			return err
		}
		chunks, err := s.db.Chunks(ctx, d.ID)
		if errors.Is(err, ErrCorrupt) {
			v.damaged(d.ID, false, "document %q: %v", d.Path, err)
			continue
		}
		if err != nil {
			return err
		}
		for _, k := range chunks {
			inside := k.Start >= 0 && k.Start <= k.End && k.End <= len(content.Text)
			if !inside || content.Text[k.Start:k.End] != k.Text {
				// Either may be the one that is damaged; the passage has a checksum.
				_, bad := v.Damaged[d.ID]
				v.damaged(d.ID, inside && !bad, "document %q: its text is not that of its passage %d", d.Path, k.ID)
				break
			}
		}
	}
	return nil
}

// verifyChunks compares the chunks of the record with those of the engine, which loads them for it.
func (s *Store) verifyChunks(ctx context.Context, c Collection, v *Verification) error {
	x, err := s.engine.view(ctx, c.Name, Filter{})
	if errors.Is(err, ErrCorrupt) {
		v.add(fixSearch, "the collection cannot be searched: %v", err)
	} else if err != nil {
		return err
	} else {
		defer x.close()
	}
	var batch []catalog.Chunk
	compare := func() error {
		if x == nil || len(batch) == 0 {
			return nil
		}
		what, err := x.disagrees(ctx, batch)
		for i := range what {
			if what[i] != "" {
				v.add(fixIndex, "chunk %d of document %s: %s", batch[i].ID, batch[i].DocumentID, what[i])
			}
		}
		batch = batch[:0]
		return err
	}
	for after := int64(0); ; {
		broken := false
		for k, err := range s.db.ChunksAfter(ctx, c.Name, after) {
			if errors.Is(err, ErrCorrupt) && k.ID > after {
				v.damaged(k.DocumentID, false, "%v", err)
				after, broken = k.ID, true
				break
			}
			if err != nil {
				return err
			}
			after = k.ID
			v.Chunks++
			verifyVector(c.Dim, k, v)
			if batch = append(batch, k); len(batch) == verifyBatch {
				if err := compare(); err != nil {
					return err
				}
			}
		}
		if !broken {
			break
		}
	}
	if err := compare(); err != nil || x == nil {
		return err
	}
	n, err := x.count(ctx)
	if err == nil && n != v.Chunks {
		v.add(fixIndex, "the index has %d chunks, the record %d", n, v.Chunks)
	}
	return err
}

func verifyVector(dim int, k catalog.Chunk, v *Verification) {
	switch {
	case len(k.Vector) != dim:
		v.damaged(k.DocumentID, false, "chunk %d of document %s: its vector has %d dimensions, want %d", k.ID, k.DocumentID, len(k.Vector), dim)
	case dim > 0:
		v.Vectors++
		if err := checkVector(k.Vector, dim); err != nil {
			v.damaged(k.DocumentID, false, "chunk %d of document %s: %v", k.ID, k.DocumentID, err)
		}
	}
}

// verifyFiles reads the originals.
func (s *Store) verifyFiles(ctx context.Context, docs []Document, v *Verification) error {
	seen := map[string]bool{"": true} // documents that were put without their original
	for _, d := range docs {
		if seen[d.SHA256] {
			continue
		}
		seen[d.SHA256] = true
		what, read, err := s.flawOfFile(ctx, d)
		if err != nil {
			return err
		}
		if read {
			v.Files++
		}
		if what != "" {
			v.Originals = append(v.Originals, d)
			v.add(fixFile, "%s", what)
		}
	}
	return nil
}
