-- The columns are TIMESTAMP, without a time zone, and hold UTC; CURRENT_TIMESTAMP becomes the wall clock of the
-- session's TimeZone when it is stored in one. So the defaults say UTC, and the trigger function runs in it.
SET LOCAL lock_timeout = '5s';

ALTER TABLE users
    ALTER COLUMN created_at SET DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    ALTER COLUMN updated_at SET DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC');

ALTER TABLE tasks
    ALTER COLUMN created_at SET DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    ALTER COLUMN updated_at SET DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC');

ALTER FUNCTION update_updated_at_column() SET timezone TO 'UTC';
