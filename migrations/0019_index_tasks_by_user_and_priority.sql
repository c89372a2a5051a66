-- no-transaction
-- A user's tasks by priority, read in either direction.
-- squawk-ignore require-lock-timeout
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_user_id_priority ON tasks (user_id, priority, id);
