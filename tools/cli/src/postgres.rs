use std::{fs, path::PathBuf};

/// Where packages and installers put the programs of PostgreSQL: in these, a folder for each version has a `bin`.
const PLACES: [&str; 4] =
    ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/Applications/Postgres.app/Contents/Versions"];

/// The folders that may have PostgreSQL's programs, where the system has them.
pub fn postgres_folders() -> Vec<PathBuf> {
    let entries = PLACES.iter().flat_map(fs::read_dir).flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path().join("bin")).collect();
    folders.push("/usr/bin".into());
    folders
}
