package retriever

import (
	"context"
	"errors"
	"fmt"

	"docent/chunker"
	"docent/internal/catalog"
)

// reindexBatch is how many chunks are embedded between two commits: what a kill can cost.
const reindexBatch = 256

// Reindex makes the collection one of the store's encoder: it embeds every chunk again, into a place
// beside the vectors in use, and puts the new ones in their stead at one stroke. Without an encoder it
// takes the vectors away. The text of the chunks stays as it was cut. It returns the collection as it is
// then, at once when there was nothing to do.
//
// Until the stroke the collection is what it was. Its words can be searched, and its vectors by an
// encoder that was given to Open as Earlier; documents can be removed from it, not added. When ctx ends,
// the process is killed or the encoder fails, the vectors made so far are kept, and the next Reindex goes
// on with what is missing. progress, unless nil, is called with the number of chunks that have their new
// vector, of how many.
//
// It returns ErrNotFound for an unknown collection, ErrReindexing while another call works on it, and
// ErrStorageFull.
func (s *Store) Reindex(ctx context.Context, collection string, progress func(done, total int)) (Collection, error) {
	if err := s.beginReindex(collection); err != nil {
		return Collection{}, err
	}
	defer s.endReindex(collection)
	c, err := s.Collection(ctx, collection)
	if err != nil || c.Encoder == s.fingerprint() && c.Dim == s.dim() {
		return c, err
	}
	for {
		if s.encoder != nil {
			if err := s.embedAnew(ctx, collection, progress); err != nil {
				return c, fmt.Errorf("reindex %q: %w", collection, err)
			}
		}
		err := s.swapEncoder(ctx, collection)
		if errors.Is(err, catalog.ErrIncomplete) && ctx.Err() == nil {
			continue // chunks have come, or a document that shares a text took its vector
		}
		if err != nil {
			return c, fmt.Errorf("reindex %q: %w", collection, err)
		}
		return s.Collection(ctx, collection)
	}
}

// beginReindex claims the collection for one call.
func (s *Store) beginReindex(collection string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.readOnly:
		return ErrReadOnly
	case s.reindexing[collection]:
		return fmt.Errorf("collection %q: %w", collection, ErrReindexing)
	}
	s.reindexing[collection] = true
	return nil
}

func (s *Store) endReindex(collection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reindexing, collection)
}

// embedAnew makes the vectors that the collection's chunks lack.
func (s *Store) embedAnew(ctx context.Context, collection string, progress func(done, total int)) error {
	done, total, err := s.db.Reindexed(ctx, collection, s.fingerprint(), s.dim())
	if err != nil {
		return err
	}
	report := func(n int) {
		if progress != nil {
			progress(min(n, total), total)
		}
	}
	report(done)
	for after := int64(0); ; {
		batch, err := s.db.ChunksToReindex(ctx, collection, s.fingerprint(), s.dim(), after, reindexBatch)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			report(total)
			return nil
		}
		after = batch[len(batch)-1].ID
		chunks := make([]chunker.Chunk, len(batch))
		for i, c := range batch {
			chunks[i] = c.Chunk
		}
		vectors, err := s.embed(ctx, chunks, func(n int) { report(done + n) })
		if err != nil {
			return err
		}
		if err := s.db.SpareVectors(ctx, s.fingerprint(), vectors); err != nil {
			return err
		}
		done += len(batch)
	}
}

// A preparer is an engine that can have ready what a collection is searched by once it has another encoder, whose
// vectors are in the record: then replace is quick.
type preparer interface {
	prepare(ctx context.Context, collection, encoder string, dim int) error
}

// swapEncoder puts the new vectors in place, in the record and in the engine.
func (s *Store) swapEncoder(ctx context.Context, collection string) error {
	if p, ok := s.engine.(preparer); ok {
		if err := p.prepare(ctx, collection, s.fingerprint(), s.dim()); err != nil {
			return err
		}
	}
	return s.commitEncoder(ctx, collection)
}

func (s *Store) commitEncoder(ctx context.Context, collection string) error {
	change, err := s.db.SwapEncoder(ctx, collection, s.fingerprint(), s.dim())
	if err != nil {
		return err
	}
	defer change.Rollback()
	return s.engine.replace(ctx, collection, change)
}
