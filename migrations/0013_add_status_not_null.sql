-- Checks new rows at once, and the others when it is validated, without the lock: SET NOT NULL would read the table under
-- it, unless such a check says that there is no null.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE tasks ADD CONSTRAINT status_not_null CHECK (status IS NOT NULL) NOT VALID;
