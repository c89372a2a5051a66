//! What the API takes, on every route, beside floors and peers: `make bench` measures release builds, and writes
//! `docs/performance.md`. `BENCH_ROUNDS` is the number of rounds.
#![allow(clippy::expect_used, clippy::print_stdout)]

mod data;
mod lambda;
mod load;
mod memory;
mod noise;
mod pgbench;
mod plans;
mod process;
mod programs;
mod report;
mod requests;
mod route;
mod samples;
mod starts;
mod statements;

use std::{collections::BTreeMap, ffi::OsStr, fs, time::Instant};

use anyhow::{Context, Result};
use domain::PasswordAttempt;
use reqwest::Url;
use tests::{
    api::PASSWORD,
    database::{column, connect, connect_as_superuser, superuser_url},
    template::{routes_of, template},
    workspace::{root, variable},
};
use tokio_postgres::SimpleQueryMessage;

use crate::{
    load::{Loads, Server},
    memory::Memory,
    noise::Noise,
    pgbench::Pgbench,
    plans::Plans,
    process::Process,
    programs::{Programs, printed},
    report::{Head, document},
    requests::Author,
    route::{Contestants, Route},
    samples::Samples,
    starts::Starts,
    statements::{Plainest, Recorder},
};

#[tokio::main]
async fn main() -> Result<()> {
    let rounds = cli::variable("BENCH_ROUNDS").map_or(Ok(5), |text| text.to_string_lossy().parse())?;
    let template = template();
    let functions: Vec<_> = template.functions().iter().map(|function| &*function.name).collect();
    let programs = Programs::ready(&functions)?;
    let mut author = Author::new()?;
    let mut routes = Vec::new();
    for function in template.functions() {
        for route in routes_of(function) {
            routes.push(Route::new(&route, function, &mut author, rounds)?);
        }
    }

    println!("making the accounts");
    let accounts = routes.iter().flat_map(|route| &route.requests).map(|request| &request.account);
    let original = data::fill(accounts).await?;
    let copies = [original.copy().await?, original.copy().await?, original.copy().await?, original.copy().await?];
    let [recorded, own, same, plainest] = copies.each_ref().map(|copy| data::pooled_url(copy, &original));
    let (own, same, plainest) = (own?, Pgbench::at(&same?)?, Pgbench::at(&plainest?)?);

    println!("recording the statements");
    let recorder = Recorder::in_front_of(&recorded?).await;
    let known = Plainest::read();
    for route in &mut routes {
        route.record(programs.function(&route.function)?, &recorder, &known)?;
    }
    drop(recorder);
    let plans = Plans::read(&original.connect().await?, &routes).await?;

    let mut processes = BTreeMap::new();
    for route in &routes {
        if !processes.contains_key(&route.function) {
            processes.insert(route.function.clone(), programs.function(&route.function)?.start(&own)?);
        }
        route.warm_up(&processes[&route.function])?;
    }
    let [echo, node, python] = [&programs.echo, &programs.node, &programs.python].map(|program| program.start(&own));
    let (echo, node, python) = (echo?, node?, python?);

    let (_store, by_name) = programs.with_secrets_by_name("tasks-list", &own).await?;

    let mut noise = Noise::begin()?;
    let (mut starts, mut hash, mut select) = (Starts::default(), Samples::default(), Samples::default());
    let list = routes.iter().find(|route| route.function == "tasks-list").context("no list")?.requests[0].event.clone();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        noise.listen()?;
        hash.add_round(vec![time_hash().await?, time_hash().await?]);
        starts.add_round(&programs, &by_name, (&own, &same), &list)?;
        // Short runs, as of the echo: where the system places the processes of one decides how soon they wake each other.
        let mut times = Vec::new();
        for route in &mut routes {
            let own = &processes[&route.function];
            let all = Contestants { processes: [own, &echo, &node, &python], same: &same, plainest: &plainest };
            route.measure(round, &all)?;
            times.extend(times_of_select(&same)?);
        }
        select.add_round(times);
    }
    let mut memories = Memory::default();
    for _ in 0..rounds {
        memories.add_round(&routes, &programs, &own)?;
    }
    let [own_memory, echo_memory, node_memory, python_memory] =
        [&processes["tasks-list"], &echo, &node, &python].map(Process::peak_memory);
    let memory = [own_memory?, echo_memory?, node_memory?, python_memory?];

    let superuser = connect_as_superuser().await;
    let server = Server::of(&superuser).await?;
    let mut loads = Loads::default();
    for route in routes.iter().filter(|route| ["tasks-list", "task-create"].contains(&&*route.function)) {
        println!("load of {}", route.name);
        loads.measure(route, &programs, &own, &plainest, &server, rounds)?;
    }

    let echoes = &routes.iter().find(|route| route.function == "health").context("no health")?.times[1];
    let all_echoes = Samples::together(routes.iter().map(|route| &route.times[1]));
    let floors = [("the echo", &all_echoes), ("`SELECT 1`", &select)];
    let head = Head {
        commit: printed("git", &["log", "-1", "--format=%h of %cs"])?,
        versions: versions(&programs, &column(&superuser, "SHOW server_version").await?[0]).await?,
        rounds,
        verdict: noise.verdict(&floors)?,
        floors: format!(
            "an empty echo takes {:.2} ms, `SELECT 1` {:.2} ms, a hash {:.0} ms",
            echoes.median(),
            select.median(),
            hash.median()
        ),
        own_times: report::own_times(&routes, &hash),
        floors_of_peers: report::floors_of_peers(&routes, &hash),
    };
    let rows = [starts.rows(), programs.rows(memory)?, loads.rows(), report::rows(&routes, &hash)].concat();
    let document = document(&head, &rows, &plans.table(), &memories.table());
    println!("{document}");
    Ok(fs::write(root().join("docs/performance.md"), document)?)
}

/// How many milliseconds `SELECT 1` takes.
fn times_of_select(pgbench: &Pgbench) -> Result<Vec<f64>> {
    let times = pgbench.times(&vec!["SELECT 1".to_owned(); 40])?;
    Ok(times.into_iter().filter(|time| *time > 0.0).collect())
}

/// How many milliseconds a password's hash takes.
async fn time_hash() -> Result<f64> {
    let attempt = PasswordAttempt::parse(PASSWORD.to_owned())?;
    let started = Instant::now();
    auth::verify_password(attempt, None).await;
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}

/// Those of all that takes part.
async fn versions(programs: &Programs, postgres: &str) -> Result<String> {
    let mut pooler: Url = variable("DATABASE_URL").parse()?;
    let superuser: Url = superuser_url().parse()?;
    let credentials = (superuser.username(), superuser.password());
    pooler.set_username(credentials.0).and_then(|()| pooler.set_password(credentials.1)).ok().context("a URL")?;
    pooler.set_path("pgbouncer");
    let messages = connect(pooler.as_str()).await?.simple_query("SHOW VERSION").await?;
    let pooler = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let of = |program: &OsStr| printed(program, &["--version"]);
    let (rust, node, python) =
        (of("rustc".as_ref())?, of(&programs.node.command[0])?, of(&programs.python.command[0])?);
    let pooler = pooler.unwrap_or("no pooler");
    Ok(format!("PostgreSQL {postgres} without fsync, {pooler} with TLS, {rust}, Node.js {node}, {python}"))
}
