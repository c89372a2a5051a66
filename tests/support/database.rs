//! Databases of a test's own, on the stack's PostgreSQL, and the `migrate` binary to fill them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use reqwest::Url;
use tokio::process::Command;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use crate::workspace::root;

/// How long the database, or a run of `migrate`, may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The direct endpoint of the stack's database.
pub fn direct_url() -> Result<String> {
    variable("DATABASE_URL_UNPOOLED")
}

/// The same as the superuser, who has the owner's password.
pub fn superuser_url() -> Result<String> {
    let mut url: Url = direct_url()?.parse()?;
    url.set_username("postgres").map_err(|()| anyhow!("no address of a user's"))?;
    Ok(url.into())
}

/// The file with the certificate that the stack's certificates are signed with.
pub fn ca_file() -> Result<PathBuf> {
    variable("DATABASE_CA_FILE").map(PathBuf::from)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: `make test` sets it"))
}

/// A program of the workspace.
pub fn program(name: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(variable("PROGRAMS")?).join(name))
}

/// The folder with the product's migrations.
pub fn migrations() -> PathBuf {
    root().join("migrations")
}

/// Connects over verified TLS.
pub async fn connect(url: &str) -> Result<Client> {
    connect_trusting(&ca_file()?, url).await
}

/// Connects over TLS, verified against another authority than the stack's.
pub async fn connect_trusting(ca_file: &Path, url: &str) -> Result<Client> {
    let config = db::Config::new(url, Some(&fs::read(ca_file)?))?;
    let (client, connection) = tokio::time::timeout(PATIENCE, config.connect()).await??;
    tokio::spawn(connection);
    Ok(client)
}

