-- Table bloat: the specification's "Check Table Bloat".
-- Look for: more than 20 % dead rows in a large table, and an old last_autovacuum: something blocks it, such as a
-- transaction that was left open (see the connections).
SELECT
    schemaname,
    relname AS tablename,
    n_live_tup AS live_rows,
    n_dead_tup AS dead_rows,
    round(100.0 * n_dead_tup / nullif(n_live_tup + n_dead_tup, 0), 2) AS dead_pct,
    date_trunc('second', last_autovacuum) AS last_autovacuum
FROM pg_stat_user_tables
WHERE schemaname = 'public'
ORDER BY dead_pct DESC NULLS LAST, relname;
