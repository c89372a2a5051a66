-- The tags of tasks. A tag is shared by all who use its name, and never shown to anybody else by itself: its id is
-- derived from its name (UUIDv5), so that requests that bring the same new tag at once agree on it.
SET LOCAL lock_timeout = '500ms';

CREATE TABLE tags (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(50) NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC')
);

-- `user_id` is the owner of the task: with it, the tasks of one user that have a tag are found among those of all.
CREATE TABLE task_tags (
    task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    tag_id UUID NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
    PRIMARY KEY (task_id, tag_id)
);

CREATE INDEX idx_task_tags_tag_id ON task_tags (tag_id);
CREATE INDEX idx_task_tags_user_id_tag_id ON task_tags (user_id, tag_id, task_id);

-- For an insert that leaves the owner out.
CREATE FUNCTION fill_task_tags_user_id()
RETURNS TRIGGER AS $$
BEGIN
    NEW.user_id = (SELECT user_id FROM tasks WHERE id = NEW.task_id);
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER fill_task_tags_user_id
BEFORE INSERT ON task_tags
FOR EACH ROW
WHEN (NEW.user_id IS NULL)
EXECUTE FUNCTION fill_task_tags_user_id();

-- Makes these the tags of a task, unless they are null, and returns the names of the tags it has then.
--
-- A function, because each of its statements sees what was committed until then. A statement that waits for the lock of a
-- task sees its tags as they were before: it would add its tags to those of the request that it has waited for. New
-- tags are inserted in one order, so that two requests that bring the same ones never wait for each other in turn.
CREATE FUNCTION set_task_tags(task UUID, owner UUID, tag_ids UUID[], tag_names TEXT[])
RETURNS TEXT[] AS $$
BEGIN
    IF tag_ids IS NOT NULL THEN
        INSERT INTO tags (id, name)
        SELECT id, name FROM unnest(tag_ids, tag_names) AS new (id, name) ORDER BY id
        ON CONFLICT DO NOTHING;

        DELETE FROM task_tags WHERE task_id = task AND tag_id <> ALL (tag_ids);

        INSERT INTO task_tags (task_id, tag_id, user_id)
        SELECT task, id, owner FROM unnest(tag_ids) AS new (id)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = task);
END;
$$ LANGUAGE plpgsql;
