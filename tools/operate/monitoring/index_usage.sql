-- Index usage: the specification's "Check Index Usage", with the names the columns of the view have.
-- Look for: 0 scans of an index after days of traffic: it is only written. Leave the keys (users_pkey, tasks_pkey,
-- users_email_key) alone, they hold constraints.
SELECT
    schemaname,
    relname AS tablename,
    indexrelname AS indexname,
    idx_scan AS scans,
    idx_tup_read AS tuples_read,
    pg_size_pretty(pg_relation_size(indexrelid)) AS size
FROM pg_stat_user_indexes
WHERE schemaname = 'public'
ORDER BY idx_scan DESC, indexrelname;
