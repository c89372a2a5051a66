ALTER ROLE {superuser} PASSWORD '{password}'
CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{password}'
GRANT pg_monitor, pg_signal_backend TO {name}
CREATE DATABASE {name} OWNER {name}
