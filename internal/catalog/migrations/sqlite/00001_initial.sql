-- +goose Up
-- Times are microseconds since 1970, UTC. JSON columns are never NULL.

CREATE TABLE collections (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    encoder    TEXT    NOT NULL, -- fingerprint of the encoder of its vectors; '' when keyword-only
    dim        INTEGER NOT NULL, -- of its vectors; 0 when keyword-only
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
    id            TEXT    NOT NULL PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          TEXT    NOT NULL,
    title         TEXT    NOT NULL,
    format        TEXT    NOT NULL,
    language      TEXT    NOT NULL,
    sha256        TEXT    NOT NULL,
    bytes         INTEGER NOT NULL,
    pages         INTEGER NOT NULL,
    chunks        INTEGER NOT NULL,
    metadata      TEXT    NOT NULL, -- JSON object of strings
    warnings      TEXT    NOT NULL, -- JSON array of strings
    added_at      INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (collection_id, path)
) STRICT;

CREATE INDEX documents_sha256 ON documents (sha256);

-- The extracted text and its structure, apart from documents so that listing stays small.
CREATE TABLE contents (
    document_id TEXT NOT NULL PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    text        TEXT NOT NULL,
    structure   TEXT NOT NULL -- JSON: chunker.Document without its text
) STRICT;

-- AUTOINCREMENT: an id is never used twice, so that an old citation never points at another passage.
CREATE TABLE chunks (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id TEXT    NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    ordinal     INTEGER NOT NULL, -- from 0, in the order of the document
    start_byte  INTEGER NOT NULL, -- of contents.text
    end_byte    INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    first_page  INTEGER NOT NULL,
    last_page   INTEGER NOT NULL,
    headings    TEXT    NOT NULL, -- JSON array of strings
    context     TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    hash        BLOB    NOT NULL, -- SHA-256 of the text that is indexed
    vector      BLOB,             -- float32, little endian; NULL when keyword-only
    UNIQUE (document_id, ordinal)
) STRICT;

CREATE INDEX chunks_hash ON chunks (hash) WHERE vector IS NOT NULL;

CREATE TABLE jobs (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of the queue
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
    heartbeat   INTEGER NOT NULL, -- 0 when never claimed
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX jobs_state ON jobs (state, seq);
CREATE INDEX jobs_collection ON jobs (collection, seq);
CREATE INDEX jobs_sha256 ON jobs (sha256);

CREATE TABLE conversations (
    id         TEXT    NOT NULL PRIMARY KEY,
    collection TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX conversations_updated ON conversations (updated_at);

CREATE TABLE messages (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT, -- the order within a conversation
    id              TEXT    NOT NULL UNIQUE,
    conversation_id TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role            TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
    content         TEXT    NOT NULL,
    data            TEXT    NOT NULL, -- JSON, '' when there is none
    created_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_conversation ON messages (conversation_id, seq);

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- +goose Down
DROP TABLE settings;
DROP TABLE messages;
DROP TABLE conversations;
DROP TABLE jobs;
DROP TABLE chunks;
DROP TABLE contents;
DROP TABLE documents;
DROP TABLE collections;
