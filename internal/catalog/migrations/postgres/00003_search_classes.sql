-- +goose Up
-- What a search engine outside this database keeps of the collections.
CREATE TABLE search_classes (
    name          text    NOT NULL PRIMARY KEY, -- never used twice
    collection_id bigint UNIQUE REFERENCES collections (id) ON DELETE SET NULL, -- NULL: to be dropped there
    format        text    NOT NULL, -- of what is kept
    encoder       text    NOT NULL, -- of the vectors there
    dim           bigint NOT NULL,
    ready         bigint NOT NULL, -- 1 once it has all chunks
    swept         bigint NOT NULL  -- chunks up to this id that are there are in this database, or pending
);

-- What is still to be done there.
CREATE TABLE search_outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    class       text    NOT NULL REFERENCES search_classes (name) ON DELETE CASCADE,
    remove      bigint NOT NULL, -- 1: the chunks are to be removed; 0: written, some replicas may lack them
    first_chunk bigint NOT NULL,
    last_chunk  bigint NOT NULL
);
CREATE INDEX search_outbox_class ON search_outbox (class, remove);

-- +goose Down
DROP TABLE search_outbox;
DROP TABLE search_classes;
