-- +goose Up
-- JSON object; a key that is absent has its default.
ALTER TABLE collections ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE collections DROP COLUMN settings;
