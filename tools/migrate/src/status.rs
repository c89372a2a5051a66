//! The migrations in the folder compared with those in the database.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use anyhow::bail;

use crate::{
    history::Applied,
    migration::{Migration, file_name},
};

/// The status of one version.
#[derive(Debug)]
pub(crate) enum Status<'a> {
    Applied(&'a Migration, Applied),
    Pending(&'a Migration),
    /// Not applied, although a higher version is: the file of this name.
    OutOfOrder(&'a Migration, String),
    /// Begun and not finished (`success` is false).
    Incomplete(Applied),
    /// The file differs from what was applied.
    Changed(&'a Migration, Applied),
    /// Applied, and there is no file.
    Missing(Applied),
}

impl Status<'_> {
    fn version(&self) -> i64 {
        match self {
            Self::Applied(file, _) | Self::Pending(file) | Self::OutOfOrder(file, _) | Self::Changed(file, _) => {
                file.version
            }
            Self::Missing(applied) | Self::Incomplete(applied) => applied.version,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Applied(file, _) | Self::Pending(file) | Self::OutOfOrder(file, _) | Self::Changed(file, _) => {
                file.name.clone()
            }
            Self::Missing(applied) | Self::Incomplete(applied) => file_name(applied.version, &applied.description),
        }
    }
}

/// The status of every version, in order.
pub(crate) fn compare(migrations: &[Migration], history: Vec<Applied>) -> Vec<Status<'_>> {
    let newest = history.last().map(|newest| (newest.version, file_name(newest.version, &newest.description)));
    let mut history: BTreeMap<_, _> = history.into_iter().map(|applied| (applied.version, applied)).collect();
    let mut statuses: Vec<_> = migrations
        .iter()
        .map(|file| match (history.remove(&file.version), &newest) {
            (None, Some((newest, name))) if file.version < *newest => Status::OutOfOrder(file, name.clone()),
            (None, _) => Status::Pending(file),
            (Some(applied), _) if !applied.success => Status::Incomplete(applied),
            (Some(applied), _) if file.matches(&applied.checksum) => Status::Applied(file, applied),
            (Some(applied), _) => Status::Changed(file, applied),
        })
        .collect();
    statuses.extend(history.into_values().map(Status::Missing));
    statuses.sort_by_key(Status::version);
    statuses
}

/// The migrations to apply.
///
/// # Errors
/// The folder and the database contradict each other.
pub(crate) fn pending<'a>(statuses: &[Status<'a>], folder: &Path) -> anyhow::Result<Vec<&'a Migration>> {
    let mut pending = Vec::new();
    for status in statuses {
        let name = status.name();
        match status {
            Status::Applied(..) => {}
            Status::Pending(migration) => pending.push(*migration),
            Status::OutOfOrder(_, newest) => {
                bail!("{name} is not applied, but {newest} is: migrations run in order, so give it a higher number")
            }
            Status::Incomplete(Applied { at, .. }) => bail!(
                "{name} was started at {at} UTC and did not finish (success is false in _sqlx_migrations): undo what \
                 it changed, and delete the row"
            ),
            Status::Changed(_, Applied { at, .. }) => bail!(
                "{name} was changed after it was applied at {at} UTC: restore it, and put the change into a new file"
            ),
            Status::Missing(Applied { at, .. }) => {
                bail!("{name} was applied at {at} UTC but is missing from {}: restore it", folder.display())
            }
        }
    }
    Ok(pending)
}

pub(crate) fn write_table(statuses: &[Status<'_>], out: &mut impl Write) -> io::Result<()> {
    let width = statuses.iter().map(|status| status.name().len()).max().unwrap_or_default();
    writeln!(out, "{:7}  {:width$}  applied at (UTC)", "version", "name")?;
    for status in statuses {
        let state = match status {
            Status::Applied(_, applied) => applied.at.clone(),
            Status::Pending(_) => "pending".to_owned(),
            Status::OutOfOrder(_, newest) => format!("not applied, but {newest} is"),
            Status::Incomplete(applied) => format!("{}, not finished", applied.at),
            Status::Changed(_, applied) => format!("{}, changed since", applied.at),
            Status::Missing(applied) => format!("{}, missing", applied.at),
        };
        writeln!(out, "{:04}     {:width$}  {state}", status.version(), status.name())?;
    }
    Ok(())
}
