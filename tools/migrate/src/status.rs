//! The migrations in the folder compared with those in the database.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use anyhow::bail;

use crate::{history::Applied, migration::Migration};

/// The status of one version.
#[derive(Debug)]
pub(crate) struct Status<'a> {
    version: i64,
    name: String,
    state: State<'a>,
}

/// The times are in UTC.
#[derive(Debug)]
enum State<'a> {
    Applied(String),
    Pending(&'a Migration),
    /// Not applied, although a higher version is: the file of this name.
    OutOfOrder(String),
    /// Started at this time and not finished (`success` is false).
    Incomplete(String),
    /// The file differs from what was applied at this time.
    Changed(String),
    /// Applied at this time, and there is no file.
    Missing(String),
}

/// The status of every version, in order.
pub(crate) fn compare(migrations: &[Migration], history: Vec<Applied>) -> Vec<Status<'_>> {
    let newest = history.last().map(|newest| (newest.version, newest.file_name()));
    let mut history: BTreeMap<_, _> = history.into_iter().map(|applied| (applied.version, applied)).collect();
    let mut statuses: Vec<_> = migrations
        .iter()
        .map(|migration| {
            let state = match (history.remove(&migration.version), &newest) {
                (None, Some((newest, name))) if migration.version < *newest => State::OutOfOrder(name.clone()),
                (None, _) => State::Pending(migration),
                (Some(applied), _) if !applied.success => State::Incomplete(applied.at),
                (Some(applied), _) if migration.matches(&applied.checksum) => State::Applied(applied.at),
                (Some(applied), _) => State::Changed(applied.at),
            };
            Status { version: migration.version, name: migration.name.clone(), state }
        })
        .collect();
    statuses.extend(history.into_values().map(|applied| Status {
        version: applied.version,
        name: applied.file_name(),
        state: State::Missing(applied.at),
    }));
    statuses.sort_by_key(|status| status.version);
    statuses
}

/// The migrations to apply.
///
/// # Errors
/// The folder and the database contradict each other.
pub(crate) fn pending<'a>(statuses: &[Status<'a>], folder: &Path) -> anyhow::Result<Vec<&'a Migration>> {
    let mut pending = Vec::new();
    for Status { name, state, .. } in statuses {
        match state {
            State::Applied(_) => {}
            State::Pending(migration) => pending.push(*migration),
            State::OutOfOrder(newest) => {
                bail!("{name} is not applied, but {newest} is: migrations run in order, so give it a higher number")
            }
            State::Incomplete(at) => bail!(
                "{name} was started at {at} UTC and did not finish (success is false in _sqlx_migrations): undo what \
                 it changed, and delete the row"
            ),
            State::Changed(at) => bail!(
                "{name} was changed after it was applied at {at} UTC: restore it, and put the change into a new file"
            ),
            State::Missing(at) => {
                bail!("{name} was applied at {at} UTC but is missing from {}: restore it", folder.display())
            }
        }
    }
    Ok(pending)
}

pub(crate) fn write_table(statuses: &[Status<'_>], out: &mut impl Write) -> io::Result<()> {
    let width = statuses.iter().map(|status| status.name.len()).max().unwrap_or_default();
    writeln!(out, "{:7}  {:width$}  applied at (UTC)", "version", "name")?;
    for Status { version, name, state } in statuses {
        let state = match state {
            State::Applied(at) => at.clone(),
            State::Pending(_) => "pending".to_owned(),
            State::OutOfOrder(newest) => format!("not applied, but {newest} is"),
            State::Incomplete(at) => format!("{at}, not finished"),
            State::Changed(at) => format!("{at}, changed since"),
            State::Missing(at) => format!("{at}, missing"),
        };
        writeln!(out, "{version:04}     {name:width$}  {state}")?;
    }
    Ok(())
}
