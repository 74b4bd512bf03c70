package retriever

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

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
}

const (
	fixDocument = "ingest the file again, or remove the document with: docent rm"
	fixIndex    = "stop docent and remove the folder \"index\" in the data directory: it is made anew"
	fixFile     = "add the file again"

	// maxProblems is how many are told of; a damage that is everywhere needs no list.
	maxProblems = 100
	// verifyBatch is how many chunks an engine is asked about at a time.
	verifyBatch = 256
)

func (v *Verification) add(fix, format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, Problem{fmt.Sprintf(format, args...), fix})
	}
}

// Verify checks a collection: that each document has its text and chunks, that each chunk's text has its
// checksum and its vector the right dimension and unit length, that the index has the same chunks with the
// same words and vectors and no others, and that each original file is there with its checksum. It reads
// everything, about as fast as the disk allows. It returns ErrNotFound for an unknown collection.
func (s *Store) Verify(ctx context.Context, collection string) (Verification, error) {
	v := Verification{Problems: []Problem{}}
	c, err := s.Collection(ctx, collection)
	if err != nil {
		return v, err
	}
	flaws, err := s.db.Flaws(ctx, collection)
	if err != nil {
		return v, err
	}
	for _, f := range flaws {
		v.add(fixDocument, "document %q: %s", f.Path, f.What)
	}
	if err := s.verifyChunks(ctx, c, &v); err != nil {
		return v, err
	}
	return v, s.verifyFiles(ctx, collection, &v)
}

// verifyChunks compares the chunks of the record with those of the engine, which loads them for it.
func (s *Store) verifyChunks(ctx context.Context, c Collection, v *Verification) error {
	x, err := s.engine.view(ctx, c.Name, Filter{})
	if errors.Is(err, ErrCorrupt) {
		v.add(fixDocument, "the collection cannot be searched: %v", err)
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
				v.add(fixDocument, "%v", err)
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
		v.add(fixDocument, "chunk %d of document %s: its vector has %d dimensions, want %d", k.ID, k.DocumentID, len(k.Vector), dim)
	case dim > 0:
		v.Vectors++
		if err := checkVector(k.Vector, dim); err != nil {
			v.add(fixDocument, "chunk %d of document %s: %v", k.ID, k.DocumentID, err)
		}
	}
}

// verifyFiles reads the originals.
func (s *Store) verifyFiles(ctx context.Context, collection string, v *Verification) error {
	docs, err := s.Documents(ctx, collection)
	if err != nil {
		return err
	}
	v.Documents = len(docs)
	seen := map[string]bool{"": true} // documents that were put without their original
	for _, d := range docs {
		if seen[d.SHA256] {
			continue
		}
		seen[d.SHA256] = true
		f, err := s.OpenFile(ctx, d.SHA256)
		if errors.Is(err, ErrNotFound) {
			v.add(fixFile, "the original of %q is gone from the data directory", d.Path)
			continue
		}
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, contextReader{ctx, f})
		f.Close()
		if err != nil {
			return err
		}
		v.Files++
		if hex.EncodeToString(sum.Sum(nil)) != d.SHA256 {
			v.add(fixFile, "the original of %q is damaged: its bytes do not have its checksum", d.Path)
		}
	}
	return nil
}
