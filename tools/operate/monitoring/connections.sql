-- Connections: how much of max_connections is taken.
-- Look for: in_use near the limit, of which the pooler may take 90 %; and a transaction that has been open for minutes,
-- which cannot be the functions': theirs last for one statement.
SELECT
    count(*) AS in_use,
    current_setting('max_connections')::int AS max_connections,
    round(100.0 * count(*) / current_setting('max_connections')::int, 1) AS used_pct,
    count(*) FILTER (WHERE state = 'active') AS active,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
    date_trunc('second', max(clock_timestamp() - xact_start)) AS longest_transaction
FROM pg_stat_activity
WHERE backend_type = 'client backend';
