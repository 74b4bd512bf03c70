package catalog

import (
	"context"
	"fmt"
)

// Notes are what goes into the record with a document, besides what is searched.
type Notes struct {
	Report  []byte  // JSON; see DB.Report
	MinHash []byte  // a signature, to find documents that are nearly the same; nil for none
	Bands   []int64 // the keys that similar signatures are likely to share
	// Claim, unless empty, is that of the job the document is stored for: it is only stored, else ErrLost is
	// returned, while the claim is held.
	Claim string
}

// PutReport stores a report on a path of a collection in place of the one before; whether there is a
// document of that path does not matter. It returns ErrNotFound when there is no such collection.
func (d *DB) PutReport(ctx context.Context, collection, path string, report []byte) error {
	return d.update(ctx, func(tx *transaction) error {
		var id int64
		if err := tx.queryRow(ctx, `SELECT id FROM collections WHERE name = ?`, collection).Scan(&id); err != nil {
			return found(err, "collection", collection)
		}
		return putReport(ctx, tx, id, path, report)
	})
}

func putReport(ctx context.Context, tx *transaction, collection int64, path string, report []byte) error {
	_, err := tx.exec(ctx, `INSERT INTO reports (collection_id, path, report, updated_at) VALUES (?,?,?,?)
		ON CONFLICT (collection_id, path) DO UPDATE SET report = excluded.report, updated_at = excluded.updated_at`,
		collection, path, string(report), toMicro(now()))
	return err
}

// Report returns the last report on a path of a collection, or ErrNotFound.
func (d *DB) Report(ctx context.Context, collection, path string) ([]byte, error) {
	var report []byte
	err := d.read.queryRow(ctx, `SELECT r.report FROM reports r JOIN collections c ON c.id = r.collection_id WHERE c.name = ? AND r.path = ?`, collection, path).Scan(&report)
	return report, found(err, "report", path)
}

// FailedReports returns the reports of a collection whose "status" is "failed", by path.
func (d *DB) FailedReports(ctx context.Context, collection string) ([][]byte, error) {
	rows, err := d.read.query(ctx, `SELECT r.report FROM reports r JOIN collections c ON c.id = r.collection_id
		WHERE c.name = ? AND r.report ->> 'status' = 'failed' ORDER BY r.path`, collection)
	return collect(rows, err, func(s scanner) (report []byte, err error) { return report, s.Scan(&report) })
}

// putNotes stores the notes of a document that has just been written.
func putNotes(ctx context.Context, tx *transaction, collection int64, doc Document, n Notes) error {
	if n.Claim != "" {
		if err := holdsClaim(ctx, tx, n.Claim); err != nil {
			return fmt.Errorf("document %q: %w", doc.Path, err)
		}
	}
	if n.Report != nil {
		if err := putReport(ctx, tx, collection, doc.Path, n.Report); err != nil {
			return err
		}
	}
	if n.MinHash == nil {
		return nil
	}
	if _, err := tx.exec(ctx, `INSERT INTO signatures (document_id, minhash) VALUES (?,?)`, doc.ID, n.MinHash); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO signature_bands (collection_id, band, document_id) SELECT ?, band, ? FROM (SELECT DISTINCT value AS band FROM {ints} v) b`, collection, doc.ID, list(n.Bands))
	return err
}

// Signature returns the signature of the document of a path, or ErrNotFound.
func (d *DB) Signature(ctx context.Context, collection, path string) ([]byte, error) {
	var minHash []byte
	err := d.read.queryRow(ctx, `SELECT s.minhash FROM signatures s JOIN documents d ON d.id = s.document_id JOIN collections c ON c.id = d.collection_id
		WHERE c.name = ? AND d.path = ?`, collection, path).Scan(&minHash)
	return minHash, found(err, "signature", path)
}

// A Candidate is a document that may be nearly the same as another.
type Candidate struct {
	DocumentID string
	Path       string
	MinHash    []byte
}

// maxCandidates bounds what Similar returns, should a band be common to very many documents.
const maxCandidates = 500

// Similar returns documents of a collection that share a band.
func (d *DB) Similar(ctx context.Context, collection string, bands []int64) ([]Candidate, error) {
	rows, err := d.read.query(ctx, `SELECT d.id, d.path, s.minhash FROM (
			SELECT document_id, count(*) AS shared FROM signature_bands
			WHERE collection_id = (SELECT id FROM collections WHERE name = ?) AND band IN {ints}
			GROUP BY document_id ORDER BY shared DESC LIMIT ?) b
		JOIN documents d ON d.id = b.document_id JOIN signatures s ON s.document_id = d.id`, collection, list(bands), maxCandidates)
	return collect(rows, err, func(s scanner) (c Candidate, err error) {
		return c, s.Scan(&c.DocumentID, &c.Path, &c.MinHash)
	})
}
