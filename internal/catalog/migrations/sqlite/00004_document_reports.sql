-- +goose Up
-- The id of a document of the same bytes, whose content and chunks stand for this one too; '' when it
-- has its own.
ALTER TABLE documents ADD COLUMN duplicate_of TEXT NOT NULL DEFAULT '';

CREATE INDEX documents_duplicate_of ON documents (duplicate_of) WHERE duplicate_of <> '';

-- What the last attempt to ingest a path did. It outlives a failure: the path may have no document.
CREATE TABLE reports (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          TEXT    NOT NULL,
    report        TEXT    NOT NULL, -- JSON
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (collection_id, path)
) STRICT, WITHOUT ROWID;

-- MinHash signatures, to find documents that are nearly the same.
CREATE TABLE signatures (
    document_id TEXT NOT NULL PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    minhash     BLOB NOT NULL -- uint32, little endian
) STRICT, WITHOUT ROWID;

CREATE TABLE signature_bands (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    band          INTEGER NOT NULL, -- a hash of the band's number and its part of the signature
    document_id   TEXT    NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    PRIMARY KEY (collection_id, band, document_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX signature_bands_document ON signature_bands (document_id);

ALTER TABLE jobs ADD COLUMN options TEXT NOT NULL DEFAULT '{}'; -- JSON

-- +goose Down
ALTER TABLE jobs DROP COLUMN options;
DROP TABLE signature_bands;
DROP TABLE signatures;
DROP TABLE reports;
DROP INDEX documents_duplicate_of;
ALTER TABLE documents DROP COLUMN duplicate_of;
