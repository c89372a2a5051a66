-- A token carries the version of its account and dies when the account's moves on: changing the password is what
-- moves it. The default is a constant, so the table is not rewritten.
SET LOCAL lock_timeout = '5s';

ALTER TABLE users ADD COLUMN token_version INTEGER NOT NULL DEFAULT 0;
