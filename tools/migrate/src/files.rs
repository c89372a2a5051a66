//! The files: `NNNN_name.sql`.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migration, MigrationType},
};

/// One migration and the name of the file it stands in.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) migration: Migration,
}

/// Every migration in `folder`, by number. Other kinds of files may lie beside them.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<File>> {
    let cannot_read = || format!("cannot read the migrations in {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(File::read(&path)?);
        }
    }
    ensure!(!files.is_empty(), "there is no migration in {}", folder.display());

    files.sort_by(|a, b| (a.migration.version, &a.name).cmp(&(b.migration.version, &b.name)));
    for pair in files.windows(2) {
        if let [a, b] = pair
            && a.migration.version == b.migration.version
        {
            bail!("{} and {} have the same number: renumber one of them", a.name, b.name);
        }
    }
    Ok(files)
}

impl File {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // sqlx would pass over such a file in silence.
        let (version, words) =
            parse_name(&name).with_context(|| format!("{name} is no migration: name it like 0001_create_users.sql"))?;
        let sql = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let outside_transaction = sql.starts_with("-- no-transaction");
        let migration = Migration::new(
            version,
            words.replace('_', " ").into(),
            MigrationType::Simple,
            // Safe as far as this tool goes: the files are the program.
            AssertSqlSafe(sql).into_sql_str(),
            outside_transaction,
        );
        Ok(Self { name, migration })
    }
}

/// The name of the file a row of sqlx's table was made from.
pub(crate) fn name_of(version: i64, description: &str) -> String {
    format!("{version:04}_{}.sql", description.replace(' ', "_"))
}

fn parse_name(name: &str) -> Option<(i64, &str)> {
    let (number, words) = name.strip_suffix(".sql")?.split_once('_')?;
    let number_is_valid = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let words_are_valid = !words.is_empty()
        && words.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if number_is_valid && words_are_valid { Some((number.parse().ok()?, words)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_four_digits_and_words_joined_by_underscores() {
        assert_eq!(parse_name("0001_create_users.sql"), Some((1, "create_users")));
        assert_eq!(parse_name("0420_add_2nd_index.sql"), Some((420, "add_2nd_index")));
        for name in [
            "1_a.sql",
            "00001_a.sql",
            "0001.sql",
            "0001_.sql",
            "0001-a.sql",
            "0001_A.sql",
            "0001_a.up.sql",
            "+001_a.sql",
            "0001_a",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_survives_the_way_through_the_table() {
        for name in ["0001_create_users.sql", "0420_add__2nd_index_.sql"] {
            let (version, words) = parse_name(name).unwrap();
            assert_eq!(name_of(version, &words.replace('_', " ")), name);
        }
    }
}
