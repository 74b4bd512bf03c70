package catalog

import (
	"context"
	"fmt"
	"time"
)

// A Fetch is what a server said of a page that was fetched for a collection.
type Fetch struct {
	URL          string // asked for
	Path         string // of the document that it became
	SHA256       string // of the bytes that came; hexadecimal
	ETag         string
	LastModified string
	At           time.Time
}

// PutFetch records a fetch in place of an earlier one of the same address. It returns ErrNotFound for an
// unknown collection.
func (d *DB) PutFetch(ctx context.Context, collection string, f Fetch) error {
	res, err := d.exec(ctx, `INSERT INTO fetches (collection_id, url, path, sha256, etag, last_modified, fetched_at)
		SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM collections WHERE name = ?1
		ON CONFLICT (collection_id, url) DO UPDATE SET path = excluded.path, sha256 = excluded.sha256, etag = excluded.etag, last_modified = excluded.last_modified, fetched_at = excluded.fetched_at`, collection, f.URL, f.Path, f.SHA256, f.ETag, f.LastModified, toMicro(f.At))
	return changed(res, err, "collection", collection)
}

// DeleteFetch forgets a fetch, if there was one.
func (d *DB) DeleteFetch(ctx context.Context, collection, url string) error {
	_, err := d.exec(ctx, `DELETE FROM fetches WHERE url = ?2 AND collection_id = (SELECT id FROM collections WHERE name = ?1)`, collection, url)
	return Explain(err)
}

const fetchColumns = `url, path, sha256, etag, last_modified, fetched_at`

func scanFetch(s scanner) (Fetch, error) {
	var f Fetch
	var at int64
	err := s.Scan(&f.URL, &f.Path, &f.SHA256, &f.ETag, &f.LastModified, &at)
	f.At = fromMicro(at)
	return f, err
}

// Fetch returns what is known of an address, or ErrNotFound.
func (d *DB) Fetch(ctx context.Context, collection, url string) (Fetch, error) {
	f, err := scanFetch(d.read.queryRow(ctx, `SELECT `+fetchColumns+` FROM fetches
		WHERE url = ?2 AND collection_id = (SELECT id FROM collections WHERE name = ?1)`, collection, url))
	return f, found(err, "fetch", url)
}

// Fetches returns what is known of the addresses of a collection, by address.
func (d *DB) Fetches(ctx context.Context, collection string) ([]Fetch, error) {
	rows, err := d.read.query(ctx, `SELECT `+fetchColumns+` FROM fetches
		WHERE collection_id = (SELECT id FROM collections WHERE name = ?1) ORDER BY url`, collection)
	return collect(rows, err, scanFetch)
}

// A Watch is a folder that is kept in step with a collection.
type Watch struct {
	ID         string    `json:"id"`
	Collection string    `json:"collection"`
	Folder     string    `json:"folder"` // absolute
	Include    []string  `json:"include"`
	Exclude    []string  `json:"exclude"`
	CreatedAt  time.Time `json:"created_at"`
}

// AddWatch stores a watch and returns it with its ID and time. It returns ErrNotFound for an unknown
// collection and ErrExists for a folder that the collection watches already.
func (d *DB) AddWatch(ctx context.Context, w Watch) (Watch, error) {
	w.ID, w.CreatedAt = newID(), now()
	if w.Include == nil {
		w.Include = []string{}
	}
	if w.Exclude == nil {
		w.Exclude = []string{}
	}
	res, err := d.exec(ctx, `INSERT INTO watches (id, collection_id, folder, include, exclude, created_at)
		SELECT ?2, id, ?3, ?4, ?5, ?6 FROM collections WHERE name = ?1`, w.Collection, w.ID, w.Folder, marshal(w.Include), marshal(w.Exclude), toMicro(w.CreatedAt))
	if err != nil {
		return w, fmt.Errorf("watch %s: %w", w.Folder, Explain(err))
	}
	return w, changed(res, err, "collection", w.Collection)
}

// Watches returns the watches of a collection, of all collections when the name is empty, by time.
func (d *DB) Watches(ctx context.Context, collection string) ([]Watch, error) {
	rows, err := d.read.query(ctx, `SELECT w.id, c.name, w.folder, w.include, w.exclude, w.created_at
		FROM watches w JOIN collections c ON c.id = w.collection_id WHERE ?1 = '' OR c.name = ?1 ORDER BY w.id`, collection)
	return collect(rows, err, func(s scanner) (Watch, error) {
		var w Watch
		var include, exclude string
		var at int64
		if err := s.Scan(&w.ID, &w.Collection, &w.Folder, &include, &exclude, &at); err != nil {
			return w, err
		}
		w.CreatedAt = fromMicro(at)
		if err := unmarshal(include, &w.Include, "watch", w.ID); err != nil {
			return w, err
		}
		return w, unmarshal(exclude, &w.Exclude, "watch", w.ID)
	})
}

// DeleteWatch ends a watch; its documents stay. It returns ErrNotFound when there is none.
func (d *DB) DeleteWatch(ctx context.Context, id string) error {
	res, err := d.exec(ctx, `DELETE FROM watches WHERE id = ?`, id)
	return changed(res, err, "watch", id)
}
