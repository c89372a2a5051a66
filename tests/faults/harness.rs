//! What the tests of this binary have in common.

use std::{fs, io::Write};

use tests::server::Settings;
use tokio::sync::Mutex;

/// Each of these tests needs the machine, and the one breakable database, for itself.
pub(crate) static EXCLUSIVE: Mutex<()> = Mutex::const_new(());

/// The short run detects a defect that is known; the long one, with `LONG`, looks for new ones.
pub(crate) fn short_or_long<T>(short: T, long: T) -> T {
    if cli::variable("LONG").is_some() { long } else { short }
}

/// Prints a line past the test harness, which captures `println!`.
pub(crate) fn report(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The certificate of the authority that the servers are verified against.
pub(crate) fn ca_certificate(settings: &Settings) -> Vec<u8> {
    fs::read(settings.get("DATABASE_CA_FILE")).unwrap()
}
