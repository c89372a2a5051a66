-- batched tasks
-- The status of what was written before there was one, and not changed since.
UPDATE tasks
SET status = CASE WHEN completed THEN 'completed' ELSE 'pending' END
WHERE ctid >= $1 AND ctid < $2 AND status IS NULL;
