//! The migrations: files named `NNNN_description.sql`.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha384};

use crate::kind::Kind;

/// What editors and `patch` append to the names of the copies they leave.
const BACKUP_SUFFIXES: [&str; 6] = ["~", ".bak", ".orig", ".rej", ".swp", ".tmp"];

#[derive(Debug)]
pub(crate) struct Migration {
    /// The file's name.
    pub(crate) name: String,
    pub(crate) version: i64,
    /// From the file's name, with spaces for underscores.
    pub(crate) description: String,
    /// With LF line endings and without a byte order mark: a checkout may have changed both.
    pub(crate) sql: String,
    pub(crate) kind: Kind,
    /// The SHA-384 of [`Migration::sql`].
    pub(crate) checksum: Vec<u8>,
    /// The SHA-384 of the file as it is and with CRLF line endings: it may have been applied in these forms.
    other_checksums: [Vec<u8>; 2],
}

/// Every migration in `folder`, by version. Other kinds of files are ignored.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Migration>> {
    let cannot_read = || format!("cannot read the migrations in {}", folder.display());
    let mut migrations = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if looks_like_migration(&name) {
            migrations.push(Migration::read(&path, &name)?);
        }
    }
    ensure!(!migrations.is_empty(), "there are no migrations in {}", folder.display());

    migrations.sort_by(|a, b| (a.version, &a.name).cmp(&(b.version, &b.name)));
    for pair in migrations.windows(2) {
        if let [a, b] = pair
            && a.version == b.version
        {
            bail!("{} and {} have the same number: renumber one of them", a.name, b.name);
        }
    }
    Ok(migrations)
}

/// Whether a file is probably meant as a migration, although its name may be wrong: it begins with a number or contains
/// `.sql`, and is neither hidden nor a backup copy.
fn looks_like_migration(name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_ignored = name.starts_with('.') || BACKUP_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix));
    !is_ignored && (name.starts_with(|first: char| first.is_numeric()) || lower.contains(".sql"))
}

impl Migration {
    fn read(path: &Path, name: &str) -> anyhow::Result<Self> {
        let (version, description) = parse_name(name).with_context(|| {
            format!("{name} is not a valid name for a migration: use one like 0001_create_users.sql")
        })?;
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let raw = String::from_utf8(bytes).ok().with_context(|| format!("{name} is not UTF-8 text"))?;
        ensure!(!raw.contains('\0'), "{name} contains a NUL character, which PostgreSQL does not accept");
        let sql = raw.strip_prefix('\u{feff}').unwrap_or(&raw).replace("\r\n", "\n");
        Ok(Self {
            name: name.to_owned(),
            version,
            description: description.replace('_', " "),
            kind: Kind::of(&sql).with_context(|| format!("the first line of {name}"))?,
            checksum: checksum(&sql),
            other_checksums: [checksum(&raw), checksum(&sql.replace('\n', "\r\n"))],
            sql,
        })
    }

    /// Whether it runs outside a transaction.
    pub(crate) fn is_outside(&self) -> bool {
        self.kind == Kind::NoTransaction
    }

    pub(crate) fn is_contracting(&self) -> bool {
        matches!(self.kind, Kind::Contracting { .. })
    }

    /// Whether this is the migration that was applied with this checksum.
    pub(crate) fn matches(&self, checksum: &[u8]) -> bool {
        self.checksum == checksum || self.other_checksums.iter().any(|other| other == checksum)
    }
}

fn checksum(text: &str) -> Vec<u8> {
    Sha384::digest(text).to_vec()
}

/// The name of the file that was applied: the inverse of [`parse_name`].
pub(crate) fn file_name(version: i64, description: &str) -> String {
    format!("{version:04}_{}.sql", description.replace(' ', "_"))
}

fn parse_name(name: &str) -> Option<(i64, &str)> {
    let (version, description) = name.strip_suffix(".sql")?.split_once('_')?;
    let version_is_valid = version.len() == 4 && version.bytes().all(|byte| byte.is_ascii_digit());
    let description_is_valid = !description.is_empty()
        && description.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if version_is_valid && description_is_valid { Some((version.parse().ok()?, description)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_four_digits_and_a_description() {
        assert_eq!(parse_name("0001_create_users.sql"), Some((1, "create_users")));
        assert_eq!(parse_name("0420_add_2nd_index.sql"), Some((420, "add_2nd_index")));
        for name in MISNAMED {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    const MISNAMED: [&str; 18] = [
        "1_a.sql",
        "00001_a.sql",
        "0001.sql",
        "0001_.sql",
        "0001-a.sql",
        "0001_A.sql",
        "0001_a.up.sql",
        "0001_a.SQL",
        "0001_a.sql ",
        "0001_a.sql.txt",
        "0001_a b.sql",
        "0001_a (1).sql",
        "0001_a.psql",
        "+001_a.sql",
        "0001_a",
        "a.sql",
        " 0001_a.sql",
        "٠٠٠١_a.sql",
    ];

    #[test]
    fn a_misnamed_migration_is_not_ignored() {
        for name in MISNAMED {
            assert!(looks_like_migration(name), "{name}");
        }
        assert!(looks_like_migration("0001_create_users.sql"));
    }

    #[test]
    fn other_files_are_ignored() {
        for name in [
            "README.md",
            "later",
            ".gitattributes",
            ".0001_a.sql.swp",
            ".#0001_a.sql",
            "0001_a.sql~",
            "0001_a.sql.bak",
            "0001_a.SQL.ORIG",
            "0001_a.sql.rej",
            "squawk.toml",
        ] {
            assert!(!looks_like_migration(name), "{name}");
        }
    }

    #[test]
    fn a_file_name_is_restored_from_the_history() {
        for name in ["0001_create_users.sql", "0420_add__2nd_index_.sql"] {
            let (version, description) = parse_name(name).unwrap();
            assert_eq!(file_name(version, &description.replace('_', " ")), name);
        }
    }

    fn migration(bytes: &[u8]) -> anyhow::Result<Migration> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("0001_a.sql");
        fs::write(&path, bytes)?;
        Migration::read(&path, "0001_a.sql")
    }

    #[test]
    fn line_endings_and_a_byte_order_mark_change_nothing() {
        let unix = "-- no-transaction\nSELECT 1;\n\nSELECT 'a\rb';\n";
        let windows = unix.replace('\n', "\r\n");
        let (from_unix, from_windows) = (migration(unix.as_bytes()).unwrap(), migration(windows.as_bytes()).unwrap());
        let with_mark = migration(format!("\u{feff}{windows}").as_bytes()).unwrap();
        for migration in [&from_unix, &from_windows, &with_mark] {
            assert_eq!((migration.sql.as_str(), &migration.kind), (unix, &Kind::NoTransaction));
            assert_eq!(migration.checksum, checksum(unix));
            assert!(migration.matches(&checksum(unix)) && migration.matches(&checksum(&windows)));
            assert!(!migration.matches(&checksum("-- no-transaction\nSELECT 2;\n")));
        }
        // The first release hashed the file as it is.
        let mixed = "SELECT 1;\r\nSELECT 2;\n";
        assert!(migration(mixed.as_bytes()).unwrap().matches(&checksum(mixed)));
    }

    #[test]
    fn a_file_that_is_not_text_is_refused() {
        let refusal = |bytes: &[u8]| format!("{:#}", migration(bytes).unwrap_err());
        assert_eq!(refusal(b"\xff\xfeS\0E\0L\0"), "0001_a.sql is not UTF-8 text");
        assert_eq!(refusal(b"SELECT\0 1;"), "0001_a.sql contains a NUL character, which PostgreSQL does not accept");
    }
}
