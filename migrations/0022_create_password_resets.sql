-- The tokens of mails that lead to a new password, each as a hash: nobody can use what is stored here. A token is deleted
-- when it is used, and with it all others of the account.
SET LOCAL lock_timeout = '500ms';

CREATE TABLE password_resets (
    token_hash BYTEA NOT NULL,
    user_id UUID NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    CONSTRAINT password_resets_pkey PRIMARY KEY (token_hash),
    CONSTRAINT password_resets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
        ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE INDEX idx_password_resets_user_id ON password_resets (user_id);
-- Expired ones are swept, the oldest first.
CREATE INDEX idx_password_resets_created_at ON password_resets (created_at);

-- A token was sent to an address, for those who had forgotten a password: when either changes, it is void. A trigger, so
-- that it is so too when the release before makes the change.
CREATE FUNCTION void_password_resets()
RETURNS TRIGGER AS $$
BEGIN
    DELETE FROM password_resets WHERE user_id = NEW.id;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER void_password_resets
AFTER UPDATE OF email, password_hash ON users
FOR EACH ROW
WHEN (OLD.email <> NEW.email OR OLD.password_hash <> NEW.password_hash)
EXECUTE FUNCTION void_password_resets();

-- When mails were sent, so that there are not too many. `key` is a hash of what they are counted for. The rows outlive the
-- account: otherwise whoever deletes it and signs up anew could go on sending.
CREATE TABLE mail_counts (
    key BYTEA NOT NULL,
    sent_at TIMESTAMP[] NOT NULL,
    counted_at TIMESTAMP NOT NULL,
    CONSTRAINT mail_counts_pkey PRIMARY KEY (key)
);

-- Those of more than an hour ago are swept.
CREATE INDEX idx_mail_counts_counted_at ON mail_counts (counted_at);

-- Counts a mail under each of the keys, unless one of them has had as many within the last hour as are allowed for it.
--
-- A function, because each of its statements sees what was committed until then: of requests at once, none exceeds the
-- limit. The rows are locked in the order of their keys, so that two requests never wait for each other in turn.
CREATE FUNCTION count_mail(keys BYTEA[], allowed INTEGER[])
RETURNS BOOLEAN AS $$
DECLARE
    counted CONSTANT TIMESTAMP := statement_timestamp() AT TIME ZONE 'UTC';
BEGIN
    INSERT INTO mail_counts AS known (key, sent_at, counted_at)
    SELECT new.key, '{}', counted FROM unnest(keys) AS new (key) ORDER BY new.key
    ON CONFLICT (key) DO UPDATE
    SET counted_at = counted,
        sent_at = ARRAY(SELECT sent FROM unnest(known.sent_at) AS sent WHERE sent > counted - interval '1 hour');

    IF EXISTS (
        SELECT FROM unnest(keys, allowed) AS limits (key, allowed)
        JOIN mail_counts ON mail_counts.key = limits.key
        WHERE cardinality(sent_at) >= limits.allowed
    ) THEN
        RETURN false;
    END IF;

    UPDATE mail_counts SET sent_at = sent_at || counted WHERE key = ANY (keys);
    RETURN true;
END;
$$ LANGUAGE plpgsql;

-- Stores a token, unless the mail with it would be one too many. A token that is stored already is the one of an attempt
-- whose answer was lost, and is not counted again. The caller has locked the account.
CREATE FUNCTION create_password_reset(token BYTEA, account UUID, count_keys BYTEA[], allowed INTEGER[])
RETURNS BOOLEAN AS $$
BEGIN
    IF EXISTS (SELECT FROM password_resets WHERE token_hash = token) THEN
        RETURN true;
    END IF;
    IF NOT count_mail(count_keys, allowed) THEN
        RETURN false;
    END IF;
    INSERT INTO password_resets (token_hash, user_id) VALUES (token, account);
    RETURN true;
END;
$$ LANGUAGE plpgsql;
