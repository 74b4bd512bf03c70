-- +goose Up
-- What SQLite's migrations up to 7 make, in the types of Postgres. Times are microseconds since 1970, UTC.
-- Names, paths and ids compare byte by byte (collation C), as in SQLite.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE collections (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    encoder    text   NOT NULL, -- fingerprint of the encoder of its vectors; '' when keyword-only
    dim        bigint NOT NULL, -- of its vectors; 0 when keyword-only
    created_at bigint NOT NULL,
    settings   text   NOT NULL DEFAULT '{}' -- JSON object; a key that is absent has its default
);

CREATE TABLE documents (
    id            text COLLATE "C" NOT NULL PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          text COLLATE "C" NOT NULL,
    title         text   NOT NULL,
    format        text   NOT NULL,
    language      text   NOT NULL,
    sha256        text COLLATE "C" NOT NULL,
    bytes         bigint NOT NULL,
    pages         bigint NOT NULL,
    chunks        bigint NOT NULL,
    metadata      text   NOT NULL, -- JSON object of strings
    warnings      text   NOT NULL, -- JSON array of strings
    added_at      bigint NOT NULL,
    updated_at    bigint NOT NULL,
    duplicate_of  text COLLATE "C" NOT NULL DEFAULT '', -- a document of the same bytes, whose content and chunks stand for this one too
    UNIQUE (collection_id, path)
);

CREATE INDEX documents_sha256 ON documents (sha256);
CREATE INDEX documents_duplicate_of ON documents (duplicate_of) WHERE duplicate_of <> '';

-- The extracted text and its structure, apart from documents so that listing stays small.
CREATE TABLE contents (
    document_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    text        text NOT NULL,
    structure   text NOT NULL -- JSON: chunker.Document without its text
);

CREATE TABLE chunks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id text COLLATE "C" NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    ordinal     bigint NOT NULL, -- from 0, in the order of the document
    start_byte  bigint NOT NULL, -- of contents.text in UTF-8
    end_byte    bigint NOT NULL,
    tokens      bigint NOT NULL,
    first_page  bigint NOT NULL,
    last_page   bigint NOT NULL,
    headings    text   NOT NULL, -- JSON array of strings
    context     text   NOT NULL,
    text        text   NOT NULL,
    hash        bytea  NOT NULL, -- SHA-256 of the text that is indexed
    vector      vector,          -- of the dimension of its collection; NULL when keyword-only
    read_start  bigint NOT NULL DEFAULT 0, -- the part of contents.text that a reader is shown; both 0 for the chunk itself
    read_end    bigint NOT NULL DEFAULT 0,
    labels      text   NOT NULL DEFAULT '[]', -- of tables and figures: JSON array of strings
    UNIQUE (document_id, ordinal)
);

CREATE INDEX chunks_hash ON chunks (hash) WHERE vector IS NOT NULL;

-- Vectors that no chunk has yet: made for a collection that changes its encoder, or for a document whose
-- ingestion was interrupted.
CREATE TABLE spare_vectors (
    encoder    text   NOT NULL,
    hash       bytea  NOT NULL,
    vector     vector NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (encoder, hash)
);

CREATE INDEX spare_vectors_created ON spare_vectors (created_at);

CREATE TABLE reports (
    collection_id bigint NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          text COLLATE "C" NOT NULL,
    report        json   NOT NULL,
    updated_at    bigint NOT NULL,
    PRIMARY KEY (collection_id, path)
);

CREATE TABLE signatures (
    document_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    minhash     bytea NOT NULL -- uint32, little endian
);

CREATE TABLE signature_bands (
    collection_id bigint NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    band          bigint NOT NULL,
    document_id   text COLLATE "C" NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    PRIMARY KEY (collection_id, band, document_id)
);

CREATE INDEX signature_bands_document ON signature_bands (document_id);

CREATE TABLE fetches (
    collection_id bigint NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    url           text COLLATE "C" NOT NULL,
    path          text   NOT NULL,
    sha256        text   NOT NULL,
    etag          text   NOT NULL,
    last_modified text   NOT NULL,
    fetched_at    bigint NOT NULL,
    PRIMARY KEY (collection_id, url)
);

CREATE TABLE watches (
    id            text COLLATE "C" NOT NULL PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    folder        text COLLATE "C" NOT NULL,
    include       text   NOT NULL, -- JSON array of patterns
    exclude       text   NOT NULL,
    created_at    bigint NOT NULL,
    UNIQUE (collection_id, folder)
);

CREATE TABLE jobs (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of the queue
    id          text COLLATE "C" NOT NULL UNIQUE,
    collection  text COLLATE "C" NOT NULL,
    kind        text   NOT NULL CHECK (kind IN ('file', 'site')),
    path        text COLLATE "C" NOT NULL,
    name        text   NOT NULL,
    options     text   NOT NULL,
    sha256      text COLLATE "C" NOT NULL,
    bytes       bigint NOT NULL,
    state       text   NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')),
    stage       text   NOT NULL,
    done        bigint NOT NULL,
    total       bigint NOT NULL,
    error       text   NOT NULL,
    document_id text   NOT NULL,
    status      text   NOT NULL,
    attempts    bigint NOT NULL,
    heartbeat   bigint NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL
);

CREATE INDEX jobs_state ON jobs (state, seq);
CREATE INDEX jobs_collection ON jobs (collection, seq);
CREATE INDEX jobs_sha256 ON jobs (sha256);

CREATE TABLE conversations (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    collection text   NOT NULL,
    title      text   NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE INDEX conversations_updated ON conversations (updated_at);

CREATE TABLE messages (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              text COLLATE "C" NOT NULL UNIQUE,
    conversation_id text COLLATE "C" NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role            text   NOT NULL CHECK (role IN ('user', 'assistant')),
    content         text   NOT NULL,
    data            text   NOT NULL,
    created_at      bigint NOT NULL
);

CREATE INDEX messages_conversation ON messages (conversation_id, seq);

CREATE TABLE settings (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);

-- +goose Down
DROP TABLE settings, messages, conversations, jobs, watches, fetches, signature_bands, signatures, reports, spare_vectors, chunks, contents, documents, collections;
