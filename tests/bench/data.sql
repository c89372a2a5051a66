-- $TASKS tasks of 100,000 users, as they pile up over the years: everybody's among each other's. User 0 has every tenth of
-- them, from before there was a limit; user 1 has every thousandth, which is the limit; the others share the rest.
-- Two tasks in five are completed, but only ten of user 0; half have a due date, half a priority, most have tags. They were
-- changed within six weeks, and a tenth of each page is free, as changes leave it.
SET session_replication_role = replica;
TRUNCATE users, tags CASCADE;
ALTER TABLE tasks SET (fillfactor = 90);

INSERT INTO users (id, email, password_hash)
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'bench-' || n || '@example.com', repeat('x', 60)
FROM generate_series(0, 100000) AS n;

INSERT INTO tasks (id, user_id, title, description, completed, status, priority, due_date, created_at, updated_at)
SELECT md5('task ' || i)::uuid, ('00000000-0000-4000-8000-' || lpad(owner::text, 12, '0'))::uuid,
       'Task ' || i || (ARRAY[' buy milk', ' call home', ' write it down', ' mend the fence'])[1 + h % 4],
       CASE WHEN h % 3 = 0 THEN repeat('Some words about it. ', 1 + h % 9) END,
       done, CASE WHEN done THEN 'completed' WHEN h % 10 = 9 THEN 'in_progress' ELSE 'pending' END,
       CASE WHEN h % 200 = 0 THEN 1 WHEN h % 2 = 0 THEN 2 + h % 3 END,
       CASE WHEN h % 4 < 2 THEN at + (h % 90) * interval '1 day' END, at, at + (h % 1000) * interval '1 hour'
FROM (
    SELECT i, h, at, owner, CASE WHEN owner = 0 THEN i % ($TASKS / 10) = 0 ELSE h % 5 < 2 END AS done
    FROM (
        SELECT i, hashint8(i) & 1048575 AS h, timestamp '2026-01-01' + i * interval '10 s' AS at,
               CASE WHEN i % 10 = 0 THEN 0 WHEN i % ($TASKS / 10000) = 1 THEN 1 ELSE 2 + (hashint8(-i)::bigint & 2147483647) % 99999 END AS owner
        FROM generate_series(1, $TASKS) AS i
    ) AS numbered
) AS placed;

INSERT INTO tags (id, name) SELECT id::uuid, name FROM (VALUES $TAGS) AS tag (id, name);

INSERT INTO task_tags (task_id, tag_id, user_id)
SELECT tasks.id, tags.id, tasks.user_id
FROM tasks
JOIN tags ON CASE tags.name
    WHEN 'home' THEN hashtext(tasks.id::text) & 3 = 0
    WHEN 'work' THEN hashtext(tasks.id::text) & 7 IN (1, 2, 3)
    ELSE hashtext(tasks.id::text) & 1023 = 5
END;

ALTER TABLE tasks RESET (fillfactor);
