package catalog

import "context"

// A Flaw is a document of which the record does not agree with itself.
type Flaw struct {
	Document string // id
	Path     string
	What     string
	Text     bool // its text is missing, or it or what else is known of the document is damaged
}

const noText = "its text is missing"

// Flaws looks for documents of a collection that lack their text or some of their chunks, whose chunks lie
// outside their text, that are duplicates of nothing, or that are not what was written. Whether chunks are what was
// written is told by reading them.
func (d *DB) Flaws(ctx context.Context, collection string) ([]Flaw, error) {
	flaws, err := d.contradictions(ctx, collection)
	if err != nil || d.dialect != sqlite {
		return flaws, err
	}
	var id int64
	if err := d.read.queryRow(ctx, `SELECT id FROM collections WHERE name = ?`, collection).Scan(&id); err != nil {
		return nil, found(err, "collection", collection)
	}
	damaged, err := damagedIn(ctx, d.read, d.summed, id, "documents", "contents")
	for _, r := range damaged {
		flaws = append(flaws, Flaw{Document: r.Document, What: r.What + " is not what was written: it does not match its checksum", Text: true})
	}
	return flaws, err
}

func (d *DB) contradictions(ctx context.Context, collection string) ([]Flaw, error) {
	rows, err := d.read.query(ctx, `SELECT id, path, what FROM (
		SELECT d.id, d.path, CASE
			WHEN d.duplicate_of <> '' AND NOT EXISTS (SELECT 1 FROM documents o WHERE o.id = d.duplicate_of AND o.sha256 = d.sha256)
				THEN 'it is a duplicate of a document that is not there'
			WHEN d.duplicate_of <> '' AND EXISTS (SELECT 1 FROM chunks k WHERE k.document_id = d.id) THEN 'it is a duplicate and has chunks of its own'
			WHEN d.duplicate_of <> '' THEN ''
			WHEN NOT EXISTS (SELECT 1 FROM contents t WHERE t.document_id = d.id) THEN '`+noText+`'
			WHEN d.chunks <> (SELECT count(*) FROM chunks k WHERE k.document_id = d.id) THEN 'it should have ' || d.chunks || ' chunks, but has ' || (SELECT count(*) FROM chunks k WHERE k.document_id = d.id)
			WHEN d.chunks <> (SELECT coalesce(max(k.ordinal), -1) + 1 FROM chunks k WHERE k.document_id = d.id) THEN 'its chunks are not numbered through'
			WHEN EXISTS (SELECT 1 FROM chunks k JOIN contents t ON t.document_id = k.document_id WHERE k.document_id = d.id
				AND (k.start_byte < 0 OR k.start_byte > k.end_byte OR k.end_byte > octet_length(t.text))) THEN 'a chunk lies outside its text'
			ELSE '' END AS what
		FROM documents d WHERE d.collection_id = (SELECT id FROM collections WHERE name = ?)) f WHERE what <> '' ORDER BY path`, collection)
	return collect(rows, err, func(s scanner) (f Flaw, err error) {
		err = s.Scan(&f.Document, &f.Path, &f.What)
		f.Text = f.What == noText
		return f, err
	})
}
