//! PostgreSQL on a data folder of its own.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::profile::{Kind, Profile};
use crate::servant::write_private;
use crate::stack::Stack;
use crate::tls::Tls;

/// The database, and the role that owns it.
pub(crate) const NAME: &str = "task_api";

/// The functions' role, as `migrate role` names it.
pub(crate) const FUNCTIONS: &str = "task_api_functions";

/// The role that may do anything.
pub(crate) const SUPERUSER: &str = "postgres";

pub(crate) const PART: &str = "PostgreSQL";

/// A PostgreSQL installation.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// The folder with `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    /// As in "15.18".
    pub(crate) version: String,
}

impl Installation {
    /// The installation in this folder, if there is one that runs.
    pub(crate) fn in_folder(bin: &Path) -> Option<Self> {
        // Behind links in a common folder stands one with everything that belongs together.
        let real = bin.join("postgres").canonicalize().ok()?;
        let bin = real.parent().filter(|folder| folder.join("initdb").is_file())?;
        // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
        let answer = process::ask(Command::new(bin.join("postgres")).arg("--version"))?;
        let version = answer.split_ascii_whitespace().nth(2)?.to_owned();
        Some(Self { bin: bin.to_path_buf(), version })
    }

    /// As in 15.
    pub(crate) fn major(&self) -> u32 {
        self.version.split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    fn has_module(&self, name: &str) -> bool {
        // The npm packages have no `pg_config`, but always the same folders.
        let modules = process::ask(Command::new(self.bin.join("pg_config")).arg("--pkglibdir"))
            .map_or_else(|| self.bin.join("../lib/postgresql"), PathBuf::from);
        ["so", "dylib"].iter().any(|ending| modules.join(format!("{name}.{ending}")).is_file())
    }
}

/// The data folder and the passwords that open it, made at random.
pub(crate) struct Postgres {
    data: PathBuf,
    /// Of the owner and of the superuser; made together with the data.
    pub(crate) password: String,
    /// Of the functions' role, which `migrate role` makes.
    pub(crate) functions_password: String,
}

impl Postgres {
    /// Opens the data folder, or makes it.
    pub(crate) fn open(profile: &Profile, installation: &Installation) -> Result<Self> {
        let home = profile.data.join("postgres");
        if !home.exists() {
            create(profile, installation, &home)?;
        }
        let data = home.join("data");
        let made_by = fs::read_to_string(data.join("PG_VERSION")).context("the data folder has no PG_VERSION")?;
        if made_by.trim() != installation.major().to_string() {
            bail!(
                "the data in {} was made by PostgreSQL {}, and {} is {}: set PG_BIN to a folder with the former, or \
                 remove the data with `make clean-data`",
                data.display(),
                made_by.trim(),
                installation.bin.display(),
                installation.version,
            );
        }
        let file = home.join("password");
        let password = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        // Data of the first release has none.
        let file = home.join("functions-password");
        if !file.exists() {
            write_private(&file, &random_password()?)?;
        }
        let functions_password =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { data, password, functions_password })
    }

    /// Starts the server and waits until it takes connections.
    pub(crate) fn start(
        &self,
        profile: &Profile,
        installation: &Installation,
        tls: &Tls,
        stack: &mut Stack,
    ) -> Result<()> {
        self.configure(profile, installation, tls)?;
        let mut command = profile.servant.command(&installation.bin.join("postgres"));
        command.arg("-D").arg(&self.data).current_dir(&self.data);
        hide_settings(&mut command);
        // PostgreSQL does not start while the process that this file names runs, whatever program it is after a reboot
        // or in a copy. And what the last run said about itself would be mistaken for what this one says.
        let status = self.data.join("postmaster.pid");
        if let Ok(text) = fs::read_to_string(&status) {
            if let Some(pid) = self.holder(&text) {
                bail!("PostgreSQL (pid {pid}) runs on {} already: end it with `kill -INT {pid}`", self.data.display());
            }
            fs::remove_file(&status).with_context(|| format!("cannot remove {}", status.display()))?;
        }
        stack.start(PART, &mut command, Some(profile.log("postgres")))?;
        // The eighth line of this file is how `pg_ctl` knows as well.
        let ready = || {
            fs::read_to_string(&status).is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
        };
        let started = stack.wait_until("PostgreSQL was not ready", Duration::from_secs(60), ready);
        started.with_context(|| match profile.kind {
            Kind::Dev => format!(
                "PostgreSQL does not start on {}. Mend what its last lines name; if nobody needs this data, \
                 `make clean-data` removes it",
                self.data.display()
            ),
            Kind::Test | Kind::Faults => "PostgreSQL does not start on fresh data".to_owned(),
        })
    }

