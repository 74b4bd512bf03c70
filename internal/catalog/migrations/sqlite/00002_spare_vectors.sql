-- +goose Up
-- Vectors that no chunk has yet: made for a collection that changes its encoder, or for a document whose
-- ingestion was interrupted.
CREATE TABLE spare_vectors (
    encoder    TEXT    NOT NULL, -- fingerprint
    hash       BLOB    NOT NULL, -- SHA-256 of the text that is indexed
    vector     BLOB    NOT NULL, -- float32, little endian
    created_at INTEGER NOT NULL,
    PRIMARY KEY (encoder, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX spare_vectors_created ON spare_vectors (created_at);

-- +goose Down
DROP TABLE spare_vectors;
