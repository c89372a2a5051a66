-- What the accounts in the temporary table `account` have: a session, some tasks with tags, maybe the token of a mail.
INSERT INTO users (id, email, password_hash) SELECT "user", email, hash FROM account;

INSERT INTO sessions (id, user_id, family_hash, token_hash, created_at, refreshed_at, expires_at)
SELECT session, "user", decode(family, 'hex'), decode(token, 'hex'), now, now, now + interval '14 days'
FROM account, LATERAL (SELECT now() AT TIME ZONE 'UTC' - interval '1 minute' AS now) AS clock;

INSERT INTO password_resets (token_hash, user_id)
SELECT decode(reset, 'hex'), "user" FROM account WHERE reset IS NOT NULL;

INSERT INTO tasks (id, user_id, title, status, priority, created_at, updated_at)
SELECT CASE number WHEN 1 THEN task ELSE gen_random_uuid() END, "user", 'Task ' || number,
       (ARRAY['pending', 'in_progress', 'completed'])[1 + number % 3], 1 + number % 4, time, time
FROM account, generate_series(1, tasks) AS number,
     LATERAL (SELECT now() AT TIME ZONE 'UTC' - number * interval '1 hour' AS time) AS clock;

INSERT INTO tags (name) VALUES ('home'), ('work');

INSERT INTO task_tags (task_id, tag_id, user_id) SELECT tasks.id, tags.id, user_id FROM tasks, tags;