/// The first column of every row, which is text.
pub async fn column(client: &Client, sql: &str) -> Result<Vec<String>> {
    let rows = client.query_typed(sql, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The condition in SQL for a row of `signin_failures AS counted` that counts for an address, whatever else it is
/// counted by.
pub fn counts_for(email: &str) -> String {
    format!("to_jsonb(counted)::text LIKE '%' || encode(sha256(convert_to('{email}', 'UTF8')), 'hex') || '%'")
}

/// Sets the counts of an address, from this machine and from anywhere, as if there had been failures to sign in, the
/// last of them `seconds_ago`.
pub async fn set_signin_failures(email: &str, from_here: i32, from_anywhere: i32, seconds_ago: i32) {
    set_signin_failures_from("127.0.0.1", email, from_here, seconds_ago).await;
    set_count(email, email, from_anywhere, seconds_ago).await;
}

/// Sets the count of an address from one network.
pub async fn set_signin_failures_from(network: &str, email: &str, failures: i32, seconds_ago: i32) {
    set_count(&format!("{email} {network}"), email, failures, seconds_ago).await;
}

async fn set_count(key: &str, email: &str, failures: i32, seconds_ago: i32) {
    let url = direct_url().expect("an address");
    let database = connect(&url).await.expect("a database");
    let sql = "INSERT INTO signin_failures (key, email_hash, failures, failed_at)
        VALUES (sha256(convert_to($1, 'UTF8')), sha256(convert_to($2, 'UTF8')), $3,
                now() AT TIME ZONE 'UTC' - $4 * interval '1 second')
        ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, failed_at = excluded.failed_at";
    let params: [(&(dyn ToSql + Sync), Type); 4] =
        [(&key, Type::TEXT), (&email, Type::TEXT), (&failures, Type::INT4), (&seconds_ago, Type::INT4)];
    database.query_typed(sql, &params).await.expect("counts");
}

/// A database that is dropped when this value is.
#[derive(Debug)]
pub struct Scratch {
    name: String,
    url: Url,
}

impl Scratch {
    /// An empty database.
    pub async fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("scratch_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut url: Url = direct_url()?.parse()?;
        url.set_path(&name);
        // A killed run leaves its databases behind, and process ids come round.
        let admin = connect(&superuser_url()?).await?;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        admin.batch_execute(&format!("DROP ROLE IF EXISTS {name}_functions, {name}_owner")).await?;
        connect(&direct_url()?).await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        Ok(Self { name, url })
    }

    /// A database with the product's migrations in it.
    pub async fn migrated() -> Result<Self> {
        let scratch = Self::create().await?;
        scratch.migrate(&migrations(), &["up"]).await?.success()?;
        Ok(scratch)
    }

    /// Gives it to a role of its own, which may make roles: what hosts give their customers. Its address is that role's
    /// from now on.
    pub async fn give_to_owner(&mut self, password: &str) -> Result<()> {
        let owner = format!("{}_owner", self.name);
        let admin = connect(&superuser_url()?).await?;
        admin.batch_execute(&format!("CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'")).await?;
        admin.batch_execute(&format!("ALTER DATABASE {} OWNER TO {owner}", self.name)).await?;
        self.url.set_username(&owner).map_err(|()| anyhow!("no address of a user's"))?;
        self.url.set_password(Some(password)).map_err(|()| anyhow!("no address of a user's"))?;
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, at the direct endpoint.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Its address with something about it changed.
    pub fn url_with(&self, change: impl FnOnce(&mut Url)) -> String {
        let mut url = self.url.clone();
        change(&mut url);
        url.into()
    }

    /// A session of its own.
    pub async fn connect(&self) -> Result<Client> {
        connect(self.url()).await
    }

    /// Runs `migrate --source SOURCE ARGUMENTS…` on it.
    pub async fn migrate(&self, source: &Path, arguments: &[&str]) -> Result<Run> {
        Migrate::new(self.url(), source)?.run(arguments).await
    }
}

impl Drop for Scratch {
    /// On a thread of its own, since the test's runtime may be on its way out. As the superuser, since the database
    /// may have been given to another role, of those that go with it.
    fn drop(&mut self) {
        let name = self.name.clone();
        let dropped = thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let admin = connect(&superuser_url()?).await?;
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

/// The `migrate` binary, about to run.
#[derive(Debug)]
pub struct Migrate {
    command: Command,
    url: String,
}

impl Migrate {
    /// With `url` and the stack's CA in its environment.
    pub fn new(url: &str, source: &Path) -> Result<Self> {
        let mut command = Command::new(program("migrate")?);
        command
            .env("DATABASE_URL_UNPOOLED", url)
            .env("DATABASE_CA_FILE", ca_file()?)
            .arg("--source")
            .arg(source)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(Self { command, url: url.to_owned() })
    }

    /// With this variable set, or unset.
    #[must_use]
    pub fn env(mut self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.command.env(name, value),
            None => self.command.env_remove(name),
        };
        self
    }

    /// Runs it to its end. No run may print the address or the password, whatever becomes of it.
    pub async fn run(mut self, arguments: &[&str]) -> Result<Run> {
        let output = tokio::time::timeout(PATIENCE, self.command.args(arguments).output())
            .await
            .map_err(|_| anyhow!("migrate {} hangs", arguments.join(" ")))??;
        let run = Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        };
        let password = self.url.parse::<Url>().ok().and_then(|url| url.password().map(str::to_owned));
        for secret in password.iter().chain([&self.url]).filter(|secret| !secret.is_empty()) {
            ensure!(
                !run.stdout.contains(secret) && !run.stderr.contains(secret),
                "migrate {} printed the password or the address",
                arguments.join(" ")
            );
        }
        Ok(run)
    }
}

/// What a run of `migrate` did.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Run {
    /// What it printed, if it succeeded.
    pub fn success(self) -> Result<String> {
        ensure!(self.code == Some(0), "migrate failed: {self:?}");
        Ok(self.stdout)
    }

    /// Its one line of complaint, if it failed with one.
    pub fn failure(self) -> Result<String> {
        ensure!(self.code == Some(1) && self.stderr.lines().count() == 1, "migrate did not fail in one line: {self:?}");
        Ok(self.stderr.trim_end().to_owned())
    }
}
