-- What release 0.1.0 sends to `users` and `tasks`, as in its shared/db/src/users.rs and tasks.rs (commit fa709af), with the
-- types that it gives. One statement each, with a name to call it by.

PREPARE create_user (uuid, text, text) AS
            WITH created AS (
                INSERT INTO users (id, email, password_hash)
                VALUES ($1, $2, $3)
                ON CONFLICT DO NOTHING
                RETURNING id, email, created_at, updated_at
            )
            SELECT id, email, created_at, updated_at FROM created
            UNION ALL
            SELECT id, email, created_at, updated_at FROM users WHERE id = $1;

PREPARE get_user (uuid, int) AS
            SELECT id, email, created_at, updated_at
            FROM users
            WHERE id = $1 AND token_version = $2;

PREPARE update_user (uuid, int, text, text, int) AS
            UPDATE users
            SET email = COALESCE($3, email),
                password_hash = COALESCE($4, password_hash),
                token_version = $5
            WHERE id = $1 AND (token_version = $2 OR (token_version = $5 AND password_hash = $4))
            RETURNING id, email, created_at, updated_at;

PREPARE delete_user (uuid, int) AS
            WITH deleted AS (
                DELETE FROM users WHERE id = $1 AND token_version = $2 RETURNING id
            )
            SELECT EXISTS (SELECT FROM deleted) AS done, EXISTS (SELECT FROM users WHERE id = $1) AS was_there;

PREPARE list_tasks (uuid, int, boolean, timestamp, uuid, bigint) AS
            SELECT task.*
            FROM users
            LEFT JOIN LATERAL (
                SELECT *
                FROM tasks
                WHERE user_id = users.id
                  AND ($3::boolean IS NULL OR completed = $3)
                  AND ($4::timestamp IS NULL OR (created_at, id) < ($4, $5::uuid))
                ORDER BY created_at DESC, id DESC
                LIMIT $6
            ) AS task ON true
            WHERE users.id = $1 AND users.token_version = $2
            ORDER BY task.created_at DESC, task.id DESC;

PREPARE create_task (uuid, int, uuid, text, text) AS
            WITH caller AS (
                SELECT id FROM users WHERE id = $1 AND token_version = $2
            ), created AS (
                INSERT INTO tasks (id, user_id, title, description)
                SELECT $3, id, $4, $5 FROM caller
                ON CONFLICT (id) DO NOTHING
                RETURNING *
            ), task AS (
                SELECT true AS is_new, * FROM created
                UNION ALL
                SELECT false, * FROM tasks WHERE id = $3 AND user_id = $1
            )
            SELECT task.* FROM caller LEFT JOIN task ON true;

PREPARE get_task (uuid, int, uuid) AS
            SELECT tasks.*
            FROM users
            LEFT JOIN tasks ON tasks.id = $3 AND tasks.user_id = users.id
            WHERE users.id = $1 AND users.token_version = $2;

PREPARE update_task (uuid, int, uuid, timestamp[], text, boolean, text, boolean) AS
            WITH caller AS (
                SELECT id FROM users WHERE id = $1 AND token_version = $2
            ), found AS (
                SELECT tasks.* FROM tasks JOIN caller ON tasks.user_id = caller.id WHERE tasks.id = $3
                FOR UPDATE OF tasks
            ), updated AS (
                UPDATE tasks
                SET title = COALESCE($5, tasks.title),
                    description = CASE WHEN $6 THEN $7 ELSE tasks.description END,
                    completed = COALESCE($8, tasks.completed)
                FROM found
                WHERE tasks.id = found.id AND ($4::timestamp[] IS NULL OR found.updated_at = ANY ($4))
                RETURNING tasks.*
            ), task AS (
                SELECT true AS is_updated, * FROM updated
                UNION ALL
                SELECT false, * FROM found WHERE NOT EXISTS (SELECT FROM updated)
            )
            SELECT task.* FROM caller LEFT JOIN task ON true;

PREPARE delete_task (uuid, int, uuid, timestamp[]) AS
            WITH caller AS (
                SELECT id FROM users WHERE id = $1 AND token_version = $2
            ), found AS (
                SELECT tasks.* FROM tasks JOIN caller ON tasks.user_id = caller.id WHERE tasks.id = $3
                FOR UPDATE OF tasks
            ), deleted AS (
                DELETE FROM tasks
                USING found
                WHERE tasks.id = found.id AND ($4::timestamp[] IS NULL OR found.updated_at = ANY ($4))
                RETURNING tasks.id
            )
            SELECT found.id IS NOT NULL AS is_found, deleted.id IS NOT NULL AS is_deleted
            FROM caller LEFT JOIN found ON true LEFT JOIN deleted ON true;
