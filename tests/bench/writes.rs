//! Writing: what each index of `tasks` costs an insert and a change, and what one more would.

use std::fmt::Write;

use serde_json::Value;
use tests::database::column;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::median;

pub(crate) const ROUNDS: usize = 15;

/// How many a statement writes, each of another user.
pub(crate) const ROWS: u32 = 1000;

/// The index that a list by `updated_at` would be read from.
pub(crate) const CANDIDATE: &str = "user_id, updated_at, id";

/// Of one statement, for a row.
struct Cost {
    microseconds: f64,
    /// Of write-ahead log.
    bytes: f64,
    /// The part of the changes that wrote no index (heap-only tuples).
    heap_only: f64,
}

/// Adds a table to the report. The candidate exists.
pub(crate) async fn measure(superuser: &Client, tasks: u64, report: &mut String) {
    let chance = |bound: u64| format!("(1 + floor(random() * {bound}))::bigint");
    let user = format!("('00000000-0000-4000-8000-' || lpad({}::text, 12, '0'))::uuid", chance(100_000));
    let ids = format!("SELECT md5('task ' || {})::uuid FROM generate_series(1, {ROWS})", chance(tasks));
    let statements = [
        format!(
            "INSERT INTO tasks (user_id, title, status, priority, due_date)
             SELECT {user}, 'x', 'pending', 2, now() + random() * interval '1 year' FROM generate_series(1, {ROWS})"
        ),
        format!(
            "UPDATE tasks SET status = CASE status WHEN 'completed' THEN 'pending' ELSE 'completed' END
             WHERE id = ANY (ARRAY({ids}))"
        ),
        format!("UPDATE tasks SET title = 'y' WHERE id = ANY (ARRAY({ids}))"),
    ];
    let indexes = "SELECT indexname::text FROM pg_indexes WHERE tablename = 'tasks' AND indexname !~ '_pkey$'
                   ORDER BY indexname = 'candidate' DESC, indexname";
    let indexes = column(superuser, indexes).await.unwrap();
    let [candidate, present @ ..] = &*indexes else { unreachable!("there is an index") };
    let mut rows = vec![("all of them".to_owned(), candidate.clone())];
    rows.extend(present.iter().map(|index| (format!("without `{index}`"), format!("{candidate}, {index}"))));
    rows.push((format!("and one on `({CANDIDATE})`"), String::new()));

    // Round by round: what a run leaves behind in the table, and what else the machine does, falls on all alike.
    let mut costs: Vec<[Vec<Cost>; 3]> = rows.iter().map(|_| Default::default()).collect();
    for _ in 0..ROUNDS {
        for ((_, dropped), costs) in rows.iter().zip(&mut costs) {
            for (statement, costs) in statements.iter().zip(costs) {
                costs.push(run(superuser, dropped, statement).await);
            }
        }
    }
    report.push_str(
        "| indexes | insert, µs | WAL | status, µs | WAL | heap-only | title, µs | WAL | heap-only |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for ((name, _), costs) in rows.iter().zip(&costs) {
        let [insert, status, title] = costs.each_ref().map(|costs| {
            let [microseconds, bytes, heap_only] =
                [|cost: &Cost| cost.microseconds, |cost: &Cost| cost.bytes, |cost: &Cost| cost.heap_only]
                    .map(|value| median(costs.iter().map(value).collect()));
            (format!("{microseconds:.1} | {bytes:.0}"), format!("{:.0} %", 100.0 * heap_only))
        });
        writeln!(report, "| {name} | {} | {} | {} | {} | {} |", insert.0, status.0, status.1, title.0, title.1)
            .unwrap();
    }
}

/// Runs a statement in a transaction without these indexes, which is rolled back.
async fn run(superuser: &Client, dropped: &str, statement: &str) -> Cost {
    superuser.batch_execute("BEGIN").await.unwrap();
    if !dropped.is_empty() {
        superuser.batch_execute(&format!("DROP INDEX {dropped}")).await.unwrap();
    }
    let before = heap_only(superuser).await;
    let explain = format!("EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) {statement}");
    let answer = superuser.simple_query(&explain).await.unwrap();
    let after = heap_only(superuser).await;
    superuser.batch_execute("ROLLBACK").await.unwrap();
    let lines = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(&lines.collect::<String>()).unwrap();
    let of_a_row = |value: &Value| value.as_f64().unwrap() / f64::from(ROWS);
    Cost {
        microseconds: of_a_row(&plan[0]["Execution Time"]) * 1000.0,
        bytes: of_a_row(&plan[0]["Plan"]["WAL Bytes"]),
        heap_only: (after - before) / f64::from(ROWS),
    }
}

/// How many changes of tasks wrote no index, by this connection's count.
async fn heap_only(superuser: &Client) -> f64 {
    let sql = "SELECT pg_stat_get_xact_tuples_hot_updated('tasks'::regclass)::float8";
    superuser.query_typed_one(sql, &[]).await.unwrap().get(0)
}
