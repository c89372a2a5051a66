//! Connections to the stack's PostgreSQL, databases of a test's own on it, and the `migrate` program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::Url;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use crate::{
    command::Output,
    workspace::{root, variable},
};

/// How long a connection, a condition in the database, or a line of `migrate` may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long a run of `migrate` may take, with its attempts to get a lock.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(900);

/// The stack's database, at its direct endpoint, as its owner.
pub fn direct_url() -> String {
    variable("DATABASE_URL_UNPOOLED")
}

/// The same as the superuser, who has the same password.
pub fn superuser_url() -> String {
    let mut url: Url = direct_url().parse().expect("a URL");
    url.set_username("postgres").expect("a user");
    url.into()
}

/// The certificate of the authority that has signed the stack's certificates.
pub fn ca_file() -> PathBuf {
    variable("DATABASE_CA_FILE").into()
}

/// A program of the workspace.
pub fn program(name: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(variable("PROGRAMS")).join(name))
}

/// One of PostgreSQL's programs for clients. Not every installation has them: without it, the test has to be skipped.
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
pub fn client_program(name: &str) -> Option<PathBuf> {
    let program = Path::new(&variable("PG_BIN")).join(name);
    if !program.is_file() {
        println!("SKIPPED: {} is missing", program.display());
        return None;
    }
    Some(program)
}

pub fn migrations() -> PathBuf {
    root().join("migrations")
}

/// Connects over verified TLS.
pub async fn connect(url: &str) -> Result<Client> {
    connect_trusting(&ca_file(), url).await
}

/// Connects over TLS that is verified against this authority.
pub async fn connect_trusting(ca_file: &Path, url: &str) -> Result<Client> {
    let config = db::Config::new(url, Some(&fs::read(ca_file)?))?;
    let (client, connection) = tokio::time::timeout(TIMEOUT, config.connect()).await??;
    tokio::spawn(connection);
    Ok(client)
}

/// Connects to the stack's database as its owner.
pub async fn connect_to_stack() -> Client {
    connect(&direct_url()).await.expect("a connection")
}

/// Connects to the stack's database as the superuser.
pub async fn connect_as_superuser() -> Client {
    connect(&superuser_url()).await.expect("a connection")
}

/// Creates a role of a test's own with the rights of the functions' role.
pub async fn create_functions_role(superuser: &Client, name: &str, password: &str) {
    let sql = format!(
        "DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE task_api_functions"
    );
    superuser.batch_execute(&sql).await.expect("a role");
}

/// The stack's database, at its direct endpoint, as another role.
pub fn url_as(name: &str, password: &str) -> String {
    let mut url: Url = direct_url().parse().expect("a URL");
    url.set_username(name).expect("a user");
    url.set_password(Some(password)).expect("a password");
    url.into()
}

