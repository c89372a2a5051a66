//! The functions' role, which may read and write rows and nothing else.
//!
//! Its actual state is compared with the desired one, and only the differences are applied. So a second run changes
//! nothing, and needs none of the privileges that the first one needed.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::types::Type;

use crate::database::{Database, Params};

/// How long to wait for a migration to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// For `transaction_timeout` (since PostgreSQL 17) and `idle_in_transaction_session_timeout`. The functions send single
/// statements, so a transaction has no reason to last.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);

/// PostgreSQL truncates longer names, in bytes.
const MAX_NAME: usize = 63;

/// The statements that give the role the right attributes, memberships and limits. `$1` is the role, `$2` and `$3` are the
/// names and the values of its limits; limits that the server does not know are left out.
const ATTRIBUTES: &str = "
    SELECT format('ALTER ROLE %I %s', rolname, attribute) AS statement
    FROM pg_roles, LATERAL (VALUES
        (NOT rolcanlogin, 'LOGIN'), (rolsuper, 'NOSUPERUSER'), (rolcreatedb, 'NOCREATEDB'),
        (rolcreaterole, 'NOCREATEROLE'), (rolreplication, 'NOREPLICATION'), (rolbypassrls, 'NOBYPASSRLS')
    ) AS attributes (differs, attribute)
    WHERE rolname = $1 AND differs
    UNION ALL
    SELECT format('REVOKE %I FROM %I', granted.rolname, member.rolname)
    FROM pg_auth_members
    JOIN pg_roles AS member ON member.oid = pg_auth_members.member
    JOIN pg_roles AS granted ON granted.oid = pg_auth_members.roleid
    WHERE member.rolname = $1
    UNION ALL
    SELECT format('ALTER ROLE %I SET %I = %L', rolname, limits.name, limits.value)
    FROM pg_roles, unnest($2, $3) AS limits (name, value)
    WHERE rolname = $1 AND (rolconfig @> ARRAY[limits.name || '=' || limits.value]) IS NOT TRUE
        AND EXISTS (SELECT FROM pg_settings WHERE pg_settings.name = limits.name)";

