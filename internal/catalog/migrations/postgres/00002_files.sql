-- +goose Up
-- The original files, which processes on several machines share.
CREATE TABLE files (
    sha256     text COLLATE "C" NOT NULL PRIMARY KEY,
    bytes      bigint NOT NULL,
    uses       bigint NOT NULL, -- how often it was stored and no document has come for it yet
    kept_until bigint NOT NULL  -- until then it stays for them, although nothing refers to it
);

CREATE INDEX files_kept_until ON files (kept_until);

CREATE TABLE file_pieces (
    sha256 text COLLATE "C" NOT NULL REFERENCES files (sha256) ON DELETE CASCADE,
    piece  bigint NOT NULL, -- from 0
    data   bytea  NOT NULL,
    PRIMARY KEY (sha256, piece)
);

-- Most formats are compressed already.
ALTER TABLE file_pieces ALTER COLUMN data SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE file_pieces, files;
