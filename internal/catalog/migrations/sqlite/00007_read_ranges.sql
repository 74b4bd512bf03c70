-- +goose Up
-- The part of contents.text, at least the chunk, that a reader is shown; both 0 for the chunk itself.
ALTER TABLE chunks ADD COLUMN read_start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunks ADD COLUMN read_end INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunks ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'; -- of tables and figures: JSON array of strings

-- +goose Down
ALTER TABLE chunks DROP COLUMN labels;
ALTER TABLE chunks DROP COLUMN read_end;
ALTER TABLE chunks DROP COLUMN read_start;
