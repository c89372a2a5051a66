//! The table of tools, `tools.toml`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// A program that is found on this machine, or installed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    #[serde(default)]
    pub(super) programs: Vec<String>,
    pub(super) purpose: String,
    /// Names, separated by spaces, by package manager. Empty for what is pinned.
    #[serde(default)]
    pub(super) packages: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) before: String,
    python: Option<String>,
    npm: Option<String>,
    #[serde(default)]
    cargo: bool,
}

/// Where `pins/` has the version of a tool.
pub(super) enum Pin<'a> {
    Python(&'a str),
    Npm(&'a str),
    Cargo,
}

impl Tool {
    pub(super) fn named(name: &str) -> Result<Self> {
        let mut table: BTreeMap<String, Self> = toml::from_str(include_str!("../../tools.toml"))?;
        let mut tool = table.remove(name).with_context(|| format!("tools.toml has no {name}"))?;
        if tool.programs.is_empty() {
            tool.programs.push(name.to_owned());
        }
        Ok(tool)
    }

    /// The name of the program, on the systems that have it under several names the usual one.
    pub(super) fn program(&self) -> String {
        let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
        let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        self.programs[0].replace("{platform}", &format!("{os}-{processor}"))
    }

    /// `None` for a package of the system.
    pub(super) fn pin(&self) -> Option<Pin<'_>> {
        let cargo = self.cargo.then_some(Pin::Cargo);
        self.python.as_deref().map(Pin::Python).or(self.npm.as_deref().map(Pin::Npm)).or(cargo)
    }

    /// The program on the PATH.
    pub(super) fn on_path(&self) -> Option<PathBuf> {
        self.programs.iter().find_map(|program| on_path(program))
    }
}

/// Debian keeps servers in `sbin`, which is not on every user's PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|file| file.is_file())
}
