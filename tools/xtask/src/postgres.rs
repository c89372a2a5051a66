//! PostgreSQL on a data folder of its own.

mod past;

use std::path::{Path, PathBuf};
use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use tokio::io::AsyncWriteExt;

use crate::profile::{Kind, Profile};
use crate::supervisor::{Supervisor, wait_until};
use crate::{process::run_quietly, process_table, server_user::write_private, tls::Tls, tools::Installation};

/// The database, and the role that owns it.
pub(crate) const NAME: &str = "task_api";

/// The functions' role, as `migrate role` names it.
pub(crate) const FUNCTIONS: &str = "task_api_functions";

pub(crate) const SUPERUSER: &str = "postgres";

/// The name of the part.
pub(crate) const PART: &str = "PostgreSQL";

/// What a second server is called, which has gone back to a moment of the first one.
pub(crate) const BRANCH: &str = "branch";

/// A server: its data folder, and the passwords that open it.
pub(crate) struct Postgres {
    part: &'static str,
    pub(crate) port: u16,
    log: PathBuf,
    data: PathBuf,
    /// Those of this server alone.
    settings: String,
    /// The owner's and the superuser's; made together with the data.
    pub(crate) password: String,
    /// That of the functions' role, which `migrate role` creates.
    pub(crate) functions_password: String,
}

impl Postgres {
    /// Opens the data folder, or creates it.
    pub(crate) async fn open(profile: &Profile, installation: &Installation) -> Result<Self> {
        let home = profile.data.join("postgres");
        if !home.exists() {
            create(profile, installation, &home).await?;
        }
        let data = home.join("data");
        let made_by = fs::read_to_string(data.join("PG_VERSION")).context("the data folder has no PG_VERSION")?;
        if made_by.trim() != installation.major().to_string() {
            let (folder, made_by) = (data.display(), made_by.trim());
            let Installation { bin, version } = installation;
            bail!(
                "the data in {folder} was made by PostgreSQL {made_by}, and {} is {version}: set PG_BIN to a folder \
                 with the former, or remove the data with `make clean-data`",
                bin.display()
            );
        }
        // Data of the first release has no password for the functions.
        let functions_file = home.join("functions-password");
        if !functions_file.exists() {
            write_private(&functions_file, &random_password())?;
        }
        let password = fs::read_to_string(home.join("password"))?;
        Ok(Self {
            part: PART,
            port: profile.postgres_port(),
            log: profile.log("postgres"),
            data,
            settings: String::new(),
            password,
            functions_password: fs::read_to_string(functions_file)?,
        })
    }

    /// Starts the server and waits until it takes connections.
    pub(crate) async fn start(
        &self,
        profile: &Profile,
        installation: &Installation,
        tls: &Tls,
        supervisor: &Supervisor,
    ) -> Result<()> {
        self.configure(profile, installation, tls).await?;
        let mut command = profile.server_user.command(&installation.bin.join("postgres"));
        command.arg("-D").arg(&self.data).current_dir(&self.data);
        // PostgreSQL refuses to start while the process named in this file runs, even if that is another program after
        // a reboot or in a copy. And the last run's status must not be taken for that of this one.
        let status = self.data.join("postmaster.pid");
        if let Ok(text) = fs::read_to_string(&status) {
            let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
            if let Some(pid) = pid.filter(|pid| process_table::runs_in(*pid, "postgres", &self.data)) {
                bail!("PostgreSQL (pid {pid}) runs on {} already: end it with `kill -INT {pid}`", self.data.display());
            }
            fs::remove_file(&status)?;
        }
        let hint =
            if profile.kind == Kind::Dev { ": if nobody needs its data, `make clean-data` removes it" } else { "" };
        supervisor.start(self.part, command, Some(self.log.clone()), hint)?;
        // `pg_ctl` reads the eighth line as well.
        let is_ready = async || {
            fs::read_to_string(&status).is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
        };
        wait_until(self.part, Duration::from_secs(60), Some(&self.log), is_ready).await
    }

    /// Written at every start: ports and paths may have changed.
    async fn configure(&self, profile: &Profile, installation: &Installation, tls: &Tls) -> Result<()> {
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "''"));
        let mut settings = format!(
            include_str!("../config/postgresql.conf"),
            port = self.port,
            certificate = quoted(&tls.certificate),
            key = quoted(&tls.key),
        );
        if installation.has_module("pg_stat_statements").await {
            settings.push_str("shared_preload_libraries = 'pg_stat_statements'\n");
        }
        if profile.kind == Kind::Dev {
            settings.push_str("timezone = 'UTC'\n");
        } else {
            settings.push_str(include_str!("../config/postgresql.test.conf"));
        }
        if profile.kind == Kind::Test {
            settings.push_str("synchronous_commit = off\n");
        }
        settings.push_str(&self.settings);
        let access = "# Nobody gets in without TLS and a password.\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        profile.server_user.write(&self.data.join("postgresql.conf"), &settings)?;
        profile.server_user.write(&self.data.join("pg_hba.conf"), access)
    }
}

/// Creates the data folder with its roles and its database, under another name until it is complete.
async fn create(profile: &Profile, installation: &Installation, home: &Path) -> Result<()> {
    let user = profile.server_user;
    let new = profile.data.join("postgres.new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    let data = new.join("data");
    fs::create_dir_all(&data)?;
    user.own(&data)?;

    let mut initdb = user.command(&installation.bin.join("initdb"));
    // `--no-sync`: if the machine dies within this second, the next start begins again.
    initdb.args(["--username", SUPERUSER, "--auth=reject", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    initdb.arg("-D").arg(&data).current_dir(&data).env("LC_ALL", "C");
    run_quietly(&mut initdb, &profile.log("initdb")).await?;

    let password = random_password();
    // One command a line. Single-user mode needs neither a password nor `psql`.
    let mut script =
        format!(include_str!("../config/create.sql"), superuser = SUPERUSER, name = NAME, password = password);
    if installation.has_module("pg_stat_statements").await {
        // In the database `postgres`, where it covers all databases: the product's own schema stays as it is.
        script.push_str("CREATE EXTENSION pg_stat_statements\n");
        script.push_str(&format!("GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO {NAME}\n"));
    }
    let mut postgres = user.command(&installation.bin.join("postgres"));
    postgres.arg("--single").arg("-D").arg(&data).arg("postgres").current_dir(&data).env("LC_ALL", "C");
    postgres.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut single = postgres.spawn().context("cannot start postgres --single")?;
    if let Some(mut stdin) = single.stdin.take() {
        stdin.write_all(script.as_bytes()).await.context("postgres --single")?;
    }
    let output = single.wait_with_output().await?;
    // It goes on after an error and exits with 0: only what it prints tells.
    let printed = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || printed.contains("ERROR:") || printed.contains("FATAL:") {
        bail!("PostgreSQL could not create its roles: {}", printed.trim());
    }

    write_private(&new.join("password"), &password)?;
    Ok(fs::rename(&new, home)?)
}

/// 128 random bits in hexadecimal, which need no quoting anywhere.
fn random_password() -> String {
    format!("{:032x}", rand::random::<u128>())
}
