-- Reads the table while requests go on.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE tasks
    VALIDATE CONSTRAINT priority_valid,
    VALIDATE CONSTRAINT status_valid;
