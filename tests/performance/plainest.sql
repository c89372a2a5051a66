-- The plainest statements that do the work that the contract asks of a request, under the routes that they are for. They
-- count on success: what only a refusal or a retry needs is left out, and so are sweeps. `:new` is an address without an
-- account, and `:hash` any hash of a password.

-- GET /health, HEAD /health
SELECT 1;

-- POST /users/signup
WITH forgotten AS (DELETE FROM signin_failures WHERE email_hash = sha256(convert_to(:new, 'UTF8')))
INSERT INTO users (email, password_hash) VALUES (:new, :hash) RETURNING id, email, created_at, updated_at;

-- POST /users/signin
SELECT id, password_hash, failures, failed_at
FROM users LEFT JOIN signin_failures ON email_hash = sha256(convert_to(email, 'UTF8'))
WHERE email = :email;
WITH session AS (
    INSERT INTO sessions (id, user_id, family_hash, token_hash, created_at, refreshed_at, expires_at)
    VALUES (gen_random_uuid(), :user, '', '', now(), now(), now() + interval '14 days')
)
INSERT INTO session_networks (network_hash, user_id, used_at)
VALUES (sha256(convert_to(:email, 'UTF8')), :user, now())
ON CONFLICT (network_hash) DO UPDATE SET used_at = excluded.used_at;

-- POST /users/token
WITH session AS (
    UPDATE sessions SET token_hash = '', previous_hash = token_hash, refreshed_at = now()
    WHERE id = :session
    RETURNING user_id
)
INSERT INTO session_networks (network_hash, user_id, used_at)
SELECT sha256(convert_to(:email, 'UTF8')), user_id, now() FROM session
ON CONFLICT (network_hash) DO UPDATE SET used_at = excluded.used_at
RETURNING user_id;

-- POST /users/password-reset
SELECT create_password_reset(sha256(convert_to(email, 'UTF8')), id, ARRAY[
    sha256(convert_to('account ' || email, 'UTF8')),
    sha256(convert_to('address ' || email, 'UTF8')),
    sha256(convert_to('network ' || email, 'UTF8'))
], ARRAY[3, 3, 10])
FROM users
WHERE email = :email;

-- PUT /users/password-reset
SELECT users.id, email FROM password_resets JOIN users ON users.id = user_id WHERE token_hash = :reset;
UPDATE users SET password_hash = :hash WHERE id = :user;

-- GET /users/{user_id}
SELECT id, email, created_at, updated_at
FROM users
WHERE id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);

-- PUT /users/{user_id}, PATCH /users/{user_id}
SELECT email, password_hash
FROM users
WHERE id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);
UPDATE users SET email = :email
WHERE id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user)
RETURNING id, email, created_at, updated_at;

-- DELETE /users/{user_id}
WITH account AS (
    DELETE FROM users
    WHERE id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user)
    RETURNING email
)
DELETE FROM signin_failures WHERE email_hash IN (SELECT sha256(convert_to(email, 'UTF8')) FROM account);

-- GET /users/{user_id}/sessions
SELECT *
FROM sessions WHERE user_id = :user
  AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user) ORDER BY refreshed_at DESC;

-- DELETE /users/{user_id}/sessions/{session_id}
DELETE FROM sessions
WHERE user_id = :user AND id = :session AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);

-- DELETE /users/{user_id}/sessions
DELETE FROM sessions
WHERE user_id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);

-- GET /users/{user_id}/summary
SELECT status, name, count(*)
FROM tasks LEFT JOIN task_tags ON task_id = tasks.id LEFT JOIN tags ON tags.id = tag_id
WHERE tasks.user_id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user)
GROUP BY GROUPING SETS (status, name);

-- GET /users/{user_id}/tasks
SELECT *, ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = tasks.id)
FROM tasks WHERE user_id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user)
ORDER BY created_at DESC, id DESC LIMIT 51;

-- POST /users/{user_id}/tasks
INSERT INTO tasks (user_id, title)
SELECT user_id, 'Buy milk'
FROM sessions
WHERE id = :session AND user_id = :user AND NOT EXISTS (SELECT FROM tasks WHERE user_id = :user OFFSET 9999)
RETURNING *;

-- GET /users/{user_id}/tasks/{task_id}
SELECT *, ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = tasks.id)
FROM tasks
WHERE id = :task AND user_id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);

-- PUT /users/{user_id}/tasks/{task_id}, PATCH /users/{user_id}/tasks/{task_id}
UPDATE tasks SET title = 'Buy bread'
WHERE id = :task AND user_id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user)
RETURNING *, ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = tasks.id);

-- DELETE /users/{user_id}/tasks/{task_id}
DELETE
FROM tasks
WHERE id = :task AND user_id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);
