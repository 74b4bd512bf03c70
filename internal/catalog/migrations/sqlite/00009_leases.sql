-- +goose Up
-- A job at work is claimed: whoever has the claim, until the lease is over unless it is renewed, works on it.
ALTER TABLE jobs ADD COLUMN claim TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN lease INTEGER NOT NULL DEFAULT 0; -- until when
ALTER TABLE jobs ADD COLUMN asked TEXT NOT NULL DEFAULT ''; -- of whoever works on it: cancel, pause, hold

DROP INDEX jobs_state;
CREATE INDEX jobs_state ON jobs (state, attempts, seq);
CREATE INDEX jobs_updated ON jobs (updated_at);

-- What one process at a time does, besides jobs.
CREATE TABLE leases (
    name  TEXT    NOT NULL PRIMARY KEY,
    owner TEXT    NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE leases;
DROP INDEX jobs_updated;
DROP INDEX jobs_state;
CREATE INDEX jobs_state ON jobs (state, seq);
ALTER TABLE jobs DROP COLUMN asked;
ALTER TABLE jobs DROP COLUMN lease;
ALTER TABLE jobs DROP COLUMN claim;
