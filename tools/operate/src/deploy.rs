//! A release in seven steps. A step that fails stops the rest. Every step can be repeated, so the next run continues where
//! the last one failed.

use std::{
    io::{self, Write},
    path::{self, Path},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use gateway::template::Template;
use migrate::{Contract, Database, Migrations, Patience, own_release};
use semver::Version;

use crate::{
    database::connect_as_owner,
    deployments::{Deployment, Deployments},
    packages,
    programs::{output, sam},
    prompt::confirm,
    released::Released,
    secrets, smoke,
    stack::Stack,
    stage::{SAMCONFIG, Stage, StageConfig},
    store::{Settings, Store},
};

/// The template's parameter with which CodeDeploy deploys although an alarm rings, and to all requests at once.
const IGNORE_ALARMS: &str = "IgnoreAlarms";

/// Makes a change set and prints it as a table.
const LOOK: &str = "--no-execute-changeset";

/// Recorded nothing.
const FIRST_RELEASE: Version = Version::new(0, 1, 0);

/// For the migration of another release, and for locks.
const PATIENCE: Patience = Patience { lock_timeout: Duration::from_secs(600), retry_time: Duration::from_secs(300) };

pub(crate) struct Options {
    /// Stop before anything is changed.
    pub(crate) dry_run: bool,
    /// Do not ask, even if `samconfig.toml` says so.
    pub(crate) yes: bool,
    /// Deploy although an alarm rings.
    pub(crate) ignore_alarms: bool,
    /// Which contracting migrations follow, once the release is live.
    pub(crate) contract: Contract,
}

/// Deploys the commit that is checked out.
pub(crate) async fn run(stage: &Stage, options: Options) -> anyhow::Result<()> {
    let config = stage.config()?;
    let parameters = config.parameter_arguments((IGNORE_ALARMS, if options.ignore_alarms { "true" } else { "false" }));

    announce(1, "checks")?;
    let Checked { commit, store, stack } = checks(stage, &config).await?;
    let exists = stack.exists().await?;
    let functions = Template::read(Path::new("template.yaml"))?.functions().len();
    let reserved = config.reserved_concurrency()?.saturating_mul(functions.try_into()?);
    if reserved > 0 {
        stack.ensure_can_reserve(reserved).await?;
    }
    let settings = secrets::check(&store).await?;
    println!("  the secrets of {stage} are stored and valid, and the functions' role has its limits");

    announce(2, "build")?;
    let mut deployments = Deployments::read(&store).await?;
    packages::build(stage, &config, &parameters, &settings, deployments.rollbacks)?;

    announce(3, "changes")?;
    let migrations = Migrations::read(Path::new("migrations"))?;
    let database = connect_as_owner(&settings).await?;
    let listed = if options.dry_run { options.contract } else { Contract::Nothing };
    migrations.dry_run(&database, listed, &mut io::stdout()).await?;
    let asks = config.confirm && !options.yes && !options.dry_run;
    if asks {
        sam_deploy(stage, &parameters, &[LOOK])?;
    }
    if options.dry_run {
        // What a deployment uploads must not come from one who may only look.
        sam_deploy(stage, &parameters, &[LOOK, "--s3-prefix", &format!("{}-preview", config.stack)])?;
        println!("\nNothing was changed. Without DRY_RUN the migrations are applied, and {stage} is deployed.");
        return Ok(());
    }
    ensure!(!asks || confirm(&format!("Apply the migrations, and deploy {stage}?"))?, "nothing was changed");

    announce(4, "migrations")?;
    // The connections would have been idle for minutes.
    let mut database = connect_as_owner(&settings).await?;
    migrations.up(&mut database, Contract::Nothing, PATIENCE, &mut io::stdout()).await?;

    announce(5, "deploy")?;
    if exists {
        add_unrecorded(&mut deployments, &stack, &database).await?;
    }
    sam_deploy(stage, &parameters, &["--no-confirm-changeset"]).context(
        "if the events above say that an alarm is active: ALARMS=ignore deploys all the same (docs/operations.md)",
    )?;
    stack.protect(true).await?;
    // Every function that runs now is of this release, and has read these settings.
    let (mut database, release) = (connect_as_owner(&settings).await?, own_release()?);
    database.record_release(&release).await?;
    Released::record(&store, &settings).await?;
    deployments.add(Deployment::new(&commit, release, &settings, stack.live().await?));
    deployments.write(&store).await?;

    announce(6, "smoke test")?;
    let url = stack.url().await?;
    println!("  {url}");
    smoke::run(&url, config.allowed_origin().as_deref())
        .await
        .with_context(|| format!("{stage} is deployed but does not pass; to go back, `make rollback STAGE={stage}`"))?;

    announce(7, "contracting migrations")?;
    migrations.up(&mut database, options.contract, PATIENCE, &mut io::stdout()).await?;
    println!("\n{stage} is released: {url}");
    Ok(())
}

fn announce(number: u8, step: &str) -> io::Result<()> {
    println!("{number}/7 {step}");
    // Before the output of the programs that the step runs.
    io::stdout().flush()
}

struct Checked {
    commit: String,
    store: Store,
    stack: Stack,
}

/// Checks what a release needs: programs, a clean checkout and AWS credentials.
async fn checks(stage: &Stage, config: &StageConfig) -> anyhow::Result<Checked> {
    let aws = config.aws().await?;
    for (program, arguments, hint) in [
        ("git", &["--version"][..], "install it with your system's packages"),
        ("sam", &["--version"], "install it with `pip install aws-sam-cli`"),
        ("cargo-lambda", &["lambda", "--version"], "install it with `pip install cargo-lambda`"),
    ] {
        let version = output(Command::new(program).args(arguments));
        version.with_context(|| format!("a release needs {program}: {hint}"))?;
    }
    let changes = output(Command::new("git").args(["status", "--porcelain"]))?;
    if let Some(first) = changes.lines().next() {
        let count = changes.lines().count();
        bail!("{count} changed or new files are not committed, such as {}: a release is a commit", first.trim());
    }
    let log = output(Command::new("git").args(["log", "-1", "--format=%h %s"]))?;
    println!("  commit {}", log.trim());
    let commit = log.split_ascii_whitespace().next().unwrap_or_default().to_owned();

    let identity = aws_sdk_sts::Client::new(&aws).get_caller_identity().send().await;
    let identity = identity.context("cannot verify the AWS credentials")?;
    let (store, stack) = (Store::new(stage, &aws), Stack::new(stage, config, &aws));
    println!("  account {}, region {}", identity.account().unwrap_or("unknown"), store.region);
    Ok(Checked { commit, store, stack })
}

/// Deploys what was built. After a no to its question, `sam` would report a success. By itself it would look for its
/// configuration beside the built template.
fn sam_deploy(stage: &Stage, parameters: &[String], options: &[&str]) -> anyhow::Result<()> {
    let (stage, config) = (stage.to_string(), path::absolute(SAMCONFIG)?.display().to_string());
    let deploy = ["deploy", "--config-file", &config, "--config-env", &stage, "--template-file", packages::TEMPLATE];
    let deploy = [&deploy[..], options, &["--no-fail-on-empty-changeset"]].concat();
    sam([deploy.into_iter().map(str::to_owned).collect(), parameters.to_vec()].concat())
}

/// What is live and was not deployed by this program since it records deployments.
async fn add_unrecorded(deployments: &mut Deployments, stack: &Stack, database: &Database) -> anyhow::Result<()> {
    let live = stack.live().await?;
    if !deployments.knows(&live) {
        let release = database.live_release().await?.unwrap_or(FIRST_RELEASE);
        deployments.add(Deployment::new("", release, &Settings::new(), live));
    }
    Ok(())
}
