//! The migrations in the folder compared with those in the database.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    path::Path,
};

use anyhow::bail;
use semver::Version;

use crate::{
    history::Applied,
    kind::Kind,
    migration::Migration,
    progress::Progress,
    releases::{RELEASE, Releases, Waiting, own_release, parse},
};

/// What the database has.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) history: Vec<Applied>,
    pub(crate) progress: Vec<Progress>,
    pub(crate) releases: Releases,
}

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
    /// A batched one may have begun.
    Pending(&'a Migration, Option<Progress>),
    /// A contracting one that is not applied.
    Waiting(&'a Migration, Waiting),
    /// Not applied, although a higher version is: the file of this name.
    OutOfOrder(String),
    /// Started at this time and not finished (`success` is false).
    Incomplete(String),
    /// The file differs from what was applied at this time.
    Changed(String),
    /// Applied at this time, and there is no file.
    Missing(String),
    /// As [`State::Missing`], with a version above those of the files.
    Ahead(String),
    /// Applied at this time, a contracting migration that took away what releases before this one need, such as our own.
    TookAway(String, Version),
}

/// The status of every version, in order.
pub(crate) fn compare(migrations: &[Migration], found: Found) -> anyhow::Result<Vec<Status<'_>>> {
    let own = own_release()?;
    let newest = found.history.last().map(|newest| (newest.version, newest.file_name()));
    let newest_file = migrations.last().map(|migration| migration.version);
    let mut history: BTreeMap<_, _> = found.history.into_iter().map(|applied| (applied.version, applied)).collect();
    let newest_contracting = history.values().rev().find(|applied| applied.contracting.is_some());
    let newest_contracting = newest_contracting.map(|newest| (newest.version, newest.file_name()));
    let mut statuses = Vec::new();
    for migration in migrations {
        let applied = history.remove(&migration.version);
        // Contracting migrations come after all others, whatever their number.
        let newest = if migration.is_contracting() { &newest_contracting } else { &newest };
        let state = match (applied, newest, &migration.kind) {
            (None, Some((newest, name)), _) if migration.version < *newest => State::OutOfOrder(name.clone()),
            (None, _, Kind::Contracting { release }) => State::Waiting(migration, found.releases.waiting(release)),
            (None, ..) => {
                let progress = found.progress.iter().find(|progress| progress.is_of(migration));
                State::Pending(migration, progress.cloned())
            }
            (Some(applied), ..) if !applied.success => State::Incomplete(applied.at),
            (Some(applied), ..) if !migration.matches(&applied.checksum) => State::Changed(applied.at),
            (Some(applied), _, Kind::Contracting { release }) if *release > own => {
                State::TookAway(applied.at, release.clone())
            }
            (Some(applied), ..) => State::Applied(applied.at),
        };
        statuses.push(Status { version: migration.version, name: migration.name.clone(), state });
    }
    for (version, applied) in history {
        let name = applied.file_name();
        let release = applied.contracting.as_deref().map(parse).transpose()?;
        let state = match release.filter(|release| *release > own) {
            Some(release) => State::TookAway(applied.at, release),
            None if Some(version) > newest_file => State::Ahead(applied.at),
            None => State::Missing(applied.at),
        };
        statuses.push(Status { version, name, state });
    }
    statuses.sort_by_key(|status| status.version);
    Ok(statuses)
}

/// What is not applied, in order.
#[derive(Default)]
pub(crate) struct Unapplied<'a> {
    pub(crate) pending: Vec<&'a Migration>,
    /// Contracting migrations, and why they wait.
    pub(crate) waiting: Vec<(&'a Migration, Waiting)>,
}

/// # Errors
/// The folder and the database contradict each other.
pub(crate) fn unapplied<'a>(statuses: &[Status<'a>], folder: &Path) -> anyhow::Result<Unapplied<'a>> {
    if let Some((name, at, release)) = statuses.iter().find_map(|Status { name, state, .. }| match state {
        State::TookAway(at, release) => Some((name, at, release)),
        _ => None,
    }) {
        bail!(
            "the database is ahead of this checkout: {name}, applied at {at} UTC, took away what releases before {release} \
             need, and this is {RELEASE}: use release {release} or later"
        );
    }
    let mut unapplied = Unapplied::default();
    for Status { name, state, .. } in statuses {
        match state {
            State::Applied(_) | State::TookAway(..) => {}
            State::Pending(migration, _) => unapplied.pending.push(migration),
            State::Waiting(migration, waiting) => unapplied.waiting.push((migration, waiting.clone())),
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
            State::Ahead(at) => bail!(
                "the database is ahead of this checkout: {name}, applied at {at} UTC, is later than every file in {}: \
                 use a checkout that has it",
                folder.display()
            ),
        }
    }
    Ok(unapplied)
}

pub(crate) fn write_table(statuses: &[Status<'_>], out: &mut impl Write) -> io::Result<()> {
    let width = statuses.iter().map(|status| status.name.len()).max().unwrap_or_default();
    writeln!(out, "{:7}  {:width$}  applied at (UTC)", "version", "name")?;
    for Status { version, name, state } in statuses {
        writeln!(out, "{version:04}     {name:width$}  {state}")?;
    }
    Ok(())
}

pub(crate) fn write_unapplied(statuses: &[Status<'_>], out: &mut impl Write) -> io::Result<()> {
    let is_applied = |status: &&Status<'_>| matches!(status.state, State::Applied(_));
    for Status { name, state, .. } in statuses.iter().filter(|status| !is_applied(status)) {
        writeln!(out, "{name}: {state}")?;
    }
    if statuses.iter().all(|status| is_applied(&status)) {
        writeln!(out, "all are applied")?;
    }
    Ok(())
}

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied(at) => f.write_str(at),
            Self::Pending(_, None) => f.write_str("pending"),
            Self::Pending(_, Some(progress)) => write!(f, "pending, after {progress}"),
            Self::Waiting(_, waiting) => waiting.fmt(f),
            Self::OutOfOrder(newest) => write!(f, "not applied, but {newest} is"),
            Self::Incomplete(at) => write!(f, "{at}, not finished"),
            Self::Changed(at) => write!(f, "{at}, changed since"),
            Self::Missing(at) => write!(f, "{at}, missing"),
            Self::Ahead(at) => write!(f, "{at}, later than this checkout"),
            Self::TookAway(at, release) => write!(f, "{at}, needs release {release} or later"),
        }
    }
}
