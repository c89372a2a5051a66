//! The specification's disasters, and the way back from each, while the API is used: `make drill` writes `docs/drill.md`.
//! A copy of the data folder and the WAL since then stand for the history that Neon keeps.

mod account;
mod migrations;
mod quiet;
mod report;
mod scenarios;

use std::{
    fs,
    mem::take,
    process::Stdio,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use reqwest::Url;
use tests::{
    command::Output,
    database::{column, program},
    server::TestServer,
    workspace::root,
};
use tokio::{process::Command, time::sleep};

use self::{migrations::Migrations, quiet::Quiet, report::Row};
use crate::{
    breakable::Breakable,
    client::Client,
    harness::{EXCLUSIVE, report, short_or_long},
    workload::Workload,
};

/// How long anything may take that the drill waits for.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_the_chosen_moment_is_back_as_it_was() {
    let _exclusive = EXCLUSIVE.lock().await;
    let mut drill = Drill::start().await;
    let rows = [
        drill.tasks_are_deleted().await,
        drill.an_account_is_deleted().await,
        drill.all_accounts_are_deleted().await,
        drill.the_server_fails().await,
    ];
    report(&format!("\n{}", report::tables(&rows)));
    let wrong: usize = rows.iter().map(|row| row.wrong).sum();
    assert_eq!(wrong, 0, "rows were lost or altered");
    if short_or_long(false, true) {
        let server = column(&drill.database.owner().await, "SELECT current_setting('server_version')").await.unwrap();
        fs::write(root().join("docs/drill.md"), report::document(&rows, &drill.data, &server[0])).unwrap();
    }
}

/// How much there is.
struct Data {
    /// Clients that write all the time.
    clients: usize,
    /// Tasks of accounts that nobody uses.
    quiet: usize,
    /// Tasks of an account that is deleted.
    tasks: usize,
    /// Acknowledged writes between two events.
    writes: usize,
}

/// An API that is used, and its database.
struct Drill {
    database: Breakable,
    server: TestServer,
    clients: Vec<Client>,
    quiet: Quiet,
    migrations: Migrations,
    data: Data,
}

impl Drill {
    async fn start() -> Self {
        let data = short_or_long(
            Data { clients: 3, quiet: 200, tasks: 6, writes: 30 },
            Data { clients: 8, quiet: 100_000, tasks: 1_000, writes: 500 },
        );
        let mut database = Breakable::start().await;
        database.keep_past().await;
        let server = TestServer::start(&database.settings.clone().concurrency(short_or_long(2, 4)));
        let clients = Client::sign_up(&server.api, data.clients).await;
        let quiet = Quiet::insert(data.quiet, &database.owner().await).await;
        Self { database, server, clients, quiet, migrations: Migrations::of_checkout(), data }
    }

    /// Lets the clients write for a while.
    async fn work(&self, workload: &Workload) {
        until_written(workload, self.data.writes).await;
    }

    /// Adds a column while the clients go on.
    async fn migrate(&mut self) {
        self.migrations.add();
        self.migrations.up(&self.database.settings, &self.database.direct_url()).await;
    }

    /// A second server with the data of a moment.
    async fn branch(&mut self, moment: &str) -> Url {
        self.database.until_archived().await;
        self.database.branch(moment).await
    }

    /// Runs `operate` on a database. What it prints.
    async fn operate(&self, database: &Url, arguments: &[&str]) -> String {
        let mut operate = Command::new(program("operate").unwrap());
        operate
            .args(arguments)
            .env_remove("STAGE")
            .env("DATABASE_URL_UNPOOLED", database.as_str())
            .env("DATABASE_CA_FILE", self.database.settings.get("DATABASE_CA_FILE"))
            .current_dir(self.migrations.checkout())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, operate.output()).await.expect("operate hangs");
        let output = Output::from(output.unwrap());
        output.assert_hides(database.as_str());
        output.success()
    }

    /// Stops the clients, and compares everything that they and the quiet accounts have.
    async fn finish(&mut self, workload: Workload, row: &mut Row) {
        let (mut clients, counters) = workload.finish().await;
        row.count(&counters);
        self.verify(&mut clients, &self.database.direct_url(), row).await;
        self.clients = clients;
    }

    async fn verify(&self, clients: &mut [Client], database: &Url, row: &mut Row) {
        let database = self.database.connect(database).await.unwrap();
        row.compare(self.quiet.rows(), &quiet::rows(&database).await);
        for client in clients {
            client.verify(&database).await;
            row.compared += client.count();
            for unexpected in take(&mut client.unexpected) {
                eprintln!("{}: {unexpected}", row.scenario);
                row.wrong += 1;
            }
        }
    }
}

/// Waits for so many more writes.
async fn until_written(workload: &Workload, more: usize) {
    let writes = || workload.counters.writes.load(Ordering::SeqCst);
    let (enough, deadline) = (writes() + more, Instant::now() + PATIENCE);
    while writes() < enough && !workload.has_failed() {
        assert!(Instant::now() < deadline, "the clients cannot write");
        sleep(Duration::from_millis(20)).await;
    }
}
