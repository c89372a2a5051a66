-- no-transaction
-- An account's counts are looked up when it is made or deleted, or changes its address; so many failures may be kept that
-- reading all of them would take too long. No request waits for the lock, or behind it: changes of the schema alone do.
-- squawk-ignore require-lock-timeout
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_signin_failures_email_hash ON signin_failures (email_hash);
