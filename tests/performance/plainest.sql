-- The plainest statements that do the work of a request, under the routes that they are for. Those with a token check
-- that its session holds. `:new` is an address without an account, and `:hash` any hash of a password.

-- GET /health, HEAD /health
SELECT 1;

-- POST /users/signup
INSERT INTO users (email, password_hash) VALUES (:new, :hash) RETURNING id, email, created_at;

-- POST /users/signin
SELECT id, password_hash FROM users WHERE email = :email;
INSERT INTO sessions (id, user_id, family_hash, token_hash, created_at, refreshed_at, expires_at)
VALUES (gen_random_uuid(), :user, '', '', now(), now(), now() + interval '14 days');

-- POST /users/token
UPDATE sessions SET token_hash = '', previous_hash = token_hash, refreshed_at = now() WHERE id = :session
RETURNING user_id;

-- POST /users/password-reset
INSERT INTO password_resets (token_hash, user_id) SELECT sha256(id::text::bytea), id FROM users WHERE email = :email;

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
DELETE FROM users WHERE id = :user AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user);

-- GET /users/{user_id}/sessions
SELECT *
FROM sessions WHERE user_id = :user
  AND EXISTS (SELECT FROM sessions WHERE id = :session AND user_id = :user) ORDER BY refreshed_at DESC;

-- DELETE /users/{user_id}/sessions/{session_id}
DELETE FROM sessions WHERE user_id = :user AND id = :session;

-- DELETE /users/{user_id}/sessions
DELETE FROM sessions WHERE user_id = :user;

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
SELECT user_id, 'Buy milk' FROM sessions WHERE id = :session AND user_id = :user
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
