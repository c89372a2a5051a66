//! Connections to a stage's database.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use db::Config;
use migrate::{Database, Endpoint};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::Client;

use crate::{
    setting::Setting,
    stage::Stage,
    store::{Settings, Store, Stored},
};

/// A suspended database has to wake up first.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a login with a password that was just set is retried: PgBouncer waits for 15 s after a refused login.
pub(crate) const NEW_PASSWORD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long any other login is retried.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(3);

const LOGIN_PAUSE: Duration = Duration::from_secs(1);

/// The privileges of the session's role, and its limits in milliseconds.
const ROLE: &str = "SELECT
    pg_has_role(current_user, datdba, 'MEMBER') OR has_schema_privilege('public', 'CREATE') AS may_change_schema,
    (SELECT setting::int8 FROM pg_settings WHERE name = 'statement_timeout') AS statement_timeout,
    (SELECT setting::int8 FROM pg_settings WHERE name = 'lock_timeout') AS lock_timeout
    FROM pg_database WHERE datname = current_database()";

/// Logs in as the functions do, and checks that their role cannot change the schema and has its limits. A refused login
/// is retried for `retry`: a pooler that caches passwords learns a new one after some seconds.
pub(crate) async fn check_login(url: &str, retry: Duration) -> anyhow::Result<()> {
    let config = db::Config::new(url, ca_certificates()?.as_deref())?;
    let started = Instant::now();
    let deadline = started + CONNECT_TIMEOUT;
    let (client, driver) = loop {
        match timeout_at(deadline, config.connect()).await {
            Ok(Ok(connection)) => break connection,
            Ok(Err(error)) if started.elapsed() >= retry => return Err(error).context("the functions cannot log in"),
            Ok(Err(_)) => sleep(LOGIN_PAUSE).await,
            Err(_) => bail!("the database did not answer the functions within {} s", CONNECT_TIMEOUT.as_secs()),
        }
    };
    tokio::spawn(driver);
    let row = timeout_at(deadline, client.query_typed_one(ROLE, &[])).await.context("the database did not answer")?;
    let row = row.context("cannot read the limits of the functions' role")?;
    let is_limited = |column, limit: Duration| -> anyhow::Result<bool> {
        let milliseconds: i64 = row.try_get(column)?;
        // 0 is no limit.
        Ok(u128::try_from(milliseconds).is_ok_and(|is| is > 0 && is <= limit.as_millis()))
    };
    ensure!(
        !row.try_get::<_, bool>("may_change_schema")?,
        "{} may change the schema, so it is not the functions' role",
        config.user()
    );
    ensure!(
        is_limited("statement_timeout", db::STATEMENT_TIMEOUT)? && is_limited("lock_timeout", db::LOCK_TIMEOUT)?,
        "the limits of the functions' role are not in force"
    );
    Ok(())
}

/// Connects to the stored direct address, for migrations.
pub(crate) async fn connect_as_owner(settings: &Settings) -> anyhow::Result<Database> {
    let Stored { value: url, .. } = settings.get(&Setting::DatabaseUrlUnpooled).context("no direct address")?;
    connect_for_migrations(url, CONNECT_TIMEOUT).await
}

pub(crate) async fn connect_for_migrations(url: &str, limit: Duration) -> anyhow::Result<Database> {
    Database::connect(&Endpoint::new(url, ca_file().as_deref())?, limit).await
}

/// The direct address of a stage's database, or else the other one.
pub(crate) async fn url_of(stage: Option<Stage>, url: Option<String>) -> anyhow::Result<String> {
    match (stage, url) {
        (Some(stage), _) => {
            let (store, setting) = (Store::open(&stage).await?, Setting::DatabaseUrlUnpooled);
            let stored = store.read(&[setting]).await?.remove(&setting);
            Ok(stored.with_context(|| format!("{} is not stored", store.name(setting)))?.value)
        }
        (None, Some(url)) => Ok(url),
        (None, None) => bail!("no database: set STAGE or DATABASE_URL_UNPOOLED"),
    }
}

pub(crate) fn config(url: &str) -> anyhow::Result<Config> {
    Config::new(url, ca_certificates()?.as_deref()).context("the address of the database")
}

pub(crate) async fn connect(config: &Config, limit: Duration) -> anyhow::Result<Client> {
    let connection = timeout(limit, config.connect()).await.ok().with_context(|| no_answer(limit))?;
    let (client, driver) = connection.context("cannot connect to the database")?;
    tokio::spawn(driver);
    Ok(client)
}

pub(crate) fn no_answer(limit: Duration) -> String {
    format!("the database did not answer within {} s", limit.as_secs())
}

/// The file in `DATABASE_CA_FILE`.
pub(crate) fn ca_file() -> Option<PathBuf> {
    let file = cli::variable("DATABASE_CA_FILE")?;
    Some(file.to_string_lossy().trim().into())
}

pub(crate) fn ca_certificates() -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = ca_file() else { return Ok(None) };
    fs::read(&file).map(Some).with_context(|| format!("cannot read {} (DATABASE_CA_FILE)", file.display()))
}
