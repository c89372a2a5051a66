//! The files: `NNNN_name.sql`.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha384};

/// The first line of a file that runs outside a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";

/// The endings by which editors and `patch` mark the copies they leave.
const COPIES: [&str; 6] = ["~", ".bak", ".orig", ".rej", ".swp", ".tmp"];

/// One migration.
#[derive(Debug)]
pub(crate) struct File {
    /// The name of the file.
    pub(crate) name: String,
    pub(crate) version: i64,
    /// The words of the name.
    pub(crate) description: String,
    /// What it says, with the line endings of Unix and without a byte order mark: a checkout may have added both.
    pub(crate) sql: String,
    /// Whether it runs outside a transaction.
    pub(crate) no_transaction: bool,
    /// The SHA-384 of [`File::sql`].
    pub(crate) checksum: Vec<u8>,
    /// The SHA-384 of the same text in the other forms it may have had when it was applied.
    other_checksums: [Vec<u8>; 2],
}

/// Every migration in `folder`, by number. Other kinds of files may lie beside them.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<File>> {
    let cannot_read = || format!("cannot read the migrations in {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_meant(&name) {
            files.push(File::read(&path, &name)?);
        }
    }
    ensure!(!files.is_empty(), "there is no migration in {}", folder.display());

    files.sort_by(|a, b| (a.version, &a.name).cmp(&(b.version, &b.name)));
    for pair in files.windows(2) {
        if let [a, b] = pair
            && a.version == b.version
        {
            bail!("{} and {} have the same number: renumber one of them", a.name, b.name);
        }
    }
    Ok(files)
}

/// Whether somebody who gave a file this name meant a migration: it begins with a number, or says somewhere that it is
/// SQL. What is hidden, or is a copy that a program left, is none.
fn is_meant(name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_left = name.starts_with('.') || COPIES.iter().any(|ending| lower.ends_with(ending));
    !is_left && (name.starts_with(|first: char| first.is_numeric()) || lower.contains(".sql"))
}

impl File {
    fn read(path: &Path, name: &str) -> anyhow::Result<Self> {
        let (version, words) =
            parse_name(name).with_context(|| format!("{name} is no migration: name it like 0001_create_users.sql"))?;
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let as_is = String::from_utf8(bytes).ok().with_context(|| format!("{name} is not UTF-8 text"))?;
        ensure!(!as_is.contains('\0'), "{name} has a NUL character in it, which PostgreSQL does not take");
        let sql = as_is.strip_prefix('\u{feff}').unwrap_or(&as_is).replace("\r\n", "\n");
        Ok(Self {
            name: name.to_owned(),
            version,
            description: words.replace('_', " "),
            no_transaction: sql.starts_with(NO_TRANSACTION),
            checksum: checksum(&sql),
            other_checksums: [checksum(&as_is), checksum(&sql.replace('\n', "\r\n"))],
            sql,
        })
    }

    /// Whether this is what was applied when this checksum was kept.
    pub(crate) fn has(&self, checksum: &[u8]) -> bool {
        self.checksum == checksum || self.other_checksums.iter().any(|other| other == checksum)
    }
}

fn checksum(text: &str) -> Vec<u8> {
    Sha384::digest(text).to_vec()
}

/// The name of the file a row of the table was made from.
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
    fn a_name_that_is_nearly_a_migrations_is_not_passed_over() {
        for name in MISNAMED {
            assert!(is_meant(name), "{name}");
        }
        assert!(is_meant("0001_create_users.sql"));
    }

    #[test]
    fn other_files_may_lie_beside_migrations() {
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
            assert!(!is_meant(name), "{name}");
        }
    }

    #[test]
    fn a_name_survives_the_way_through_the_table() {
        for name in ["0001_create_users.sql", "0420_add__2nd_index_.sql"] {
            let (version, words) = parse_name(name).unwrap();
            assert_eq!(name_of(version, &words.replace('_', " ")), name);
        }
    }

    fn file(bytes: &[u8]) -> anyhow::Result<File> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("0001_a.sql");
        fs::write(&path, bytes)?;
        File::read(&path, "0001_a.sql")
    }

    #[test]
    fn a_file_is_the_same_with_the_line_endings_of_unix_and_of_windows() {
        let unix = "-- no-transaction\nSELECT 1;\n\nSELECT 'a\rb';\n";
        let windows = unix.replace('\n', "\r\n");
        let (from_unix, from_windows) = (file(unix.as_bytes()).unwrap(), file(windows.as_bytes()).unwrap());
        let with_mark = file(format!("\u{feff}{windows}").as_bytes()).unwrap();
        for file in [&from_unix, &from_windows, &with_mark] {
            assert_eq!((file.sql.as_str(), file.no_transaction), (unix, true));
            assert_eq!(file.checksum, checksum(unix));
            assert!(file.has(&checksum(unix)) && file.has(&checksum(&windows)));
            assert!(!file.has(&checksum("-- no-transaction\nSELECT 2;\n")));
        }
        // As it was applied by the first release, which took the bytes as they are.
        let mixed = "SELECT 1;\r\nSELECT 2;\n";
        assert!(file(mixed.as_bytes()).unwrap().has(&checksum(mixed)));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let refusal = |bytes: &[u8]| format!("{:#}", file(bytes).unwrap_err());
        assert_eq!(refusal(b"\xff\xfeS\0E\0L\0"), "0001_a.sql is not UTF-8 text");
        assert_eq!(refusal(b"SELECT\0 1;"), "0001_a.sql has a NUL character in it, which PostgreSQL does not take");
    }
}