/// The statements that give the role the right privileges. `$1` is the role.
///
/// Relations of extensions and of other owners are left alone; those whose names begin with `_` are the tools' own. `CASE`
/// makes the server check a relation's kind first.
const PRIVILEGES: &str = "
    WITH relations AS (
        SELECT format('%I.%I', nspname, relname) AS name, relname, relkind, pg_class.oid
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'S') AND pg_has_role(relowner, 'USAGE')
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
            )
    )
    SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1) AS statement
    WHERE NOT has_database_privilege($1, current_database(), 'CONNECT')
    UNION ALL
    SELECT format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC, %I', current_database(), $1)
    WHERE has_database_privilege($1, current_database(), 'CREATE, TEMPORARY')
    UNION ALL
    SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, $1)
    FROM pg_namespace WHERE nspname = 'public' AND NOT has_schema_privilege($1, oid, 'USAGE')
    UNION ALL
    SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', nspname, $1)
    FROM pg_namespace WHERE nspname !~ '^pg_' AND has_schema_privilege($1, oid, 'CREATE')
    UNION ALL
    SELECT format('REVOKE ALL ON TABLE %s FROM PUBLIC, %I', name, $1)
    FROM relations
    WHERE relname LIKE '\\_%' AND relkind <> 'S' AND (
        has_any_column_privilege($1, oid, 'SELECT, INSERT, UPDATE, REFERENCES')
        OR has_table_privilege($1, oid, 'DELETE, TRUNCATE, TRIGGER')
    )
    UNION ALL
    SELECT format('REVOKE ALL ON TABLE %1$s FROM PUBLIC, %2$I;
                   GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %1$s TO %2$I', name, $1)
    FROM relations
    WHERE relname NOT LIKE '\\_%' AND relkind <> 'S' AND NOT (
        has_table_privilege($1, oid, 'SELECT') AND has_table_privilege($1, oid, 'INSERT')
        AND has_table_privilege($1, oid, 'UPDATE') AND has_table_privilege($1, oid, 'DELETE')
        AND NOT has_table_privilege($1, oid, 'TRUNCATE, REFERENCES, TRIGGER')
    )
    UNION ALL
    SELECT format('GRANT USAGE ON SEQUENCE %s TO %I', name, $1)
    FROM relations WHERE CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege($1, oid, 'USAGE') END";

/// Sets the password in the setting `migrate.password`. A statement with the password in its text would show it in the
/// server's log and in `pg_stat_statements`; a parameter does not. The server hashes it: Neon does not accept a hash.
const SET_PASSWORD: &str = "
    DO $$
    BEGIN
        EXECUTE format('ALTER ROLE %I PASSWORD %L',
            current_setting('migrate.role'), current_setting('migrate.password'));
    EXCEPTION WHEN OTHERS THEN
        -- Without the context, which quotes the statement.
        RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
    END
    $$";

/// The name of the functions' role in a database.
#[must_use]
pub fn functions_role(database: &str) -> String {
    format!("{database}_functions")
}

impl Database {
    /// Creates or updates the functions' role with this password, and returns its name. New connections need the new
    /// password at once.
    ///
    /// # Errors
    /// The password is invalid, or the connection's role may not do this; then nothing has changed.
    pub async fn ensure_role(&self, password: &str) -> anyhow::Result<String> {
        check_password(password)?;
        self.lock(LOCK_TIMEOUT).await?;
        let result = self.ensure_role_locked(password).await;
        self.unlock().await;
        result
    }

    async fn ensure_role_locked(&self, password: &str) -> anyhow::Result<String> {
        let role = self.role_name().await?;
        ensure!(
            role.len() <= MAX_NAME,
            "the name of the functions' role, {role}, is longer than {MAX_NAME} bytes: use a shorter database name"
        );
        let changed = self.transaction(self.create_or_update(&role, password)).await;
        changed.with_context(|| format!("the role {role} was not changed"))?;
        Ok(role)
    }

    async fn create_or_update(&self, role: &str, password: &str) -> anyhow::Result<()> {
        let params: Params<'_> = &[(&role, Type::TEXT)];
        let is_own = "SELECT $1 IN (session_user, current_user)";
        ensure!(
            !self.query_bool(is_own, params).await?,
            "it is the role of this connection: connect as the owner of the database"
        );
        let create = "SELECT format('CREATE ROLE %I LOGIN', $1)
                      WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
        for statement in self.query_strings(create, params).await? {
            self.batch_execute(&statement).await?;
        }
        let owns = "SELECT EXISTS (
                        SELECT FROM pg_shdepend
                        WHERE refclassid = 'pg_authid'::regclass AND refobjid = quote_ident($1)::regrole
                            AND deptype = 'o'
                    )";
        ensure!(
            !self.query_bool(owns, params).await?,
            "it owns tables or databases, and an owner's privileges cannot be revoked: give them to another role with \
             REASSIGN OWNED"
        );
        let (names, values): (Vec<_>, Vec<_>) = limits().into_iter().unzip();
        let limits = [(&role as _, Type::TEXT), (&names as _, Type::TEXT_ARRAY), (&values as _, Type::TEXT_ARRAY)];
        self.reconcile(ATTRIBUTES, &limits).await?;
        self.reconcile(PRIVILEGES, params).await?;

        let set = "SELECT set_config('migrate.role', $1, true), set_config('migrate.password', $2, true)";
        self.query_strings(set, &[(&role, Type::TEXT), (&password, Type::TEXT)]).await?;
        self.batch_execute(SET_PASSWORD).await
    }

    /// Grants the functions' role its privileges on new tables, if the role exists.
    pub(crate) async fn update_privileges(&self) -> anyhow::Result<()> {
        let role = self.role_name().await?;
        let params: Params<'_> = &[(&role, Type::TEXT)];
        if !self.query_bool("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", params).await? {
            return Ok(());
        }
        let granted = self.transaction(self.reconcile(PRIVILEGES, params)).await;
        granted.with_context(|| format!("the privileges of the role {role} were not updated"))
    }

    async fn role_name(&self) -> anyhow::Result<String> {
        let name = self.query_strings("SELECT current_database()::text", &[]).await?.pop();
        Ok(functions_role(&name.context("the database did not return its name")?))
    }

    /// Runs the statements that a query returns, after which it must return none.
    async fn reconcile(&self, query: &str, params: Params<'_>) -> anyhow::Result<()> {
        for statement in self.query_strings(query, params).await? {
            self.batch_execute(&statement).await.with_context(|| statement)?;
        }
        // REVOKE only warns when the privilege was granted by another role.
        let left = self.query_strings(query, params).await?;
        ensure!(left.is_empty(), "this had no effect, because another role granted the privilege: {}", left.join("; "));
        Ok(())
    }
}

/// The role's settings.
fn limits() -> [(&'static str, String); 5] {
    let in_ms = |limit: Duration| format!("{}ms", limit.as_millis());
    [
        ("statement_timeout", in_ms(db::STATEMENT_TIMEOUT)),
        ("lock_timeout", in_ms(db::LOCK_TIMEOUT)),
        ("client_connection_check_interval", in_ms(db::CHECK_INTERVAL)),
        ("idle_in_transaction_session_timeout", in_ms(TRANSACTION_TIMEOUT)),
        ("transaction_timeout", in_ms(TRANSACTION_TIMEOUT)),
    ]
}

/// PostgreSQL takes an empty password for none, and one that looks like a hash for a hash.
fn check_password(password: &str) -> anyhow::Result<()> {
    ensure!(!password.is_empty(), "the password of the functions' role is empty");
    let is_md5 = |rest: &str| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(
        !password.starts_with("SCRAM-SHA-256$") && !password.strip_prefix("md5").is_some_and(is_md5),
        "the password of the functions' role looks like a hash: give the password itself"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_password_is_refused_without_being_repeated() {
        let hash = format!("md5{}", "0123456789abcdef".repeat(2));
        for password in ["", "SCRAM-SHA-256$4096:c2FsdA==$a:b", &hash] {
            let message = check_password(password).unwrap_err().to_string();
            assert!(password.is_empty() || !message.contains(password), "{message}");
        }
        for password in ["hunter2", "md5", "md5 is old", "p\u{1f511}ss", "SCRAM"] {
            check_password(password).unwrap();
        }
    }
}
