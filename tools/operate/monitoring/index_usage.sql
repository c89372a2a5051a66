-- Index usage: the specification's "Check Index Usage", with the names the columns of the view have.
-- Look for: few scans of users_pkey, idx_users_email and idx_tasks_user_id_created_at, which the functions work by. An
-- index with 0 scans after days of traffic is only written; but those of the keys (_pkey, _key) hold constraints.
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
