//! What the files say against what the database says.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use anyhow::bail;

use crate::{
    database::Applied,
    files::{self, File},
};

/// One number, as the folder and the database see it.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// The file, and when it was applied.
    Applied(&'a File, Applied),
    /// The file is not applied yet.
    Pending(&'a File),
    /// The file is not applied, and one with a higher number is: the one of this name.
    Late(&'a File, String),
    /// Something was begun under this number and did not come to its end.
    Unfinished(Applied),
    /// The file is not what was applied under its number.
    Changed(&'a File, Applied),
    /// There is no file for what was applied.
    Missing(Applied),
}

impl Step<'_> {
    fn version(&self) -> i64 {
        match self {
            Self::Applied(file, _) | Self::Pending(file) | Self::Late(file, _) | Self::Changed(file, _) => file.version,
            Self::Missing(applied) | Self::Unfinished(applied) => applied.version,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Applied(file, _) | Self::Pending(file) | Self::Late(file, _) | Self::Changed(file, _) => {
                file.name.clone()
            }
            Self::Missing(applied) | Self::Unfinished(applied) => files::name_of(applied.version, &applied.description),
        }
    }
}

/// Every number that has a file or was applied, in order.
pub(crate) fn compare(files: &[File], applied: Vec<Applied>) -> Vec<Step<'_>> {
    let mut applied: BTreeMap<_, _> = applied.into_iter().map(|applied| (applied.version, applied)).collect();
    let newest = applied.last_key_value().map(|(_, newest)| (newest.version, newest.description.clone()));
    let mut steps: Vec<_> = files
        .iter()
        .map(|file| match (applied.remove(&file.version), &newest) {
            (None, Some((newest, words))) if file.version < *newest => Step::Late(file, files::name_of(*newest, words)),
            (None, _) => Step::Pending(file),
            (Some(applied), _) if !applied.success => Step::Unfinished(applied),
            (Some(applied), _) if file.has(&applied.checksum) => Step::Applied(file, applied),
            (Some(applied), _) => Step::Changed(file, applied),
        })
        .collect();
    steps.extend(applied.into_values().map(Step::Missing));
    steps.sort_by_key(Step::version);
    steps
}

/// The files to apply, unless what was applied before is no longer what the folder holds.
pub(crate) fn pending<'a>(steps: &[Step<'a>], folder: &Path) -> anyhow::Result<Vec<&'a File>> {
    let mut pending = Vec::new();
    for step in steps {
        match step {
            Step::Applied(..) => {}
            Step::Pending(file) => pending.push(*file),
            Step::Late(file, newest) => bail!(
                "{} is not applied, and {newest} is: files are applied in the order of their numbers, so give it a \
                 higher one",
                file.name
            ),
            Step::Unfinished(applied) => bail!(
                "{} was begun at {} UTC and did not come to its end (success is false in _sqlx_migrations): undo what \
                 it left, and delete the row",
                step.name(),
                applied.at
            ),
            Step::Changed(file, applied) => bail!(
                "{} was changed after it was applied at {} UTC: restore it, and put the change into a new file",
                file.name,
                applied.at
            ),
            Step::Missing(applied) => bail!(
                "{} was applied at {} UTC but is missing from {}: restore it",
                step.name(),
                applied.at,
                folder.display()
            ),
        }
    }
    Ok(pending)
}

/// The steps for the reader, one a line.
pub(crate) fn write_table(steps: &[Step<'_>], out: &mut impl Write) -> io::Result<()> {
    let width = steps.iter().map(|step| step.name().len()).max().unwrap_or_default();
    writeln!(out, "{:7}  {:width$}  applied at (UTC)", "version", "name")?;
    for step in steps {
        let state = match step {
            Step::Applied(_, applied) => applied.at.clone(),
            Step::Pending(_) => "pending".to_owned(),
            Step::Late(_, newest) => format!("not applied, and {newest} is"),
            Step::Unfinished(applied) => format!("{}, not finished", applied.at),
            Step::Changed(_, applied) => format!("{}, changed since", applied.at),
            Step::Missing(applied) => format!("{}, missing", applied.at),
        };
        writeln!(out, "{:04}     {:width$}  {state}", step.version(), step.name())?;
    }
    Ok(())
}
