//! The one connection everything goes over, and what is asked and told over it.

use std::{
    error::Error,
    fs, io, iter,
    path::Path,
    time::{Duration, Instant as Clock},
};

use anyhow::{Context, anyhow, bail, ensure};
use db::{Config, ConnectError, pooler};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::{
    Client,
    error::{ErrorPosition, Severity, SqlState},
    types::{ToSql, Type},
};

use crate::files::File;

/// The advisory lock of this tool. Such locks belong to a database, so one number serves all.
const LOCK: i64 = i64::from_be_bytes(*b"migrate\0");

/// A role may have limits that suit requests; building an index takes as long as it takes.
const NO_LIMITS: &str = "
    SELECT set_config(name, '0', false) FROM pg_settings
    WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')";

/// What a file has set for the session is not for the next one, nor for our own statements.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// The table of what is applied, exactly as sqlx 0.9 makes it: the first release used that.
const CREATE_TABLE: &str = "
CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
)";

/// Runs the file that was kept in the setting. From within, the server refuses what would end the transaction, and so
/// nothing of a file that fails can stay.
const RUN_FILE: &str = "DO $$ BEGIN EXECUTE current_setting('migrate.file'); END $$";

/// How long the pauses between attempts to connect are, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Values for a statement, with their types.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Where to connect to, checked before anything is sent.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    name: String,
}

impl Endpoint {
    /// Reads the address.
    ///
    /// # Errors
    /// It cannot be used, or is a pooler's; or the file with the authorities cannot be read.
    pub fn new(url: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let read = |file: &Path| {
            fs::read(file)
                .with_context(|| format!("cannot read the certificates {} (DATABASE_CA_FILE)", file.display()))
        };
        let authorities = ca_file.map(read).transpose()?;
        let config = Config::new(url, authorities.as_deref()).map_err(|error| match error {
            db::InvalidConfig::Certificate => anyhow!("DATABASE_CA_FILE {error}"),
            error => anyhow!("the database URL {error}"),
        })?;
        let host = config.host();
        if let Some(direct) = pooler::direct(host) {
            bail!("{host} is a pooler, over which migrations cannot run: use the direct endpoint, {direct}");
        }
        let name = format!("{host}:{}", config.port());
        Ok(Self { config, name })
    }

    /// Opens a connection, and tries again within `patience` when what was in the way may pass: a compute that wakes, a
    /// server that starts, one with too many connections.
    async fn connect(&self, patience: Duration) -> anyhow::Result<Client> {
        let deadline = Instant::now() + patience;
        let (mut pause, longest) = PAUSES;
        let mut last = None;
        loop {
            match timeout_at(deadline, self.open()).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) if passes(&error) && Instant::now() + pause < deadline => last = Some(error),
                Ok(Err(error)) => return Err(self.complaint(&error)),
                Err(_) => {
                    let silence =
                        format!("the database at {} did not answer within {} s", self.name, patience.as_secs());
                    return Err(last.map_or_else(|| anyhow!(silence.clone()), |error| self.complaint(&error)));
                }
            }
            sleep(pause).await;
            pause = (2 * pause).min(longest);
        }
    }

    async fn open(&self) -> Result<Client, ConnectError> {
        let (client, driver) = self.config.connect().await?;
        tokio::spawn(driver);
        client.batch_execute(NO_LIMITS).await?;
        Ok(client)
    }

    fn complaint(&self, error: &ConnectError) -> anyhow::Error {
        let name = &self.name;
        match error {
            ConnectError::Network(error) => anyhow!("the database at {name} cannot be reached: {error}"),
            ConnectError::Postgres(error) if error.as_db_error().is_some() => {
                anyhow!("the database at {name} refuses the connection: {}", explain(error))
            }
            ConnectError::Postgres(error) if causes(error).any(|cause| cause.is::<native_tls::Error>()) => anyhow!(
                "no verified TLS connection to {name}: {}; a private CA has to be named in DATABASE_CA_FILE",
                explain(error)
            ),
            ConnectError::Postgres(error) => anyhow!("no connection to the database at {name}: {}", explain(error)),
        }
    }
}

