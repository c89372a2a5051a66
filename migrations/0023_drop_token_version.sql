-- contracting: 0.2.0
-- squawk-ignore-file ban-drop-column, ban-drop-function
-- Release 0.1.0 issues and checks tokens by their version alone. Without the column such tokens are no longer accepted.
SET LOCAL lock_timeout = '500ms';

DROP TRIGGER move_token_version_with_password ON users;
DROP FUNCTION move_token_version_with_password();

CREATE OR REPLACE FUNCTION end_sessions(owner UUID)
RETURNS VOID AS $$
BEGIN
    DELETE FROM sessions WHERE user_id = owner;
END;
$$ LANGUAGE plpgsql;

ALTER TABLE users DROP COLUMN token_version;
