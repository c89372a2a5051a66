//! Stacks that can run side by side, `dev`, `test` and `faults`: their ports and their folders.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cli::checkout;
use fs_err as fs;
use uuid::Uuid;

use crate::{process_table, server_user::ServerUser};

/// What a stack is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Development: data is kept, changed code is picked up.
    Dev,
    /// Tests: fresh data at every start, and code that stays as it is.
    Test,
    /// Tests that break the database: as [`Kind::Test`], beside it, but PostgreSQL keeps what it has acknowledged.
    Faults,
}

impl Kind {
    /// As the folder and the command are called.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Where a stack lives: five ports in a row, and folders that git ignores.
pub(crate) struct Profile {
    pub(crate) kind: Kind,
    /// The port of the API.
    pub(crate) port: u16,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// `.local/dev`: what people look at.
    pub(crate) home: PathBuf,
    /// The servers' files: `home`, or a place that their user can reach.
    pub(crate) data: PathBuf,
    pub(crate) server_user: ServerUser,
}

/// Held while a stack runs. The system releases it however the process ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Profile {
    /// Of a stack of the checkout that the current directory is in.
    pub(crate) fn new(kind: Kind, port: u16) -> Result<Self> {
        let root = checkout()?;
        let home = root.join(".local").join(kind.name());
        let server_user = ServerUser::find()?;
        let data = if server_user.can_reach(&home) { home.clone() } else { elsewhere(&root)?.join(kind.name()) };
        Ok(Self { kind, port, root, home, data, server_user })
    }

    pub(crate) fn pooler_port(&self) -> u16 {
        self.port + 1
    }

    pub(crate) fn postgres_port(&self) -> u16 {
        self.port + 2
    }

    /// Where functions are invoked with an event.
    pub(crate) fn lambda_port(&self) -> u16 {
        self.port + 3
    }

    /// Of the branch of a database that is broken: its stack runs no functions.
    pub(crate) fn branch_port(&self) -> u16 {
        self.lambda_port()
    }

    /// Of `cargo lambda watch`, behind the gateway.
    pub(crate) fn emulator_port(&self) -> u16 {
        self.port + 4
    }

    /// The settings of the functions, as `cargo lambda watch --env-file` reads them.
    pub(crate) fn env_file(&self) -> PathBuf {
        self.home.join("env")
    }

    /// Where the functions write mails.
    pub(crate) fn mails(&self) -> PathBuf {
        self.home.join("mails")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    /// Creates the folders, and makes sure that no other process works in them.
    pub(crate) fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(self.home.join("logs"))?;
        let path = self.home.join("lock");
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open().with_context(|| format!("cannot open {}", path.display()))?;
        let locked = file.try_lock();
        if let Err(TryLockError::WouldBlock) = locked {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            bail!("this stack is already running (pid {}): stop it first, with Ctrl-C there", pid.trim());
        }
        locked.with_context(|| format!("cannot lock {}", path.display()))?;
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;

        if self.data != self.home {
            claim(&elsewhere(&self.root)?)?;
            fs::create_dir_all(&self.data)?;
        }
        Ok(Lock(file))
    }

    /// Removes databases, certificates, keys, settings and mails; logs and the lock stay.
    pub(crate) fn clean(&self) -> Result<()> {
        for path in [&self.data, &self.home] {
            for name in ["postgres", "postgres.new", "pgbouncer", "tls", "keys", "env", "mails"] {
                let path = path.join(name);
                if path.is_dir() {
                    fs::remove_dir_all(path)?;
                } else if path.exists() {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }

    /// Fails when something else listens on one of the ports.
    pub(crate) fn check_ports(&self) -> Result<()> {
        for (port, server) in [
            (self.port, "the API"),
            (self.pooler_port(), "PgBouncer"),
            (self.postgres_port(), "PostgreSQL"),
            (self.lambda_port(), "Lambda"),
            (self.emulator_port(), "cargo lambda watch"),
        ] {
            let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
            let problem = match (error.kind(), process_table::listener(port)) {
                (ErrorKind::AddrInUse, Some(process)) => format!("is in use, by {process}"),
                (ErrorKind::AddrInUse, None) => "is in use".to_owned(),
                _ => format!("cannot be used ({error})"),
            };
            let variable = if self.kind == Kind::Dev { "DEV_PORT" } else { "TEST_PORT" };
            bail!(
                "port {port}, for {server}, {problem}: set {variable} to another port (the next four are taken, too)"
            );
        }
        Ok(())
    }
}

/// Where missing programs are installed: a place that the servers' user can reach.
pub(crate) fn tools_folder(server_user: ServerUser) -> Result<PathBuf> {
    let root = checkout()?;
    let folder = root.join(".local/tools");
    if server_user.can_reach(&folder) {
        return Ok(folder);
    }
    let elsewhere = elsewhere(&root)?;
    claim(&elsewhere)?;
    Ok(elsewhere.join("tools"))
}

/// The folder in `/var/tmp` of a checkout that other users cannot enter, such as one in `/root`. It is noted in the
/// checkout, which keeps it when it is moved; a copy of the checkout gets its own.
fn elsewhere(root: &Path) -> Result<PathBuf> {
    let local = root.join(".local");
    fs::create_dir_all(&local)?;
    // The inode tells a note from a copied one.
    let inode = fs::metadata(&local)?.ino();
    let note = local.join("elsewhere");
    let noted = fs::read_to_string(&note).unwrap_or_default();
    if let Some((of, folder)) = noted.trim_end().split_once(' ')
        && of == inode.to_string()
    {
        return Ok(folder.into());
    }
    let folder = format!("/var/tmp/task-api-{}", Uuid::new_v4().simple());
    fs::write(&note, format!("{inode} {folder}\n"))?;
    Ok(folder.into())
}

/// Creates the folder, unless another user did: everyone can write to `/var/tmp`.
fn claim(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let meta = fs::symlink_metadata(folder)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to another user: remove it and try again", folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_keeps_its_folder_elsewhere_when_it_is_moved_and_shares_it_with_no_copy() {
        let place = tempfile::tempdir().unwrap();
        let [one, copy, moved] = ["one", "copy", "moved"].map(|name| place.path().join(name));
        let folder = elsewhere(&one).unwrap();
        assert_eq!(elsewhere(&one).unwrap(), folder);
        fs::create_dir_all(copy.join(".local")).unwrap();
        fs::copy(one.join(".local/elsewhere"), copy.join(".local/elsewhere")).unwrap();
        assert_ne!(elsewhere(&copy).unwrap(), folder);
        fs::rename(&one, &moved).unwrap();
        assert_eq!(elsewhere(&moved).unwrap(), folder);
        assert_ne!(elsewhere(&one).unwrap(), folder, "a checkout that is made anew in the old place");
    }
}