/// Waits until a query has a row.
pub async fn wait_for_row(client: &Client, sql: &str) {
    let found = tokio::time::timeout(TIMEOUT, async {
        while client.query_typed(sql, &[]).await.expect("rows").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("no row: {sql}"));
}

/// The first column of every row, as text.
pub async fn column(client: &Client, sql: &str) -> Result<Vec<String>> {
    let rows = client.query_typed(sql, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The SQL condition for the rows of `signin_failures AS counted` that belong to an e-mail address, from whatever
/// network.
pub fn failures_condition(email: &str) -> String {
    format!("to_jsonb(counted)::text LIKE '%' || encode(sha256(convert_to('{email}', 'UTF8')), 'hex') || '%'")
}

/// Sets how many sign-ins have failed for an e-mail address, from this machine and from anywhere, the last of them
/// `seconds_ago`.
pub async fn set_signin_failures(email: &str, from_here: i32, from_anywhere: i32, seconds_ago: i32) {
    set_signin_failures_from("127.0.0.1", email, from_here, seconds_ago).await;
    set_count(email, email, from_anywhere, seconds_ago).await;
}

/// Sets how many have failed from one network.
pub async fn set_signin_failures_from(network: &str, email: &str, failures: i32, seconds_ago: i32) {
    set_count(&format!("{email} {network}"), email, failures, seconds_ago).await;
}

async fn set_count(key: &str, email: &str, failures: i32, seconds_ago: i32) {
    let sql = "INSERT INTO signin_failures (key, email_hash, failures, failed_at)
        VALUES (sha256(convert_to($1, 'UTF8')), sha256(convert_to($2, 'UTF8')), $3,
                now() AT TIME ZONE 'UTC' - $4 * interval '1 second')
        ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, failed_at = excluded.failed_at";
    let params: [(&(dyn ToSql + Sync), Type); 4] =
        [(&key, Type::TEXT), (&email, Type::TEXT), (&failures, Type::INT4), (&seconds_ago, Type::INT4)];
    connect_to_stack().await.query_typed(sql, &params).await.expect("counts");
}

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: Url,
}

impl TestDatabase {
    pub async fn create() -> Result<Self> {
        Self::create_from("template1").await
    }

    /// A copy, while nobody is connected to the original. The roles that are named after the original keep their names.
    pub async fn copy(&self) -> Result<Self> {
        Self::create_from(&self.name).await
    }

    async fn create_from(template: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("scratch_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut url: Url = direct_url().parse()?;
        url.set_path(&name);
        // A killed run leaves its databases behind, and process ids are reused.
        let admin = connect_as_superuser().await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        admin.batch_execute(&format!("DROP ROLE IF EXISTS {name}_functions, {name}_owner")).await?;
        connect_to_stack().await.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Self { name, url })
    }

    /// A database with the product's migrations applied.
    pub async fn migrated() -> Result<Self> {
        let database = Self::create().await?;
        database.migrate(&migrations(), &["up"]).await?.success();
        Ok(database)
    }

    /// Makes a new role its owner, which may create roles, as hosts give their customers one. [`Self::url`] is that
    /// role's from now on.
    pub async fn create_owner(&mut self, password: &str) -> Result<()> {
        let owner = format!("{}_owner", self.name);
        let admin = connect_as_superuser().await;
        admin.batch_execute(&format!("CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'")).await?;
        admin.batch_execute(&format!("ALTER DATABASE {} OWNER TO {owner}", self.name)).await?;
        self.url.set_username(&owner).map_err(|()| anyhow!("a URL without a user"))?;
        self.url.set_password(Some(password)).map_err(|()| anyhow!("a URL without a user"))?;
        Ok(())
    }

    /// Lets that owner create other databases, as hosts do.
    pub async fn let_owner_create_databases(&self) -> Result<()> {
        let admin = connect_as_superuser().await;
        Ok(admin.batch_execute(&format!("ALTER ROLE {}_owner CREATEDB", self.name)).await?)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL at the direct endpoint, as its owner.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Its URL with a change.
    pub fn url_with(&self, change: impl FnOnce(&mut Url)) -> String {
        let mut url = self.url.clone();
        change(&mut url);
        url.into()
    }

    pub async fn connect(&self) -> Result<Client> {
        connect(self.url()).await
    }

    /// Runs `migrate --source SOURCE ARGUMENTS…` on it.
    pub async fn migrate(&self, source: &Path, arguments: &[&str]) -> Result<Output> {
        Migrate::new(self.url(), source)?.run(arguments).await
    }
}

impl Drop for TestDatabase {
    /// On a thread of its own, as the test's runtime may be shutting down. As the superuser, as the owner may be a role
    /// that is dropped as well.
    fn drop(&mut self) {
        let name = self.name.clone();
        let dropped = thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let admin = connect_as_superuser().await;
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
                admin.batch_execute(&format!("DROP ROLE IF EXISTS {name}_functions, {name}_owner")).await?;
                Ok(())
            })
        })
        .join();
        match dropped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("{} was not dropped: {error:#}", self.name),
            Err(_) => eprintln!("{} was not dropped", self.name),
        }
    }
}

/// A run of `migrate` to be.
#[derive(Debug)]
pub struct Migrate {
    command: Command,
    url: String,
}

impl Migrate {
    pub fn new(url: &str, source: &Path) -> Result<Self> {
        let mut command = Command::new(program("migrate")?);
        command
            .env("DATABASE_URL_UNPOOLED", url)
            .env("DATABASE_CA_FILE", ca_file())
            .arg("--source")
            .arg(source)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(Self { command, url: url.to_owned() })
    }

    /// Sets or unsets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.command.env(name, value),
            None => self.command.env_remove(name),
        };
        self
    }

    /// Starts it.
    pub fn start(mut self, arguments: &[&str]) -> Result<Running> {
        let mut child = self.command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Running { child, output })
    }

    /// Runs it to its end, and checks that it has not printed the URL or its password.
    pub async fn run(mut self, arguments: &[&str]) -> Result<Output> {
        let output = tokio::time::timeout(MIGRATION_TIMEOUT, self.command.args(arguments).output())
            .await
            .map_err(|_| anyhow!("migrate {} hangs", arguments.join(" ")))??;
        let output = Output::from(output);
        output.assert_hides(&self.url);
        Ok(output)
    }
}

/// A run of `migrate` under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Waits for a line of its standard output with this text, and returns the line.
    pub async fn line_with(&mut self, text: &str) -> Result<String> {
        tokio::time::timeout(TIMEOUT, async {
            while let Some(line) = self.output.next_line().await? {
                if line.contains(text) {
                    return Ok(line);
                }
            }
            bail!("it ended without a line with {text:?}")
        })
        .await
        .map_err(|_| anyhow!("no line with {text:?}"))?
    }

    /// Kills it with SIGKILL.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its success.
    pub async fn finish(mut self) -> Result<()> {
        let rest = async { while self.output.next_line().await.is_ok_and(|line| line.is_some()) {} };
        let (status, ()) = tokio::time::timeout(TIMEOUT, async { tokio::join!(self.child.wait(), rest) })
            .await
            .map_err(|_| anyhow!("migrate hangs"))?;
        let status = status?;
        ensure!(status.success(), "migrate: {status}");
        Ok(())
    }
}