    /// The PostgreSQL that runs on this data folder, by what a `postmaster.pid` says.
    fn holder(&self, status: &str) -> Option<u32> {
        let mut lines = status.lines();
        let (pid, folder) = (lines.next()?.trim().parse().ok()?, lines.next()?);
        process::find(pid)?;
        // The server works in its data folder. Where nobody may look, the folder it was started on has to do.
        let works_here =
            process::works_in(pid, &self.data).unwrap_or_else(|| Path::new(folder.trim_end()) == self.data);
        (process::program(pid).is_some_and(|name| name == "postgres") && works_here).then_some(pid)
    }

    /// Written at every start: ports and paths may have changed.
    fn configure(&self, profile: &Profile, installation: &Installation, tls: &Tls) -> Result<()> {
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "''"));
        let mut settings = format!(
            "listen_addresses = '127.0.0.1'\n\
             port = {}\n\
             # A socket's path has a length limit that a clone's path may break, and nothing here needs one.\n\
             unix_socket_directories = ''\n\
             # As the smallest compute of Neon's has it.\n\
             max_connections = 104\n\
             password_encryption = 'scram-sha-256'\n\
             ssl = on\n\
             ssl_cert_file = {}\n\
             ssl_key_file = {}\n\
             lc_messages = 'C'\n\
             log_line_prefix = '%m [%p] %d '\n\
             log_timezone = 'UTC'\n",
            profile.postgres_port(),
            quoted(&tls.certificate),
            quoted(&tls.key),
        );
        if installation.has_module("pg_stat_statements") {
            settings.push_str("shared_preload_libraries = 'pg_stat_statements'\n");
        }
        settings.push_str(match profile.kind {
            Kind::Dev => "timezone = 'UTC'\n",
            Kind::Test | Kind::Faults => {
                "# Answers are in UTC whatever the server thinks.\n\
                 timezone = 'Asia/Tokyo'\n\
                 # This data does not have to outlive the machine.\n\
                 fsync = off\n\
                 full_page_writes = off\n"
            }
        });
        if profile.kind == Kind::Test {
            settings.push_str("synchronous_commit = off\n");
        }
        let access = "# Nobody gets in without TLS and a password.\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        profile.servant.write(&self.data.join("postgresql.conf"), &settings)?;
        profile.servant.write(&self.data.join("pg_hba.conf"), access)
    }
}

/// Makes the data folder with its roles and its database. Built under another name: a half-made one is never taken
/// for a whole one.
fn create(profile: &Profile, installation: &Installation, home: &Path) -> Result<()> {
    let servant = profile.servant;
    let new = profile.data.join("postgres.new");
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("cannot remove {}", new.display()))?;
    }
    let data = new.join("data");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    servant.own(&data)?;

    let mut initdb = servant.command(&installation.bin.join("initdb"));
    // `--no-sync`: if the machine dies within this second, the next start begins again.
    initdb.args(["--username", SUPERUSER, "--auth=reject", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    initdb.arg("-D").arg(&data).current_dir(&data).env("LC_ALL", "C");
    hide_settings(&mut initdb);
    process::run_quietly(&mut initdb, &profile.log("initdb"))?;

    let password = random_password()?;
    // One command a line. Single-user mode needs no password to set one, and no `psql`.
    let mut script = format!(
        "ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n\
         CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{password}'\n\
         GRANT pg_monitor, pg_signal_backend TO {NAME}\n\
         CREATE DATABASE {NAME} OWNER {NAME}\n"
    );
    if installation.has_module("pg_stat_statements") {
        // In the database `postgres`, from where it shows all of them: the product's own schema stays as it is.
        script.push_str("CREATE EXTENSION pg_stat_statements\n");
        script.push_str(&format!("GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO {NAME}\n"));
    }
    let mut postgres = servant.command(&installation.bin.join("postgres"));
    postgres.arg("--single").arg("-D").arg(&data).arg("postgres").current_dir(&data).env("LC_ALL", "C");
    hide_settings(&mut postgres);
    let mut single = postgres
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("postgres --single")?;
    if let Some(mut stdin) = single.stdin.take() {
        stdin.write_all(script.as_bytes()).context("postgres --single")?;
    }
    let mut said = String::new();
    if let Some(mut stderr) = single.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    // It goes on after an error and ends well, so its words count, not its exit code.
    if !single.wait()?.success() || said.contains("ERROR:") || said.contains("FATAL:") {
        bail!("PostgreSQL could not make its roles: {}", said.trim());
    }

    write_private(&new.join("password"), &password)?;
    fs::rename(&new, home).with_context(|| format!("cannot rename {}", new.display()))
}

/// 192 bits as hexadecimal digits, which need no quoting anywhere.
fn random_password() -> Result<String> {
    let mut bytes = [0; 24];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The user's own settings of PostgreSQL's programs have nothing to say here.
fn hide_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        let major = |version: &str| Installation { bin: PathBuf::new(), version: version.to_owned() }.major();
        assert_eq!((major("15.18"), major("18beta1"), major("17.6")), (15, 18, 17));
    }

    #[test]
    fn passwords_are_long_and_never_the_same() {
        let (one, two) = (random_password().unwrap(), random_password().unwrap());
        assert!(one.len() == 48 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, two);
    }
}
