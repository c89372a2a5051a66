-- contracting: 0.2.0
-- squawk-ignore-file ban-drop-column, ban-drop-function
-- Release 0.1.0 reads and writes `completed`; from 0.2.0 on it is derived from the status. The trigger goes in the same
-- transaction, as without the column it would fail every change. With the column goes its index, idx_tasks_completed.
SET LOCAL lock_timeout = '500ms';

DROP TRIGGER keep_tasks_completed_and_status_equal ON tasks;
DROP FUNCTION keep_completed_and_status_equal();

ALTER TABLE tasks
    DROP COLUMN completed,
    ALTER COLUMN status SET DEFAULT 'pending';
