//! The user PostgreSQL and PgBouncer run as: they refuse to run as root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// `nobody` when we are root, and otherwise whoever we are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Servant {
    ids: Option<(u32, u32)>,
}

impl Servant {
    /// Finds the user the servers can run as.
    pub(crate) fn find() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { ids: None });
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let nobody = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == "nobody").then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        match nobody {
            Some(ids) => Ok(Self { ids: Some(ids) }),
            None => bail!("PostgreSQL refuses to run as root and there is no user `nobody`: run this as another user"),
        }
    }

    /// A command that will run as the servant.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }

    /// Whether the servant may pass through every folder on the way to `path`.
    pub(crate) fn can_reach(self, path: &Path) -> bool {
        let open = |folder: &Path| fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o001 != 0);
        self.ids.is_none() || path.ancestors().filter(|folder| folder.exists()).all(open)
    }

    /// Gives a file or folder to the servant.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        match self.ids {
            Some((user, group)) => chown(path, Some(user), Some(group))
                .with_context(|| format!("cannot give {} to the user nobody", path.display())),
            None => Ok(()),
        }
    }

    /// Writes a file that only the servant can read.
    pub(crate) fn write(self, path: &Path, text: &str) -> Result<()> {
        write_private(path, text)?;
        self.own(path)
    }
}

/// Writes a file that only its owner can read. It is made anew, so that an old one's rights do not stay.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || {
        if path.exists() {
            fs::remove_file(path)?;
        }
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