/// Whether another attempt may find it gone.
fn passes(error: &ConnectError) -> bool {
    match (error, error.as_db_error()) {
        (ConnectError::Network(_), _) => true,
        (_, Some(refusal)) => is_passing(refusal.code().code()),
        (ConnectError::Postgres(error), None) => {
            error.is_closed() || causes(error).any(|cause| cause.is::<io::Error>())
        }
    }
}

/// Whether a server that refuses a connection with this SQLSTATE may take a later one. Neon's proxy says XX000 whatever
/// is the matter, also while a compute wakes.
fn is_passing(sqlstate: &str) -> bool {
    ["08", "53", "57", "58", "XX"].iter().any(|class| sqlstate.starts_with(class))
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) checksum: Vec<u8>,
    /// Whether it came to its end. This tool writes no other rows.
    pub(crate) success: bool,
    /// When, in UTC.
    pub(crate) at: String,
}

/// An index that PostgreSQL does not use: a `CREATE INDEX CONCURRENTLY` failed, or is not done yet.
#[derive(Debug, PartialEq, Eq)]
struct InvalidIndex {
    /// With its schema, quoted where needed.
    full_name: String,
    name: String,
}

impl InvalidIndex {
    /// Whether the index's name stands in the text, as a word.
    fn is_named_in(&self, sql: &str) -> bool {
        let (sql, name) = (sql.to_lowercase(), self.name.to_lowercase());
        let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        sql.match_indices(&name).any(|(at, _)| {
            let (before, after) = (&sql[..at], &sql[at + name.len()..]);
            !is_word(before.chars().next_back()) && !is_word(after.chars().next())
        })
    }
}

/// A session of PostgreSQL. The lock lives as long as it does.
pub struct Database {
    client: Client,
    endpoint: Endpoint,
    patience: Duration,
}

impl Database {
    /// Opens the connection, within `patience`; what may pass is tried again.
    ///
    /// # Errors
    /// The database does not answer, cannot be verified, or refuses.
    pub async fn connect(endpoint: &Endpoint, patience: Duration) -> anyhow::Result<Self> {
        let client = endpoint.connect(patience).await?;
        Ok(Self { client, endpoint: endpoint.clone(), patience })
    }

    /// Waits for the turn of this process.
    ///
    /// The lock is polled, as a statement that waits for it holds a snapshot, which `CREATE INDEX CONCURRENTLY` in the
    /// process that has the lock would wait for in turn: a deadlock.
    pub(crate) async fn lock(&mut self, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let locked = "SELECT 'locked' WHERE pg_try_advisory_lock($1)";
        while self.texts(locked, &[(&LOCK, Type::INT8)]).await?.is_empty() {
            ensure!(
                Instant::now() < deadline,
                "another migration has not ended for {} s: try again when it has, or with a longer --lock-timeout",
                patience.as_secs()
            );
            sleep(Duration::from_millis(150)).await;
        }
        Ok(())
    }

