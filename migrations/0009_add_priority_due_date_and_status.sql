-- What a task gains: a priority from 1, the most urgent, to 4; when it is due, in UTC; and a status, which replaces
-- `completed`. Constant defaults, so that the table is not rewritten; the checks are validated later, without the lock.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE tasks
    ADD COLUMN priority INTEGER,
    ADD COLUMN due_date TIMESTAMP DEFAULT NULL,
    ADD COLUMN status VARCHAR(20),
    ADD CONSTRAINT priority_valid CHECK (priority BETWEEN 1 AND 4) NOT VALID,
    ADD CONSTRAINT status_valid CHECK (status IN ('pending', 'in_progress', 'completed')) NOT VALID;

-- The release before writes `completed` alone, this one `status` alone: the trigger derives the other. A changed status
-- decides; without one, a changed `completed` does. What was written before gets its status with its next change, or
-- from a later migration.
CREATE FUNCTION keep_completed_and_status_equal()
RETURNS TRIGGER AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.status IS NOT DISTINCT FROM OLD.status AND NEW.completed <> OLD.completed THEN
        NEW.status = NULL;
    END IF;
    IF NEW.status IS NULL THEN
        NEW.status = CASE WHEN NEW.completed THEN 'completed' ELSE 'pending' END;
    ELSE
        NEW.completed = NEW.status = 'completed';
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER keep_tasks_completed_and_status_equal
BEFORE INSERT OR UPDATE ON tasks
FOR EACH ROW
EXECUTE FUNCTION keep_completed_and_status_equal();

-- A migration of the data says `SET LOCAL task_api.keep_updated_at = 'on'`: what it fills in is no change of the task, and
-- leaves the clients' ETags valid. This replaces all of the function, its setting too.
CREATE OR REPLACE FUNCTION update_updated_at_column()
RETURNS TRIGGER AS $$
BEGIN
    IF current_setting('task_api.keep_updated_at', true) IS DISTINCT FROM 'on' THEN
        NEW.updated_at = GREATEST(CURRENT_TIMESTAMP, OLD.updated_at + interval '1 microsecond');
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql SET timezone TO 'UTC';
