-- A task that was made under an Idempotency-Key keeps a hash of what it was asked to be, so that the key is not taken
-- for another request's. Null for a task made without a key, or by the release before, which goes on without the column.
SET LOCAL lock_timeout = '5s';

ALTER TABLE tasks ADD COLUMN request_hash BYTEA;
