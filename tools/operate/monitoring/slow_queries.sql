-- Slow queries: the specification's "Check Slow Queries", with the column names of PostgreSQL 13 and later.
-- Look for: statements of the functions. Each should find its rows through an index, in a few milliseconds.
SELECT
    datname AS database,
    calls,
    round(total_exec_time) AS total_ms,
    round(mean_exec_time) AS mean_ms,
    round(max_exec_time) AS max_ms,
    left(regexp_replace(query, '\s+', ' ', 'g'), 80) AS query
FROM pg_stat_statements AS statements
JOIN pg_database ON pg_database.oid = statements.dbid
WHERE mean_exec_time > 100 -- milliseconds
ORDER BY mean_exec_time DESC
LIMIT 10;
