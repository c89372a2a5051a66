-- Sessions replace `users.token_version`: a token names its session, and is worth nothing once that is gone.
SET LOCAL lock_timeout = '500ms';

-- A refresh token has three parts: the session's id, a secret that all tokens of the session share (`family_hash`), and
-- one of its own (`token_hash`, for the token before it `previous_hash`), which `nonce` has turned into the next. The
-- hashes are SHA-256, of random secrets: nothing here can be used as a token.
CREATE TABLE sessions (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    family_hash BYTEA NOT NULL,
    token_hash BYTEA NOT NULL,
    previous_hash BYTEA,
    nonce BYTEA,
    user_agent TEXT,
    created_at TIMESTAMP NOT NULL,
    refreshed_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT user_agent_length CHECK (length(user_agent) <= 255)
);

-- The check of a token reads this alone.
CREATE INDEX idx_sessions_user_id_id ON sessions (user_id, id);

-- Expired sessions are swept, the oldest first.
CREATE INDEX idx_sessions_expires_at ON sessions (expires_at);

-- The networks an account has been used from: strangers' failures to sign in do not count against them. A table of its
-- own, because it outlives the sessions. `network_hash` is a SHA-256 of the account and the network together.
CREATE TABLE session_networks (
    network_hash BYTEA NOT NULL,
    user_id UUID NOT NULL,
    used_at TIMESTAMP NOT NULL,
    CONSTRAINT session_networks_pkey PRIMARY KEY (network_hash),
    CONSTRAINT fk_session_networks_user_id FOREIGN KEY (user_id) REFERENCES users (id)
        ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE INDEX idx_session_networks_user_id ON session_networks (user_id);

CREATE INDEX idx_session_networks_used_at ON session_networks (used_at);

-- Makes room for a session: an account has at most 50, and none that has expired. Who inserts one holds the lock of
-- the account's row, and this query sees what was committed before it got the lock.
CREATE FUNCTION limit_sessions()
RETURNS TRIGGER AS $$
BEGIN
    DELETE FROM sessions
    WHERE user_id = NEW.user_id AND id <> NEW.id AND (
        expires_at <= NEW.created_at
        OR id IN (
            SELECT id FROM sessions
            WHERE user_id = NEW.user_id AND id <> NEW.id
            ORDER BY refreshed_at DESC, id
            OFFSET 49
        )
    );
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER limit_sessions
BEFORE INSERT ON sessions
FOR EACH ROW
EXECUTE FUNCTION limit_sessions();

-- A new password ends all sessions, whoever sets it, but the one that `task_api.kept_session` names: the caller's.
CREATE FUNCTION end_sessions_with_password()
RETURNS TRIGGER AS $$
BEGIN
    DELETE FROM sessions
    WHERE user_id = NEW.id AND id::text IS DISTINCT FROM current_setting('task_api.kept_session', true);
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER end_sessions_with_password
AFTER UPDATE OF password_hash ON users
FOR EACH ROW
WHEN (OLD.password_hash IS DISTINCT FROM NEW.password_hash)
EXECUTE FUNCTION end_sessions_with_password();

-- Release 0.1.0 moves the token version with the password, later ones leave that to this trigger: tokens without a
-- session are revoked in either case. A later migration drops it with the column.
CREATE FUNCTION move_token_version_with_password()
RETURNS TRIGGER AS $$
BEGIN
    NEW.token_version = OLD.token_version + 1;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER move_token_version_with_password
BEFORE UPDATE OF password_hash ON users
FOR EACH ROW
WHEN (OLD.password_hash IS DISTINCT FROM NEW.password_hash AND OLD.token_version = NEW.token_version)
EXECUTE FUNCTION move_token_version_with_password();

-- Ends all sessions of an account, and revokes its tokens without one.
CREATE FUNCTION end_sessions(owner UUID)
RETURNS VOID AS $$
BEGIN
    PERFORM set_config('task_api.keep_updated_at', 'on', true);
    UPDATE users SET token_version = token_version + 1 WHERE id = owner;
    PERFORM set_config('task_api.keep_updated_at', 'off', true);
    DELETE FROM sessions WHERE user_id = owner;
END;
$$ LANGUAGE plpgsql;
