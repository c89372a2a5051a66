//! The local stack: PostgreSQL behind PgBouncer, both speaking TLS, and the functions, as in the cloud. Everything
//! listens on 127.0.0.1 and keeps its files below `.local/`.

use std::{net::Ipv4Addr, path::PathBuf, process::ExitStatus};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::cargo::{self, Programs, hide_settings};
use crate::profile::{Kind, Profile};
use crate::progress::{step, verbose_step};
use crate::settings::{Settings, settings};
use crate::tools::{Tools, path_with};
use crate::{containers, functions, pgbouncer, postgres, process, sam};
use crate::{postgres::Postgres, supervisor::Supervisor, tls::Tls};

/// A running database, and what was needed to start it.
pub(crate) struct Stack<'a> {
    profile: &'a Profile,
    supervisor: &'a Supervisor,
    pub(crate) tools: Tools,
    /// The folder of the workspace's own programs.
    programs: PathBuf,
    postgres: Postgres,
    branch: Option<Postgres>,
    tls: Tls,
    settings: Settings,
}

impl<'a> Stack<'a> {
    /// Starts the database and its pooler, builds, and migrates.
    pub(crate) async fn start(profile: &'a Profile, supervisor: &'a Supervisor) -> Result<Self> {
        Self::start_reachable(profile, supervisor, None, Programs::All).await
    }

    /// The same, without the functions.
    pub(crate) async fn start_database(profile: &'a Profile, supervisor: &'a Supervisor) -> Result<Self> {
        Self::start_reachable(profile, supervisor, None, Programs::WithoutFunctions).await
    }

    /// Builds, and starts the database where containers can reach it, and the functions in containers.
    pub(crate) async fn start_in_containers(profile: &'a Profile, supervisor: &'a Supervisor) -> Result<Self> {
        containers::require_engine().await?;
        verbose_step("sam build", sam::build(profile)).await?;
        supervisor.remove_containers_of(sam::build_folder(profile)).await;
        let address = step("Docker", containers::address_for_containers()).await?;
        let stack = Self::start_reachable(profile, supervisor, address, Programs::All).await?;
        let start = sam::start(profile, &stack.settings, &stack.tls, supervisor);
        step(&format!("sam local on 127.0.0.1:{}", profile.port), start).await?;
        Ok(stack)
    }

    async fn start_reachable(
        profile: &'a Profile,
        supervisor: &'a Supervisor,
        for_containers: Option<Ipv4Addr>,
        programs: Programs,
    ) -> Result<Self> {
        println!("{} stack in {}", profile.kind.name(), profile.home.display());
        if profile.data != profile.home {
            println!("  other users cannot enter this folder, so the servers' files are in {}", profile.data.display());
        }
        supervisor.claim(profile).await?;
        if profile.kind != Kind::Dev {
            profile.clean()?;
        }
        profile.check_ports()?;

        let tools = verbose_step("tools", Tools::ready()).await?;
        let start = async {
            let tls = Tls::in_folder(&profile.data.join("tls"), profile.server_user)?;
            let postgres = Postgres::open(profile, &tools.postgres).await?;
            postgres.start(profile, &tools.postgres, &tls, supervisor).await?;
            Ok((postgres, tls))
        };
        let name = format!("PostgreSQL {} on 127.0.0.1:{}", tools.postgres.version, profile.postgres_port());
        let (postgres, tls) = step(&name, start).await?;
        match &tools.pgbouncer {
            Some(program) => {
                let start = pgbouncer::start(program, &postgres, for_containers, profile, &tls, supervisor);
                step(&format!("PgBouncer on 127.0.0.1:{}", profile.pooler_port()), start).await?;
            }
            None if for_containers.is_some() => {
                bail!("PgBouncer is missing, and containers can reach the database only through it")
            }
            None => println!(
                "  no PgBouncer: DATABASE_URL is PostgreSQL itself, and what only fails behind a pooler goes unnoticed"
            ),
        }
        let programs = verbose_step("build", cargo::build(profile, programs)).await?;
        let settings = settings(profile, &postgres, tools.pgbouncer.is_some(), &tls)?;
        let migrate = functions::migrate(profile, &programs, &settings, &postgres);
        step("migrations and the functions' role", migrate).await?;
        Ok(Self { profile, supervisor, tools, programs, postgres, branch: None, tls, settings })
    }

    /// Starts the functions under `cargo lambda watch`, behind the gateway.
    pub(crate) async fn start_functions(&self) -> Result<()> {
        let start = functions::start(self.profile, &self.programs, &self.tools.cargo_lambda, self.supervisor);
        step(&format!("functions on 127.0.0.1:{}", self.profile.port), start).await
    }

    pub(crate) async fn start_postgres(&self) -> Result<()> {
        self.start_server(&self.postgres).await
    }

    async fn start_server(&self, postgres: &Postgres) -> Result<()> {
        postgres.start(self.profile, &self.tools.postgres, &self.tls, self.supervisor).await
    }

    /// Starts the database again, with its past kept from now on.
    pub(crate) async fn keep_past(&mut self) -> Result<()> {
        self.supervisor.stop(postgres::PART).await?;
        self.postgres.keep_past(self.profile).await?;
        self.start_postgres().await
    }

    /// Starts a second server with the data of a moment that has been kept. Returns its port.
    pub(crate) async fn start_branch(&mut self, moment: &str) -> Result<u16> {
        let branch = self.postgres.branch(moment, self.profile).await?;
        self.start_server(&branch).await?;
        Ok(self.branch.insert(branch).port)
    }

    /// Stops the database, and puts the branch in its place. The pooler learns it at its next start.
    pub(crate) async fn switch_to_branch(&mut self) -> Result<()> {
        self.postgres = self.branch.take().context("there is no branch")?;
        self.supervisor.stop(postgres::PART).await
    }

    pub(crate) async fn start_pgbouncer(&self) -> Result<()> {
        let Some(program) = &self.tools.pgbouncer else { bail!("PgBouncer is missing") };
        pgbouncer::start(program, &self.postgres, None, self.profile, &self.tls, self.supervisor).await
    }

    /// Runs a command with the stack's settings and addresses in its environment.
    pub(crate) async fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        let Self { profile, tools, programs, settings, .. } = self;
        hide_settings(command);
        command
            .envs(settings)
            .env("API_URL", format!("http://127.0.0.1:{}", profile.port))
            .env("LAMBDA_URL", format!("http://127.0.0.1:{}", profile.lambda_port()))
            .env("API_LOG", profile.log("functions"))
            .env("LOCAL_ENV_FILE", profile.env_file())
            .env("CARGO_LAMBDA", &tools.cargo_lambda)
            .env("PG_BIN", &tools.postgres.bin)
            .env("PROGRAMS", programs)
            .env("PATH", path_with(&[&tools.cargo_lambda])?);
        println!();
        process::run(command).await
    }
}
