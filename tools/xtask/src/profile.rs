//! Stacks that can run side by side, `dev`, `test` and `faults`: their ports and their folders.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cli::checkout;

use crate::process;
use crate::servant::Servant;

/// Whether the data is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For work: data stays, changed code is picked up.
    Dev,
    /// For proof: fresh data at every start, nothing disturbs a run.
    Test,
    /// To be broken by a test: as [`Kind::Test`], beside it, but what was acknowledged outlives PostgreSQL.
    Faults,
}

impl Kind {
    /// The name of the folder, and of the target of `make`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Dev => "dev",
            Kind::Test => "test",
            Kind::Faults => "faults",
        }
    }

    /// The variable that moves the ports.
    fn port_variable(self) -> &'static str {
        match self {
            Kind::Dev => "DEV_PORT",
            Kind::Test | Kind::Faults => "TEST_PORT",
        }
    }
}

/// Where one stack lives: five ports in a row, and folders that git ignores.
pub(crate) struct Profile {
    pub(crate) kind: Kind,
    /// The port of the API.
    pub(crate) port: u16,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// `.local/dev`: what people look at.
    pub(crate) home: PathBuf,
    /// What the servers read and write: `home`, or a place that their user can reach.
    pub(crate) data: PathBuf,
    pub(crate) servant: Servant,
}

/// Held while a stack runs; the system lets go of it however the process ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Profile {
    /// Finds the folders of a stack of the checkout that this is run in.
    pub(crate) fn new(kind: Kind, port: u16) -> Result<Self> {
        let highest = u16::MAX - 4;
        if !(1024..=highest).contains(&port) {
            bail!("{} is {port}: choose one from 1024 to {highest}", kind.port_variable());
        }
        let root = checkout()?;
        let home = root.join(".local").join(kind.name());
        let servant = Servant::find()?;
        let data = if servant.can_reach(&home) { home.clone() } else { elsewhere(&root)?.join(kind.name()) };
        Ok(Self { kind, port, root, home, data, servant })
    }

    pub(crate) fn pooler_port(&self) -> u16 {
        self.port + 1
    }

    pub(crate) fn postgres_port(&self) -> u16 {
        self.port + 2
    }

    /// Where functions are invoked.
    pub(crate) fn lambda_port(&self) -> u16 {
        self.port + 3
    }

    /// `cargo lambda watch`, behind all that.
    pub(crate) fn emulator_port(&self) -> u16 {
        self.port + 4
    }

    /// Where people say they want other ports.
    pub(crate) fn port_variable(&self) -> &'static str {
        self.kind.port_variable()
    }

    /// The settings of the functions, as `cargo lambda watch --env-file` reads them.
    pub(crate) fn env_file(&self) -> PathBuf {
        self.home.join("env")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    /// Makes the folders, and makes sure that no other process works in them.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let logs = self.home.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let path = self.home.join("lock");
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open().with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).unwrap_or_default();
                bail!("this stack is already running (pid {}): stop it first, with Ctrl-C there", pid.trim());
            }
            Err(TryLockError::Error(error)) => return Err(error).context(format!("cannot lock {}", path.display())),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;

        if self.data != self.home {
            claim(&elsewhere(&self.root)?)?;
            fs::create_dir_all(&self.data).with_context(|| format!("cannot create {}", self.data.display()))?;
        }
        Ok(Lock(file))
    }

    /// Removes databases, certificates, keys and settings; logs and the lock stay.
    pub(crate) fn clean(&self) -> Result<()> {
        for path in [&self.data, &self.home] {
            for name in ["postgres", "postgres.new", "pgbouncer", "tls", "keys", "env"] {
                let path = path.join(name);
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                match removed {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error).context(format!("cannot remove {}", path.display()));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// One clear line if something else listens where we want to.
    pub(crate) fn check_ports(&self, ports: &[(u16, &str)]) -> Result<()> {
        for (port, whose) in ports {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)) {
                let by = process::listener(*port).map(|by| format!(", by {by}")).unwrap_or_default();
                let problem = match error.kind() {
                    std::io::ErrorKind::AddrInUse => format!("is in use{by}"),
                    _ => format!("cannot be used ({error})"),
                };
                bail!(
                    "port {port}, for {whose}, {problem}: set {} to another port (it and the next four are taken)",
                    self.port_variable()
                );
            }
        }
        Ok(())
    }
}

/// Where tools are installed that the machine does not have: a place the servers' user can reach.
pub(crate) fn tools_folder(servant: Servant) -> Result<PathBuf> {
    let root = checkout()?;
    let folder = root.join(".local/tools");
    if servant.can_reach(&folder) {
        return Ok(folder);
    }
    let elsewhere = elsewhere(&root)?;
    claim(&elsewhere)?;
    Ok(elsewhere.join("tools"))
}

/// For a checkout that other users cannot enter, such as one in `/root`: a folder that it keeps when it is moved, and
/// that no copy of it takes for its own.
fn elsewhere(root: &Path) -> Result<PathBuf> {
    let local = root.join(".local");
    fs::create_dir_all(&local).with_context(|| format!("cannot create {}", local.display()))?;
    // A copied note names the inode of the folder that it was written in.
    let inode = fs::metadata(&local)?.ino();
    let note = local.join("elsewhere");
    let noted = fs::read_to_string(&note).unwrap_or_default();
    if let Some((of, folder)) = noted.trim_end().split_once(' ')
        && of == inode.to_string()
    {
        return Ok(folder.into());
    }
    // FNV-1a: short, and the same in every build, which the standard library's hasher does not promise.
    let name = [root.as_os_str().as_encoded_bytes(), &inode.to_be_bytes()].concat();
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let folder = format!("/var/tmp/task-api-{hash:016x}");
    fs::write(&note, format!("{inode} {folder}\n")).with_context(|| format!("cannot write {}", note.display()))?;
    Ok(folder.into())
}

/// `/var/tmp` is everybody's: take the folder only if nobody else made it.
fn claim(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let meta = fs::symlink_metadata(folder)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} is not ours: remove it and try again", folder.display());
    }
    Ok(())
}

/// `NAME='value'` lines: what `cargo lambda watch --env-file` and a shell both read. The former takes `?`, `=`
/// and spaces in quotes only.
pub(crate) fn format_env(variables: &BTreeMap<String, String>) -> Result<String> {
    let mut text = String::new();
    for (name, value) in variables {
        let quote = if value.contains('\'') { '"' } else { '\'' };
        if value.contains([quote, '\n']) {
            bail!("{name} has both kinds of quotes in it, which an env file cannot hold: {value}");
        }
        text.push_str(&format!("{name}={quote}{value}{quote}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: &str) -> Result<String> {
        format_env(&BTreeMap::from([("A".to_owned(), value.to_owned())]))
    }

    #[test]
    fn values_are_quoted_with_what_they_do_not_contain() {
        assert_eq!(line("postgresql://u:p@h/d?a=b").unwrap(), "A='postgresql://u:p@h/d?a=b'\n");
        assert_eq!(line("/o'brien/ca.pem").unwrap(), "A=\"/o'brien/ca.pem\"\n");
        assert!(line("'\"").is_err());
    }

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
        assert_ne!(elsewhere(&one).unwrap(), folder, "one that is made anew in the old place");
    }
}
