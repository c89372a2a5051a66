//! A database whose parts can be stopped and started: `cargo xtask faults`, controlled over its standard input.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::Url;
use tests::{
    database::{column, connect_trusting, program, wait_for_row},
    server::Settings,
    workspace::root,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};
use tokio_postgres::Client;

/// How long everything may take to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// The setting with the direct endpoint.
const DIRECT: &str = "DATABASE_URL_UNPOOLED";

/// What can be stopped.
pub(crate) const POOLER: &str = "PgBouncer";
/// What can be stopped.
pub(crate) const SERVER: &str = "PostgreSQL";

/// What can be stopped: a second server, which has gone back to a moment.
pub(crate) const BRANCH: &str = "branch";

/// PostgreSQL behind PgBouncer, on fresh data; both end with this value.
pub(crate) struct Breakable {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    /// What functions need to use it.
    pub(crate) settings: Settings,
}

impl Breakable {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start() -> Self {
        let mut child = Command::new(program("xtask").unwrap())
            .arg("faults")
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        until_done(&mut answers).await;
        let settings = Settings::in_file(&root().join(".local/faults/env"));
        Self { child, orders, answers, settings }
    }

    /// Stops a part.
    pub(crate) async fn stop(&mut self, part: &str) {
        self.order(&format!("stop {part}")).await;
    }

    /// Starts a part that was stopped, and waits until it is ready.
    pub(crate) async fn start_again(&mut self, part: &str) {
        self.order(&format!("start {part}")).await;
    }

    /// Ends a part at once, as when its machine fails.
    pub(crate) async fn kill(&mut self, part: &str) {
        self.order(&format!("kill {part}")).await;
    }

    /// Starts the server again. From then on the database can be brought back to any moment.
    pub(crate) async fn keep_past(&mut self) {
        self.order("keep past").await;
    }

    /// The present moment, in ISO 8601.
    pub(crate) async fn moment(&self) -> String {
        let sql = r#"SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00"')"#;
        column(&self.owner().await, sql).await.unwrap().remove(0)
    }

    /// Waits until the past has all that was written until now.
    pub(crate) async fn until_archived(&self) {
        let superuser = self.superuser().await;
        let file = column(&superuser, "SELECT pg_walfile_name(pg_current_wal_lsn())").await.unwrap().remove(0);
        superuser.batch_execute("SELECT pg_switch_wal()").await.unwrap();
        let archived = format!("SELECT FROM pg_stat_archiver WHERE left(last_archived_wal, 24) >= '{file}'");
        wait_for_row(&superuser, &archived).await;
    }

    /// Starts a second server, with the data as they were at a moment. Its URL, as the owner.
    pub(crate) async fn branch(&mut self, moment: &str) -> Url {
        let port = self.order(&format!("{BRANCH} {moment}")).await.remove(0);
        let mut url = self.direct_url();
        url.set_port(Some(port.parse().unwrap())).unwrap();
        url
    }

    /// Puts the branch in the place of the database; stops that, and the pooler for the time.
    pub(crate) async fn switch_to_branch(&mut self, url: &Url) {
        self.stop(POOLER).await;
        self.order(&format!("switch-to {BRANCH}")).await;
        self.start_again(POOLER).await;
        self.settings = self.settings.clone().with(DIRECT, url.as_str());
    }

    /// Gives the API's role another password.
    pub(crate) async fn change_password(&self, password: &str) {
        let sql = format!("ALTER ROLE {} PASSWORD '{password}'", self.role());
        self.superuser().await.batch_execute(&sql).await.unwrap();
    }

    /// What is answered.
    async fn order(&mut self, order: &str) -> Vec<String> {
        self.orders.as_mut().unwrap().write_all(format!("{order}\n").as_bytes()).await.unwrap();
        until_done(&mut self.answers).await
    }

    /// The direct endpoint, as the owner.
    pub(crate) fn direct_url(&self) -> Url {
        self.settings.get(DIRECT).parse().unwrap()
    }

    /// The pooled endpoint.
    pub(crate) fn url(&self) -> Url {
        self.settings.get("DATABASE_URL").parse().unwrap()
    }

    /// The functions' role.
    pub(crate) fn role(&self) -> String {
        self.url().username().to_owned()
    }

    /// Waits until PostgreSQL runs nothing for the functions.
    pub(crate) async fn until_idle(&self) {
        let sql = format!("SELECT FROM pg_stat_activity WHERE usename = '{}' AND state = 'active'", self.role());
        let superuser = self.superuser().await;
        let idle = timeout(PATIENCE, async {
            while !superuser.query_typed(&sql, &[]).await.unwrap().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        idle.await.expect("statements end");
    }

    /// A session of the owner's, at PostgreSQL itself.
    pub(crate) async fn owner(&self) -> Client {
        self.connect(&self.direct_url()).await.unwrap()
    }

    /// A session that may do anything, at PostgreSQL itself.
    pub(crate) async fn superuser(&self) -> Client {
        self.connect(&self.superusers_url()).await.unwrap()
    }

    fn superusers_url(&self) -> Url {
        let mut url = self.direct_url();
        url.set_username("postgres").unwrap();
        url
    }

    /// A session through the pooler.
    pub(crate) async fn pooled(&self) -> Client {
        self.connect(&self.url()).await.unwrap()
    }

    /// Waits until statements come through the pooler: it does not ask a database that was away for a while.
    pub(crate) async fn until_served(&self) {
        let deadline = Instant::now() + PATIENCE;
        let is_served = async || anyhow::Ok(self.connect(&self.url()).await?.batch_execute("SELECT 1").await?);
        while let Err(error) = is_served().await {
            assert!(Instant::now() < deadline, "the pooler does not serve: {error}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Changes a setting of the pooler until it is started again.
    pub(crate) async fn set_pooler(&self, setting: &str, value: u32) {
        let mut console = self.superusers_url();
        console.set_port(self.url().port()).unwrap();
        console.set_path("pgbouncer");
        let console = self.connect(&console).await.unwrap();
        console.batch_execute(&format!("SET {setting} = {value}")).await.unwrap();
    }

    pub(crate) async fn connect(&self, url: &Url) -> anyhow::Result<Client> {
        connect_trusting(Path::new(self.settings.get("DATABASE_CA_FILE")), url.as_str()).await
    }
}

async fn until_done(answers: &mut Lines<BufReader<ChildStdout>>) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(line) = answers.next_line().await.unwrap() {
        if line == "done" {
            return said;
        }
        said.push(line);
    }
    panic!("`local faults` has ended: {}", said.join("\n"));
}

impl Drop for Breakable {
    /// Waits for its end: the next one takes the same ports.
    fn drop(&mut self) {
        drop(self.orders.take());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
