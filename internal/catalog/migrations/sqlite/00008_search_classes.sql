-- +goose Up
-- What a search engine outside this database keeps of the collections.
CREATE TABLE search_classes (
    name          TEXT    NOT NULL PRIMARY KEY, -- never used twice
    collection_id INTEGER UNIQUE REFERENCES collections (id) ON DELETE SET NULL, -- NULL: to be dropped there
    format        TEXT    NOT NULL, -- of what is kept
    encoder       TEXT    NOT NULL, -- of the vectors there
    dim           INTEGER NOT NULL,
    ready         INTEGER NOT NULL, -- 1 once it has all chunks
    swept         INTEGER NOT NULL  -- chunks up to this id that are there are in this database, or pending
) STRICT;

-- What is still to be done there.
CREATE TABLE search_outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    class       TEXT    NOT NULL REFERENCES search_classes (name) ON DELETE CASCADE,
    remove      INTEGER NOT NULL, -- 1: the chunks are to be removed; 0: written, some replicas may lack them
    first_chunk INTEGER NOT NULL,
    last_chunk  INTEGER NOT NULL
) STRICT;
CREATE INDEX search_outbox_class ON search_outbox (class, remove);

-- +goose Down
DROP TABLE search_outbox;
DROP TABLE search_classes;
