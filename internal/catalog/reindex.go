package catalog

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// spareAge is how long a vector is kept that no chunk has come for.
const spareAge = 30 * 24 * time.Hour

// SpareVectors keeps vectors of the encoder, by the hash of their text, for whoever needs them next:
// VectorsByHash finds them. Ones that were kept thirty days for nothing go.
func (d *DB) SpareVectors(ctx context.Context, encoder string, vectors map[Hash][]float32) error {
	if len(vectors) == 0 {
		return nil
	}
	return d.update(ctx, func(tx *transaction) error {
		at := now()
		if _, err := tx.exec(ctx, `DELETE FROM spare_vectors WHERE created_at < ?`, toMicro(at.Add(-spareAge))); err != nil {
			return err
		}
		hashes := slices.SortedFunc(maps.Keys(vectors), func(a, b Hash) int { return bytes.Compare(a[:], b[:]) }) // so that two that write the same ones do not wait for each other
		for batch := range slices.Chunk(hashes, rowsAtOnce) {
			var args []any
			for _, h := range batch {
				args = append(args, encoder, h[:], tx.vector(vectors[h]), toMicro(at))
			}
			if _, err := tx.exec(ctx, `INSERT INTO spare_vectors (encoder, hash, vector, created_at) VALUES `+placeholders(len(batch), 4)+`
				ON CONFLICT (encoder, hash) DO UPDATE SET vector = excluded.vector, created_at = excluded.created_at`, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Reindexed says how many of a collection's chunks have a spare vector of the encoder and dimension, of
// how many.
func (d *DB) Reindexed(ctx context.Context, collection, encoder string, dim int) (done, total int, err error) {
	err = d.read.queryRow(ctx, `SELECT count(s.hash), count(*) FROM documents d
		JOIN chunks k ON k.document_id = d.id LEFT JOIN spare_vectors s ON s.encoder = ?2 AND s.hash = k.hash AND {spare dim} = ?3
		WHERE d.collection_id = (SELECT id FROM collections WHERE name = ?1)`, collection, encoder, dim).Scan(&done, &total)
	return done, total, Explain(err)
}

// ChunksToReindex returns, by ascending id, up to limit of a collection's chunks above the id after that
// have no spare vector of the encoder and dimension. They come without vectors.
func (d *DB) ChunksToReindex(ctx context.Context, collection, encoder string, dim int, after int64, limit int) ([]Chunk, error) {
	// Chunks in the order of their ids, so that none before after is looked at again.
	rows, err := d.read.query(ctx, `SELECT `+chunkColumns+` FROM chunks k {join in order} documents d ON d.id = k.document_id
		WHERE k.id > ?3 AND d.collection_id = (SELECT id FROM collections WHERE name = ?1)
		AND NOT EXISTS (SELECT 1 FROM spare_vectors s WHERE s.encoder = ?2 AND s.hash = k.hash AND {spare dim} = ?5)
		ORDER BY k.id LIMIT ?4`, collection, encoder, after, limit, dim)
	return collect(rows, err, func(s scanner) (Chunk, error) { return scanChunk(s) })
}

// SwapEncoder gives every chunk of a collection its spare vector and the collection the encoder they are
// of; an empty encoder takes the vectors away. It returns ErrNotFound for an unknown collection. With an
// error that is ErrIncomplete, some chunks have no spare vector yet.
func (d *DB) SwapEncoder(ctx context.Context, collection, encoder string, dim int) (*Change, error) {
	return d.begin(ctx, func(tx *transaction, c *Change) error {
		id, err := collectionID(ctx, tx, collection, "{for update}")
		if err != nil {
			return err
		}
		const ours = `document_id IN (SELECT id FROM documents WHERE collection_id = ?)`
		if encoder == "" {
			if _, err := tx.exec(ctx, `UPDATE chunks SET vector = NULL WHERE `+ours, id); err != nil {
				return err
			}
		} else {
			var missing int
			err := tx.queryRow(ctx, `SELECT count(*) FROM chunks WHERE `+ours+`
				AND NOT EXISTS (SELECT 1 FROM spare_vectors s WHERE s.encoder = ? AND s.hash = chunks.hash AND {spare dim} = ?)`, id, encoder, dim).Scan(&missing)
			if err != nil {
				return err
			}
			if missing > 0 {
				return fmt.Errorf("collection %q: %w: %d chunks have no vector of %q", collection, ErrIncomplete, missing, encoder)
			}
			if _, err := tx.exec(ctx, `UPDATE chunks SET vector = (SELECT s.vector FROM spare_vectors s WHERE s.encoder = ?2 AND s.hash = chunks.hash)
				WHERE document_id IN (SELECT id FROM documents WHERE collection_id = ?1)`, id, encoder); err != nil {
				return err
			}
			// Every text of them has its vector with a chunk now.
			if _, err := tx.exec(ctx, `DELETE FROM spare_vectors WHERE encoder = ?2 AND hash IN (SELECT k.hash FROM chunks k
				JOIN documents d ON d.id = k.document_id WHERE d.collection_id = ?1)`, id, encoder); err != nil {
				return err
			}
		}
		_, err = tx.exec(ctx, `UPDATE collections SET encoder = ?, dim = ? WHERE id = ?`, encoder, dim, id)
		return err
	})
}

// dropSpare forgets the spare vectors of chunks that have come.
func dropSpare(ctx context.Context, tx *transaction, encoder string, chunks []Chunk) error {
	var any bool
	if err := tx.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM spare_vectors WHERE encoder = ?)`, encoder).Scan(&any); err != nil || !any {
		return err
	}
	hashes := make([]Hash, len(chunks))
	for i, k := range chunks {
		hashes[i] = HashText(k.IndexText())
	}
	for batch := range slices.Chunk(hashes, hashesAtOnce) {
		if _, err := tx.exec(ctx, `DELETE FROM spare_vectors WHERE encoder = ?1 AND hash IN (SELECT {hash} FROM {each hash})`, encoder, hexes(batch)); err != nil {
			return err
		}
	}
	return nil
}
