//! The table that a run leaves.

use std::time::Duration;

use anyhow::{Result, ensure};
use migrate::RELEASE;
use tests::{
    machine::machine,
    steps::{CONTRACTION, EXPANDED},
};

use crate::{
    first_release::VERSION,
    log::{Counts, Longest},
    releases::CLIENTS,
};

/// What happened around one migration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// How long `migrate` took.
    pub(crate) took: Duration,
    pub(crate) counts: Counts,
    /// Tasks, and other wrong answers.
    pub(crate) wrong: usize,
    /// While the migration ran and shortly after.
    pub(crate) during: Longest,
    /// In as much time right after.
    pub(crate) without: Longest,
    /// Attempts that got no lock in time.
    pub(crate) retries: usize,
}

/// The first lines of the table.
pub(crate) fn header() -> String {
    format!(
        "| migration | s | requests to {VERSION} | to {RELEASE} | 5xx | lost or altered | longest, ms | without | hashing, ms \
         | without | retries for locks |\n|---{}|",
        "|---:".repeat(10)
    )
}

impl Row {
    /// As a line of the table.
    pub(crate) fn line(&self) -> String {
        let Self { name, took, counts, wrong, during, without, retries } = self;
        let [old, new] = [VERSION, RELEASE].map(|release| counts.by_release.get(release).copied().unwrap_or_default());
        let seconds = took.as_secs_f32();
        // Maybe nobody hashed a password in so short a time.
        let cell = |time: Duration| if time.is_zero() { "–".to_owned() } else { time.as_millis().to_string() };
        let times = [during.plain, without.plain, during.hashing, without.hashing].map(cell).join(" | ");
        format!("| {name} | {seconds:.1} | {old} | {new} | {} | {wrong} | {times} | {retries} |", counts.failed)
    }

    /// Of all of these, with the counts of the whole run.
    fn sum(rows: &[Self], counts: &Counts) -> Self {
        let longest = |of: fn(&Self) -> Longest| Longest {
            plain: rows.iter().map(|row| of(row).plain).max().unwrap_or_default(),
            hashing: rows.iter().map(|row| of(row).hashing).max().unwrap_or_default(),
        };
        Self {
            name: "in all".to_owned(),
            took: rows.iter().map(|row| row.took).sum(),
            counts: counts.clone(),
            wrong: rows.iter().map(|row| row.wrong).sum(),
            during: longest(|row| row.during),
            without: longest(|row| row.without),
            retries: rows.iter().map(|row| row.retries).sum(),
        }
    }
}

/// The document: what was done, and the table.
pub(crate) fn document(rows: &[Row], counts: &Counts, tasks: usize, server: &str) -> String {
    let lines: String = rows.iter().chain([&Row::sum(rows, counts)]).map(|row| row.line() + "\n").collect();
    format!(
        "\
# The upgrade from {VERSION} to {RELEASE}, rehearsed

Written by `make test-upgrade`: {tasks} tasks on PostgreSQL {server}, without fsync,
behind PgBouncer. Everything runs on one machine ({machine}), in development builds.

Release {VERSION} is built from the repository's history, and its own `migrate` makes the schema; its functions log in as
the owner of the database, as they did. Then `migrate` of {RELEASE} applies one migration after the other, while
{CLIENTS} clients use every route of the releases that are live, a request at a time and each at one of them by chance.
{RELEASE} is live from `{EXPANDED}` on, the last migration that its functions cannot do without.
{VERSION} ends before `{CONTRACTION}`.

A client knows what it has to be answered: every answer is compared with what was acknowledged before, by whichever
release, and after each migration all of its tasks are read at each release. The tasks that no client changes are compared
in the database. *Lost or altered* counts what differs, and every other wrong answer.

*Longest* is the longest that any request took, at the client, while the migration ran or within 2 s after. *Without* is
the same in as much time right after that, without a migration. Requests that hash a password have columns of their own.
The last line has the requests between the others, too.

{header}
{lines}",
        header = header(),
        machine = machine()
    )
}

/// # Errors
/// A request failed, or a task was lost or altered.
pub(crate) fn check(rows: &[Row], counts: &Counts) -> Result<()> {
    let all = Row::sum(rows, counts);
    ensure!(
        all.counts.failed == 0 && all.wrong == 0,
        "{} requests failed, {} tasks were lost or altered",
        all.counts.failed,
        all.wrong
    );
    Ok(())
}
