-- no-transaction
-- A user's tasks by due date, read in either direction.
-- squawk-ignore require-lock-timeout
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_user_id_due_date ON tasks (user_id, due_date, id);
