//! The upgrade from release 0.1.0, rehearsed under load: `make test-upgrade` builds 0.1.0, applies the migrations one by
//! one while both releases are used, and writes `docs/upgrade.md`. `UPGRADE_TASKS` is the number of tasks.
#![allow(clippy::expect_used, clippy::print_stdout)]

mod data;
mod first_release;
mod log;
mod releases;
mod report;
mod workload;

use std::{
    fs,
    mem::take,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use migrate::{RELEASE, functions_role};
use reqwest::Url;
use tests::{
    database::{Migrate, TestDatabase, column, direct_url, migrations},
    server::Settings,
    steps::{CONTRACTION, EXPANDED, Steps},
    workspace::{Route, root, routes, routes_in},
};
use tokio::time::sleep;
use tokio_postgres::Client as Database;

use crate::{
    first_release::{FirstRelease, VERSION},
    log::Log,
    releases::{CLIENTS, Members, Running},
    report::Row,
    workload::{Client, MEMBERS, OLD_MEMBERS, Workload},
};

/// Of the owner's and the functions' role.
const PASSWORD: &str = "rehearsal";

/// How long a release that has just started works before anything is measured.
const WARM_UP: Duration = Duration::from_secs(5);

/// How often a release that has just started works for so long, at most, until all of its routes were used.
const MAX_WARM_UPS: u32 = 40;

/// How long after its end a migration may still hold up requests.
const AFTERMATH: Duration = Duration::from_secs(2);

struct Rehearsal {
    log: Arc<Log>,
    live: Vec<Running>,
    clients: Vec<Client>,
    steps: Steps,
    database: Database,
    rows: Vec<Row>,
}

impl Rehearsal {
    /// Lets the clients work while `work` runs.
    async fn work<T>(&mut self, work: impl AsyncFnOnce(&mut Steps) -> Result<T>) -> Result<T> {
        let releases: Vec<_> = self.live.iter().map(|running| running.release.clone()).collect();
        let workload = Workload::start(take(&mut self.clients), &releases);
        let result = work(&mut self.steps).await;
        self.clients = workload.finish().await?;
        result
    }

    async fn start(&mut self, version: &'static str, members: Members, settings: &Settings, routes: &[Route]) {
        println!("starting release {version}");
        self.live.push(Running::start(version, members, settings, routes, &self.log).await);
    }

    async fn warm_up(&mut self) -> Result<()> {
        self.work(async |_| {
            sleep(WARM_UP).await;
            Ok(())
        })
        .await
    }

    /// Lets both releases work until each of their routes was used.
    async fn use_all_routes(&mut self, old: &[Route]) -> Result<()> {
        for _ in 0..MAX_WARM_UPS {
            self.warm_up().await?;
            let unused = |version, routes| self.log.unused(version, routes).is_empty();
            if unused(VERSION, old.to_vec()) && unused(RELEASE, routes()) {
                break;
            }
        }
        Ok(())
    }

    /// Applies the next migration under load.
    async fn migrate(&mut self) -> Result<()> {
        let begun = Instant::now();
        let log = Arc::clone(&self.log);
        let mut row = self
            .work(async |steps| {
                sleep(AFTERMATH / 2).await;
                let from = Instant::now();
                let step = steps.next().await?.context("no migration")?;
                let took = from.elapsed();
                sleep(AFTERMATH).await;
                let to = Instant::now();
                sleep(to - from).await;
                let (during, without) = (log.longest_between(from, to), log.longest_since(to));
                let retries = step.printed.matches("the next attempt is in").count();
                Ok(Row { name: step.name, took, during, without, retries, ..Row::default() })
            })
            .await?;
        row.counts = self.log.counts(begun);
        row.wrong = self.count_wrong().await?;
        println!("{}", row.line());
        self.rows.push(row);
        Ok(())
    }

    /// What has been found since the last time.
    async fn count_wrong(&mut self) -> Result<usize> {
        let mut wrong = data::count_wrong(&self.database, &self.clients).await?;
        for finding in self.clients.iter_mut().flat_map(|client| take(&mut client.findings)) {
            eprintln!("{finding}");
            wrong += 1;
        }
        Ok(wrong)
    }
}

/// The pooled address of a database, as a role.
fn pooled_url(database: &str, role: &str) -> Result<String> {
    let mut url: Url = Settings::shared().get("DATABASE_URL").parse()?;
    ensure!(url.port() != direct_url().parse::<Url>()?.port(), "PgBouncer is missing: install it");
    url.set_path(database);
    let set = url.set_username(role).and_then(|()| url.set_password(Some(PASSWORD)));
    set.ok().context("a URL without a user")?;
    Ok(url.into())
}

fn main() -> ExitCode {
    cli::block_on("the rehearsal failed", rehearse())
}

async fn rehearse() -> Result<()> {
    let tasks = match cli::variable("UPGRADE_TASKS") {
        Some(text) => text.to_string_lossy().parse().context("UPGRADE_TASKS is not a number")?,
        None => 200_000,
    };
    let first = FirstRelease::build()?;
    let begun = Instant::now();

    let mut database = TestDatabase::create().await?;
    database.create_owner(PASSWORD).await?;
    first.migrate(database.url())?;
    let (name, url) = (database.name().to_owned(), database.url().to_owned());
    let mut steps = Steps::of(database)?;
    steps.skip(&first.migrations())?;
    let database = steps.database.connect().await?;
    let server = column(&database, "SELECT current_setting('server_version')").await?.remove(0);
    let owner = column(&database, "SELECT current_user::text").await?.remove(0);
    let (log, live, clients, rows) = Default::default();
    let mut rehearsal = Rehearsal { log, live, clients, steps, database, rows };

    let settings = Settings::shared().of_checkout(&first.checkout).with("DATABASE_URL", &pooled_url(&name, &owner)?);
    let old_routes = routes_in(&first.checkout);
    rehearsal.start(VERSION, &OLD_MEMBERS, &settings, &old_routes).await;
    let release = &rehearsal.live[0].release;
    rehearsal.clients = try_join_all((0..CLIENTS).map(|number| Client::sign_up(number.into(), release))).await?;
    data::insert(tasks, &rehearsal.database, &mut rehearsal.clients).await?;
    rehearsal.warm_up().await?;
    ensure!(rehearsal.count_wrong().await? == 0, "{VERSION} alone loses or alters tasks");

    // As `make secrets` does, before the deployment.
    let role = Migrate::new(&url, &migrations())?.env("FUNCTIONS_PASSWORD", Some(PASSWORD));
    role.run(&["role"]).await?.success();
    println!("{}", report::header());
    while let Some(coming) = rehearsal.steps.coming() {
        if coming == CONTRACTION {
            println!("ending release {VERSION}");
            rehearsal.live.remove(0);
            // Its tokens hold for an hour, and the contraction comes after a week.
            for client in &mut rehearsal.clients {
                client.use_sessions().await;
            }
        }
        rehearsal.migrate().await?;
        if coming == EXPANDED {
            let settings = Settings::shared().with("DATABASE_URL", &pooled_url(&name, &functions_role(&name))?);
            rehearsal.start(RELEASE, &MEMBERS, &settings, &routes()).await;
            rehearsal.use_all_routes(&old_routes).await?;
        }
    }

    for (version, routes) in [(VERSION, old_routes), (RELEASE, routes())] {
        let unused = rehearsal.log.unused(version, routes);
        ensure!(unused.is_empty(), "nobody has used these routes of {version}: {unused:?}");
    }
    let counts = rehearsal.log.counts(begun);
    let document = report::document(&rehearsal.rows, &counts, tasks, &server);
    print!("\n{document}");
    report::check(&rehearsal.rows, &counts)?;
    Ok(fs::write(root().join("docs/upgrade.md"), document)?)
}
