-- +goose Up
-- SQLite changes no CHECK in place: the table is made anew, with the state 'paused', the kind of work and
-- the name that the bytes came with.
CREATE TABLE jobs_new (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of the queue
    id          TEXT    NOT NULL UNIQUE,
    collection  TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('file', 'site')),
    path        TEXT    NOT NULL, -- of a site: the address of its first page
    name        TEXT    NOT NULL, -- hints at the format; '' when path does
    options     TEXT    NOT NULL, -- JSON, of a site
    sha256      TEXT    NOT NULL, -- '' while it is still to be fetched
    bytes       INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')),
    stage       TEXT    NOT NULL,
    done        INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    heartbeat   INTEGER NOT NULL, -- 0 when never claimed
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO jobs_new (seq, id, collection, kind, path, name, options, sha256, bytes, state, stage, done, total, error, document_id, status, attempts, heartbeat, created_at, updated_at)
SELECT seq, id, collection, 'file', path, '', '', sha256, bytes, state, stage, done, total, error, document_id, status, attempts, heartbeat, created_at, updated_at FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
CREATE INDEX jobs_state ON jobs (state, seq);
CREATE INDEX jobs_collection ON jobs (collection, seq);
CREATE INDEX jobs_sha256 ON jobs (sha256);

-- +goose Down
DELETE FROM jobs WHERE kind = 'site' OR sha256 = '' OR state = 'paused';
CREATE TABLE jobs_old (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    collection  TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    sha256      TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    stage       TEXT    NOT NULL,
    done        INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    heartbeat   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO jobs_old SELECT seq, id, collection, path, sha256, bytes, state, stage, done, total, error, document_id, status, attempts, heartbeat, created_at, updated_at FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_old RENAME TO jobs;
CREATE INDEX jobs_state ON jobs (state, seq);
CREATE INDEX jobs_collection ON jobs (collection, seq);
CREATE INDEX jobs_sha256 ON jobs (sha256);