    /// Ends the turn of this process, however it went. By itself the lock ends with the session, which the server may
    /// notice only when this process is gone and the next one looks.
    pub(crate) async fn unlock(&self) {
        // A session that is broken has lost it.
        let _ = self.texts("SELECT 'unlocked' WHERE pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)]).await;
    }

    /// Whether another process has the lock.
    pub(crate) async fn is_locked(&mut self) -> anyhow::Result<bool> {
        let locked = "
            SELECT 'locked' FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE locktype = 'advisory' AND datname = current_database() AND objsubid = 1
                AND (classid::bigint << 32) + objid::bigint = $1 AND granted AND pid <> pg_backend_pid()";
        Ok(!self.texts(locked, &[(&LOCK, Type::INT8)]).await?.is_empty())
    }

    /// Says so where nothing can be applied.
    pub(crate) async fn ensure_writable(&mut self) -> anyhow::Result<()> {
        let obstacles = "
            SELECT 'it is a standby' WHERE pg_is_in_recovery()
            UNION ALL
            SELECT 'default_transaction_read_only is on' WHERE current_setting('transaction_read_only') = 'on'";
        if let Some(obstacle) = self.texts(obstacles, &[]).await?.into_iter().next() {
            bail!("the database at {} is read-only: {obstacle}", self.endpoint.name);
        }
        Ok(())
    }

    /// What was applied, by number.
    pub(crate) async fn applied(&mut self) -> anyhow::Result<Vec<Applied>> {
        if self.texts("SELECT 'there' WHERE to_regclass('_sqlx_migrations') IS NOT NULL", &[]).await?.is_empty() {
            return Ok(Vec::new());
        }
        let rows = "SELECT version, description, checksum, success,
                        to_char(installed_on AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at
                    FROM _sqlx_migrations ORDER BY version";
        let rows = self.client.query_typed(rows, &[]).await.map_err(broken)?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Applied {
                version: row.try_get("version")?,
                description: row.try_get("description")?,
                checksum: row.try_get("checksum")?,
                success: row.try_get("success")?,
                at: row.try_get("at")?,
            })
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(broken)
    }

    /// Applies one file and says how long it took.
    pub(crate) async fn apply(&mut self, file: &File) -> anyhow::Result<Duration> {
        self.batch(CREATE_TABLE).await?;
        let invalid = self.invalid_indexes().await.map_err(broken)?;
        let begun = Clock::now();
        let failure = match self.try_to_apply(file, &invalid, begun).await {
            Ok(()) => return Ok(begun.elapsed()),
            Err(failure) => failure,
        };
        match failure {
            Failure::Postgres(error) if self.is_over(&error) => self.look_up(file, &error, &invalid).await?,
            failure => return Err(self.complaint(file, failure, &invalid).await),
        }
        Ok(begun.elapsed())
    }

    async fn try_to_apply(&self, file: &File, invalid: &[InvalidIndex], begun: Clock) -> Result<(), Failure> {
        if file.no_transaction {
            // In the form that takes a single statement: the server would run several as one transaction.
            self.client.execute_typed(&file.sql, &[]).await?;
        } else {
            self.client.batch_execute("BEGIN").await?;
            let keep = "SELECT set_config('migrate.file', $1, true)";
            self.client.query_typed(keep, &[(&file.sql, Type::TEXT)]).await?;
            // The name is for those who look what the database is doing.
            self.client.batch_execute(&format!("/* {} */ {RUN_FILE}", file.name)).await?;
        }
        self.client.batch_execute(RESET).await?;
        self.client.batch_execute(NO_LIMITS).await?;
        let left = self.left_invalid(file, invalid).await?;
        if !left.is_empty() {
            return Err(Failure::Invalid(left));
        }
        let record = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                      VALUES ($1, $2, TRUE, $3, $4)";
        let nanoseconds = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.client
            .execute_typed(
                record,
                &[
                    (&file.version, Type::INT8),
                    (&file.description, Type::TEXT),
                    (&file.checksum, Type::BYTEA),
                    (&nanoseconds, Type::INT8),
                ],
            )
            .await?;
        if !file.no_transaction {
            self.client.batch_execute("COMMIT").await?;
        }
        Ok(())
    }

    /// Whether the session has ended with this failure, so that the server has not said what became of the file.
    fn is_over(&self, error: &tokio_postgres::Error) -> bool {
        let severity = error.as_db_error().map(|error| error.parsed_severity());
        self.client.is_closed() || !matches!(severity, Some(Some(Severity::Error)))
    }

    /// Finds out, over a new connection, whether a file was applied when the old one broke.
    async fn look_up(
        &mut self,
        file: &File,
        error: &tokio_postgres::Error,
        invalid: &[InvalidIndex],
    ) -> anyhow::Result<()> {
        let (name, reason) = (&file.name, explain(error));
        let unknown = || format!("{name} broke off ({reason}), and `migrate status` says later what became of it");
        self.client = self.endpoint.connect(self.patience).await.with_context(unknown)?;
        // Once the lock is ours, the old session is over.
        self.lock(self.patience).await.with_context(unknown)?;
        let applied = self.applied().await.with_context(unknown)?;
        if applied.iter().any(|applied| applied.version == file.version && file.has(&applied.checksum)) {
            return Ok(());
        }
        ensure!(file.no_transaction, "{name} broke off and was rolled back: {reason}");
        let left = self.left_invalid(file, invalid).await.map_err(broken).with_context(unknown)?;
        bail!("{name} broke off and is not recorded as applied: {reason}; {}", what_is_left(&left));
    }

    /// What to tell when a file fails: where, why, and what state it leaves.
    async fn complaint(&mut self, file: &File, failure: Failure, invalid: &[InvalidIndex]) -> anyhow::Error {
        let name = &file.name;
        if !file.no_transaction
            && let Err(error) = self.client.batch_execute("ROLLBACK").await
        {
            return anyhow!("{name} failed, and the server did not say that it was rolled back: {}", explain(&error));
        }
        let error = match failure {
            Failure::Invalid(left) if file.no_transaction => {
                return anyhow!("{name} did not fail, and is not applied either: {}", what_is_left(&left));
            }
            Failure::Invalid(left) => return anyhow!("{name} was rolled back: {}", what_is_left(&left)),
            Failure::Postgres(error) => error,
        };
        let line = line_of(&error, &file.sql).map(|line| format!(", line {line}")).unwrap_or_default();
        let (reason, hint) = (explain(&error), hint(&error, file.no_transaction));
        if !file.no_transaction {
            return anyhow!("{name}{line} failed and was rolled back: {reason}{hint}");
        }
        let left = match self.left_invalid(file, invalid).await {
            Ok(left) => what_is_left(&left),
            Err(error) => explain(&error),
        };
        anyhow!("{name}{line} failed: {reason}{hint}; {left}")
    }

    /// The indexes that a file has left INVALID, or names and passes over.
    async fn left_invalid(
        &self,
        file: &File,
        before: &[InvalidIndex],
    ) -> Result<Vec<InvalidIndex>, tokio_postgres::Error> {
        let mut left = self.invalid_indexes().await?;
        left.retain(|index| !before.contains(index) || index.is_named_in(&file.sql));
        Ok(left)
    }

    /// A partitioned table's index is none of them: it is invalid until each partition has its own.
    async fn invalid_indexes(&self) -> Result<Vec<InvalidIndex>, tokio_postgres::Error> {
        let invalid = "SELECT format('%I.%I', nspname, relname) AS full_name, relname::text AS name
                       FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                       JOIN pg_namespace ON pg_namespace.oid = relnamespace
                       WHERE NOT indisvalid AND relkind = 'i' AND nspname !~ '^pg_' ORDER BY 1";
        let rows = self.client.query_typed(invalid, &[]).await?;
        rows.iter()
            .map(|row| Ok(InvalidIndex { full_name: row.try_get("full_name")?, name: row.try_get("name")? }))
            .collect()
    }

    /// The first column of every row, which is text.
    pub(crate) async fn texts(&self, sql: &str, params: Params<'_>) -> anyhow::Result<Vec<String>> {
        let rows = self.client.query_typed(sql, params).await.map_err(broken)?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(broken)
    }

    /// Runs statements that answer nothing.
    pub(crate) async fn batch(&self, sql: &str) -> anyhow::Result<()> {
        self.client.batch_execute(sql).await.map_err(broken)
    }
}

/// Why a file is not applied.
enum Failure {
    Postgres(tokio_postgres::Error),
    Invalid(Vec<InvalidIndex>),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// What is left of a file that ran outside a transaction.
fn what_is_left(invalid: &[InvalidIndex]) -> String {
    let names: Vec<_> = invalid.iter().map(|index| index.full_name.as_str()).collect();
    match names.join(", ") {
        none if none.is_empty() => {
            "it runs outside a transaction: no index is INVALID because of it, but what it committed stays".to_owned()
        }
        names => format!(
            "INVALID, because a CREATE INDEX CONCURRENTLY failed or is not done: {names}; drop it (DROP INDEX \
             CONCURRENTLY {names}) before the next try"
        ),
    }
}

/// What the server's own words do not say to somebody who knows only the file.
fn hint(error: &tokio_postgres::Error, no_transaction: bool) -> &'static str {
    let Some(error) = error.as_db_error() else { return "" };
    // The text of the message depends on the server's language; the function it comes from does not.
    match (error.code(), error.routine()) {
        (code, Some("exec_stmt_dynexecute")) if *code == SqlState::FEATURE_NOT_SUPPORTED && !no_transaction => {
            "; a file runs in one transaction, which is not its own to begin or to end, and cannot SELECT INTO a table"
        }
        (code, _) if *code == SqlState::ACTIVE_SQL_TRANSACTION && !no_transaction => {
            "; let the file begin with the line `-- no-transaction`, and hold this statement alone"
        }
        (code, Some("exec_parse_message")) if *code == SqlState::SYNTAX_ERROR && no_transaction => {
            "; a file that runs outside a transaction holds a single statement"
        }
        _ => "",
    }
}

/// The line of the file the server points at.
fn line_of(error: &tokio_postgres::Error, sql: &str) -> Option<usize> {
    let position = match error.as_db_error()?.position()? {
        ErrorPosition::Original(position) => position,
        ErrorPosition::Internal { position, query } if query == sql => position,
        ErrorPosition::Internal { .. } => return None,
    };
    let before = usize::try_from(*position).ok()?.saturating_sub(1);
    Some(1 + sql.chars().take(before).filter(|&character| character == '\n').count())
}

pub(crate) fn broken(error: tokio_postgres::Error) -> anyhow::Error {
    anyhow!("the database failed: {}", explain(&error))
}

/// What the server says, or everything that led to the failure.
fn explain(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": "),
    }
}

fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Endpoint::new(url, None).err().unwrap().to_string()
    }

    #[test]
    fn a_pooler_is_refused_and_the_direct_endpoint_named() {
        for host in ["ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech", "EP-calm-sea-123456-POOLER.aws.neon.tech"]
        {
            let message = refusal(&format!("postgres://user:hunter2@{host}/neondb?sslmode=require"));
            let direct = host.to_lowercase().replace("-pooler", "");
            assert!(message.to_lowercase().ends_with(&format!("use the direct endpoint, {direct}")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let message = refusal("postgres://user@db-pooler.example/db");
        assert!(message.contains("is a pooler"), "{message}");
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_being_repeated() {
        for url in ["mysql://user:hunter2@db.example/db", "postgres://user:hunter2@db.example:port/db", "hunter2"] {
            let message = refusal(url);
            assert!(message.starts_with("the database URL is not a PostgreSQL connection URL"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        for passing in ["XX000", "57P03", "57P01", "08006", "08P01", "53300", "58030"] {
            assert!(is_passing(passing), "{passing}");
        }
        for lasting in ["28P01", "28000", "3D000", "42501", "0A000", "55000"] {
            assert!(!is_passing(lasting), "{lasting}");
        }
    }

    #[test]
    fn an_index_is_named_where_its_name_is_a_word_of_the_text() {
        let index = InvalidIndex { full_name: "public.idx_a".to_owned(), name: "idx_a".to_owned() };
        for sql in ["CREATE INDEX IF NOT EXISTS idx_a ON a (b)", "drop index public.IDX_A;", "\"idx_a\"", "idx_a"] {
            assert!(index.is_named_in(sql), "{sql}");
        }
        for sql in ["", "CREATE INDEX idx_ab ON a (b)", "my_idx_a", "idx_a$"] {
            assert!(!index.is_named_in(sql), "{sql}");
        }
    }
}
