-- Reads the table while requests go on.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE tasks VALIDATE CONSTRAINT status_not_null;
