//! Writing: what each index of `tasks` adds to an insert.

use std::fmt::Write;

use serde_json::Value;
use tests::database::column;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::lists::{RUNS, user};

const ROWS: u32 = 1000;

/// Of the statements of one run, which is rolled back: microseconds and bytes of WAL, for a row.
struct Cost {
    microseconds: f64,
    bytes: f64,
}

pub(crate) async fn measure(superuser: &Client, report: &mut String) {
    let ordinary = user(7);
    let insert = format!(
        "INSERT INTO tasks (user_id, title, status, priority, due_date)
         SELECT '{ordinary}', 'x', 'pending', 2, now() + n * interval '1 hour' FROM generate_series(1, {ROWS}) AS n"
    );
    writeln!(
        report,
        "\n## What an index costs an insert\n\n\
         For a row, without the index against with all of them: microseconds and bytes of WAL.\n\n\
         | without | insert, µs | WAL |\n|---|---:|---:|"
    )
    .unwrap();
    let indexes =
        "SELECT indexname::text FROM pg_indexes WHERE tablename = 'tasks' AND indexname !~ '_pkey$' ORDER BY 1";
    let mut names = vec![String::new()];
    names.extend(column(superuser, indexes).await.unwrap());
    for name in names {
        let Cost { microseconds, bytes } = cost(superuser, &name, &insert).await;
        let without = if name.is_empty() { "none of them".to_owned() } else { format!("`{name}`") };
        writeln!(report, "| {without} | {microseconds:.1} | {bytes:.0} |").unwrap();
    }
}

async fn cost(superuser: &Client, without: &str, statement: &str) -> Cost {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        superuser.batch_execute("BEGIN").await.unwrap();
        if !without.is_empty() {
            superuser.batch_execute(&format!("DROP INDEX {without}")).await.unwrap();
        }
        let explain = format!("EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) {statement}");
        let answer = superuser.simple_query(&explain).await.unwrap();
        let lines = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(&lines.collect::<String>()).unwrap();
        superuser.batch_execute("ROLLBACK").await.unwrap();
        let plan = &plan[0];
        let number = |value: &Value| value.as_f64().unwrap() / f64::from(ROWS);
        runs.push(Cost {
            microseconds: number(&plan["Execution Time"]) * 1000.0,
            bytes: number(&plan["Plan"]["WAL Bytes"]),
        });
    }
    // The median: a checkpoint makes some runs write whole pages.
    runs.sort_by(|a, b| a.microseconds.total_cmp(&b.microseconds));
    let microseconds = runs[runs.len() / 2].microseconds;
    runs.sort_by(|a, b| a.bytes.total_cmp(&b.bytes));
    Cost { microseconds, bytes: runs[runs.len() / 2].bytes }
}
