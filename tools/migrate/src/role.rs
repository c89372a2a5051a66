//! The role of the functions: it reads and writes rows, and nothing else.
//!
//! What it has is compared with what it should have, and only the difference is run. So a repeat changes nothing, and
//! needs no right that the first run needed.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::types::Type;

use crate::database::{Database, Params};

/// How long a change of the role waits for a migration that runs.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// How long a transaction of the role's may last, or wait for its next statement. The functions send single statements,
/// so there is none to wait for. Servers before PostgreSQL 17 know the second limit alone.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest name PostgreSQL keeps whole, in bytes.
const NAME_LIMIT: usize = 63;

/// What the role is and which limits it has, as statements for what differs. `$1` is the role, `$2` and `$3` are the
/// names and the values of its limits; a server that does not know a limit goes without.
const ROLE: &str = "
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

/// What the role may do, as statements for what differs. `$1` is the role.
///
/// What an extension brought, or another role owns, is not the product's and stays as it is. `CASE` has the server look
/// at the kind of a relation first.
const RIGHTS: &str = "
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
    WHERE relname = '_sqlx_migrations' AND (
        has_any_column_privilege($1, oid, 'SELECT, INSERT, UPDATE, REFERENCES')
        OR has_table_privilege($1, oid, 'DELETE, TRUNCATE, TRIGGER')
    )
    UNION ALL
    SELECT format('REVOKE ALL ON TABLE %1$s FROM PUBLIC, %2$I;
                   GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %1$s TO %2$I', name, $1)
    FROM relations
    WHERE relname <> '_sqlx_migrations' AND relkind <> 'S' AND NOT (
        has_table_privilege($1, oid, 'SELECT') AND has_table_privilege($1, oid, 'INSERT')
        AND has_table_privilege($1, oid, 'UPDATE') AND has_table_privilege($1, oid, 'DELETE')
        AND NOT has_table_privilege($1, oid, 'TRUNCATE, REFERENCES, TRIGGER')
    )
    UNION ALL
    SELECT format('GRANT USAGE ON SEQUENCE %s TO %I', name, $1)
    FROM relations WHERE CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege($1, oid, 'USAGE') END";

/// Sets the password that `set_config` was given. Text with a password in it is seen by whoever reads the server's log
/// or `pg_stat_statements`; a parameter is not. The server gets it as it is, and hashes it: Neon takes no hash.
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

/// The name of the role by which the functions use this database.
#[must_use]
pub fn functions_role(database: &str) -> String {
    format!("{database}_functions")
}

impl Database {
    /// Makes the role of the functions, or mends it, gives it this password, and says its name. A password that it had
    /// before is no longer accepted for new connections.
    ///
    /// # Errors
    /// The password is none, or the connection's own role may not do this; then nothing has changed.
    pub async fn make_role(&mut self, password: &str) -> anyhow::Result<String> {
        check_password(password)?;
        self.lock(LOCK_PATIENCE).await?;
        let done = self.make_under_lock(password).await;
        self.unlock().await;
        done
    }

    async fn make_under_lock(&mut self, password: &str) -> anyhow::Result<String> {
        let role = self.role_name().await?;
        ensure!(
            role.len() <= NAME_LIMIT,
            "the functions' role cannot be named {role}: a name has at most {NAME_LIMIT} bytes, so the database's has \
             to be shorter"
        );
        self.batch("BEGIN").await?;
        match self.make(&role, password).await {
            Ok(()) => self.batch("COMMIT").await.with_context(|| format!("the role {role} was not changed"))?,
            Err(error) => {
                self.batch("ROLLBACK").await?;
                return Err(error.context(format!("the role {role} was not changed")));
            }
        }
        Ok(role)
    }

    async fn make(&mut self, role: &str, password: &str) -> anyhow::Result<()> {
        let is_own = "SELECT 'itself' WHERE $1 IN (session_user, current_user)";
        ensure!(
            self.texts(is_own, &[(&role, Type::TEXT)]).await?.is_empty(),
            "it is the role of this connection: connect as the owner of the database"
        );
        let create = "SELECT format('CREATE ROLE %I LOGIN', $1)
                      WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
        for statement in self.texts(create, &[(&role, Type::TEXT)]).await? {
            self.batch(&statement).await?;
        }
        let owns = "SELECT 'something' FROM pg_shdepend
                    WHERE refclassid = 'pg_authid'::regclass AND refobjid = quote_ident($1)::regrole
                        AND deptype = 'o' LIMIT 1";
        ensure!(
            self.texts(owns, &[(&role, Type::TEXT)]).await?.is_empty(),
            "it owns tables or databases, of which no right can be taken from it: give them to another role, with \
             REASSIGN OWNED"
        );
        let (names, values): (Vec<_>, Vec<_>) = limits().into_iter().unzip();
        let limits = [(&role as _, Type::TEXT), (&names as _, Type::TEXT_ARRAY), (&values as _, Type::TEXT_ARRAY)];
        self.settle(ROLE, &limits).await?;
        self.settle(RIGHTS, &[(&role, Type::TEXT)]).await?;

        let keep = "SELECT set_config('migrate.role', $1, true), set_config('migrate.password', $2, true)";
        self.texts(keep, &[(&role, Type::TEXT), (&password, Type::TEXT)]).await?;
        self.batch(SET_PASSWORD).await
    }

    /// Gives the role of the functions its rights to tables that are new; nothing where there is no such role.
    pub(crate) async fn renew_rights(&mut self) -> anyhow::Result<()> {
        let role = self.role_name().await?;
        let exists = "SELECT rolname::text FROM pg_roles WHERE rolname = $1";
        for role in self.texts(exists, &[(&role, Type::TEXT)]).await? {
            self.batch("BEGIN").await?;
            let settled = self.settle(RIGHTS, &[(&role, Type::TEXT)]).await;
            self.batch(if settled.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            settled.with_context(|| format!("the role {role} did not get its rights"))?;
        }
        Ok(())
    }

    async fn role_name(&mut self) -> anyhow::Result<String> {
        let name = self.texts("SELECT current_database()::text", &[]).await?.pop();
        Ok(functions_role(&name.context("the database does not say its name")?))
    }

    /// Runs the statements that a query answers with, until it has none.
    async fn settle(&mut self, query: &str, params: Params<'_>) -> anyhow::Result<()> {
        for statement in self.texts(query, params).await? {
            self.batch(&statement).await.with_context(|| statement)?;
        }
        // A right that another role granted stays, with no more than a warning.
        let left = self.texts(query, params).await?;
        ensure!(left.is_empty(), "this had no effect, since another role granted it: {}", left.join("; "));
        Ok(())
    }
}

/// The limits of the role, as PostgreSQL's settings.
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

/// PostgreSQL clears a password that is empty, and takes one in the form of its own hashes for a hash.
fn check_password(password: &str) -> anyhow::Result<()> {
    ensure!(!password.is_empty(), "the password of the functions' role is empty");
    let is_md5 = |rest: &str| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(
        !password.starts_with("SCRAM-SHA-256$") && !password.strip_prefix("md5").is_some_and(is_md5),
        "the password of the functions' role has the form of a hash: the database has to be given the password itself"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_would_not_take_for_a_password_is_refused_without_being_repeated() {
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
