//! What lists cost at the server, on as many tasks as years bring: `make bench-lists` makes the data, measures, and writes
//! `docs/lists.md`. `BENCH_TASKS` is the number of tasks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod lists;
mod writes;

use std::{fmt::Write, fs, time::Instant};

use tests::{
    caller::SESSIONS,
    database::{column, connect_as_superuser},
    workspace::root,
};
use tokio_postgres::Client;

/// Makes the data; how many tasks there are.
async fn fill(superuser: &Client) -> u64 {
    let tasks = cli::variable("BENCH_TASKS").map_or(10_000_000, |text| text.to_str().unwrap().parse().unwrap());
    let begun = Instant::now();
    // Indexes are built faster than kept.
    let secondary = "FROM pg_indexes WHERE tablename IN ('tasks', 'task_tags') AND indexname !~ '_pkey$'";
    let indexes = column(superuser, &format!("SELECT indexdef {secondary}")).await.unwrap();
    for name in column(superuser, &format!("SELECT indexname::text {secondary}")).await.unwrap() {
        superuser.batch_execute(&format!("DROP INDEX {name}")).await.unwrap();
    }
    let tags = lists::TAGS.map(|name| format!("('{}', '{name}')", domain::Tag::parse(name).unwrap().id()));
    let sql = include_str!("data.sql").replace("$TASKS", &tasks.to_string()).replace("$TAGS", &tags.join(", "));
    superuser.batch_execute(&sql).await.unwrap();
    superuser.batch_execute(SESSIONS).await.unwrap();
    for index in indexes {
        superuser.batch_execute(&index).await.unwrap();
    }
    superuser.batch_execute("RESET session_replication_role").await.unwrap();
    superuser.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.unwrap();
    superuser.batch_execute("ALTER SYSTEM SET pg_stat_statements.track_planning = on").await.unwrap();
    superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    superuser.batch_execute("VACUUM (ANALYZE)").await.unwrap();
    println!("  {tasks} tasks in {:.0} s", begun.elapsed().as_secs_f32());
    tasks
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let superuser = connect_as_superuser().await;
    let tasks = fill(&superuser).await;
    let setting =
        async |name| column(&superuser, &format!("SELECT current_setting('{name}')")).await.unwrap().remove(0);
    let (version, buffers) = (setting("server_version").await, setting("shared_buffers").await);
    let cores = std::thread::available_parallelism().unwrap();
    let mut report = String::new();
    writeln!(
        report,
        "# What lists cost\n\n\
         Written by `make bench-lists`: {tasks} tasks on PostgreSQL {version}, {cores} cores, with {buffers} of shared \
         buffers and the rest in the system's cache. The times are the server's, for planning and executing, in \
         milliseconds: medians of {} runs. A dash took longer than the functions' role may (1.5 s).\n\n\
         Every user's tasks are scattered among those of all others, as they are after years. A list by `updated_at` and a \
         search read all tasks of the user.\n",
        lists::RUNS
    )
    .unwrap();
    lists::measure(&superuser, &mut report).await;
    let candidate = format!("CREATE INDEX candidate ON tasks ({})", writes::CANDIDATE);
    superuser.batch_execute(&candidate).await.unwrap();
    let [ordinary, limit, million] = lists::times_with_candidate(&superuser).await;
    writeln!(
        report,
        "\n## What an index costs a write\n\n\
         An insert, a change of the status, and one of the title alone, with all indexes of `tasks` and without one of them. \
         For a row: microseconds, bytes of WAL, and the part of the changes that were heap-only (HOT) and wrote no index. The \
         rows are of many users, anywhere in the table; a tenth of each page is free. Medians of {} runs of {} rows.\n\n\
         The last line is why there is no index on `updated_at`: every change moves it, so none would be heap-only. With that \
         index, the first page by `updated_at` takes {ordinary}, {limit} and {million} ms for the three users above.\n",
        writes::ROUNDS,
        writes::ROWS,
    )
    .unwrap();
    writes::measure(&superuser, tasks, &mut report).await;
    fs::write(root().join("docs/lists.md"), &report).unwrap();
    println!("{report}");
}
