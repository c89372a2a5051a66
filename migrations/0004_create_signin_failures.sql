-- Failed sign-ins, counted twice: for an account from one client address, and for an account from anywhere.
-- `key` is a hash, so that the table holds no e-mail address and no client address in the clear.
SET LOCAL lock_timeout = '5s';

CREATE TABLE signin_failures (
    key BYTEA NOT NULL,
    failures INTEGER NOT NULL,
    failed_at TIMESTAMP NOT NULL,
    CONSTRAINT signin_failures_pkey PRIMARY KEY (key)
);

-- Old rows are swept by the sign-ins that fail, a few at a time.
CREATE INDEX idx_signin_failures_failed_at ON signin_failures (failed_at);
