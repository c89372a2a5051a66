-- no-transaction
-- A user's tasks of one status, newest first.
-- squawk-ignore require-lock-timeout
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_user_id_status_created_at ON tasks (user_id, status, created_at DESC, id DESC);
