-- The ETag of a task is made from its updated_at, so no two states of a row may share one: not when the clock is set
-- back, nor when a transaction that began earlier writes later. This replaces all of the function, its setting too.
SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION update_updated_at_column()
RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = GREATEST(CURRENT_TIMESTAMP, OLD.updated_at + interval '1 microsecond');
    RETURN NEW;
END;
$$ LANGUAGE plpgsql SET timezone TO 'UTC';
