//! The user that PostgreSQL and PgBouncer run as: they refuse to run as root.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use sysinfo::Users;
use tokio::process::Command;

/// `nobody` when this program runs as root, and otherwise its own user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerUser {
    ids: Option<(u32, u32)>,
}

impl ServerUser {
    pub(crate) fn find() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { ids: None });
        }
        let users = Users::new_with_refreshed_list()?;
        let nobody = users.iter().find(|user| user.name() == "nobody");
        let nobody = nobody.context("PostgreSQL refuses to run as root, and there is no user `nobody` to run it as")?;
        Ok(Self { ids: Some((**nobody.id(), *nobody.group_id())) })
    }

    /// A command that runs as this user, without the settings that the caller has for PostgreSQL's programs.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Whether this user may enter every folder on the way to `path`.
    pub(crate) fn can_reach(self, path: &Path) -> bool {
        let is_open = |folder: &Path| fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o001 != 0);
        self.ids.is_none() || path.ancestors().filter(|folder| folder.exists()).all(is_open)
    }

    /// Makes this user the owner of a file or folder.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.ids else { return Ok(()) };
        Ok(fs::os::unix::fs::chown(path, Some(user), Some(group))?)
    }

    /// Writes a file that only this user can read.
    pub(crate) fn write(self, path: &Path, text: &str) -> Result<()> {
        write_private(path, text)?;
        self.own(path)
    }
}

/// Writes a file that only its owner can read. It is created anew: an existing one would keep its permissions.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())?)
}
