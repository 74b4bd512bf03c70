-- +goose Up
-- What servers said of the pages fetched for a collection, to ask them later whether a page has changed.
CREATE TABLE fetches (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    url           TEXT    NOT NULL, -- asked for
    path          TEXT    NOT NULL, -- of the document that it became
    sha256        TEXT    NOT NULL, -- of the bytes that came
    etag          TEXT    NOT NULL,
    last_modified TEXT    NOT NULL,
    fetched_at    INTEGER NOT NULL,
    PRIMARY KEY (collection_id, url)
) STRICT, WITHOUT ROWID;

-- Folders that are kept in step with a collection.
CREATE TABLE watches (
    id            TEXT    NOT NULL PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    folder        TEXT    NOT NULL, -- absolute
    include       TEXT    NOT NULL, -- JSON array of patterns
    exclude       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (collection_id, folder)
) STRICT;

-- +goose Down
DROP TABLE watches;
DROP TABLE fetches;
