-- Index usage: the specification's "Check Index Usage", with the view's column names.
-- Look for: few scans of users_pkey, idx_users_email and idx_tasks_user_id_created_at, which the functions use. An index
-- with 0 scans after days of traffic only slows writes down; but those of keys (_pkey, _key) enforce constraints.
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
