//! A release in six steps. A step that fails stops the rest. Every step can be repeated, so the next run continues where
//! the last one failed.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use migrate::{Contract, Database, Endpoint, Migrations, Patience};
use serde_json::Value;

use crate::{
    database::{CONNECT_TIMEOUT, ca_file},
    released::Released,
    secrets,
    setting::Setting,
    smoke,
    stage::{Stage, StageConfig},
    store::{Settings, Store, Stored},
};

/// Given to `sam` explicitly: `samconfig.toml` could name another folder than the one that is stamped and deployed.
const BUILD: &str = ".aws-sam/build";

/// The output of the stack with the API's URL.
const URL_OUTPUT: &str = "Url";

/// For the migration of another release, and for locks.
const PATIENCE: Patience = Patience { lock_timeout: Duration::from_secs(600), retry_time: Duration::from_secs(300) };

/// Deploys the commit that is checked out. With `dry_run` it stops before it changes anything. `contract` says which
/// contracting migrations follow, once the release is live.
pub(crate) async fn run(stage: &Stage, dry_run: bool, contract: Contract) -> anyhow::Result<()> {
    announce(1, "checks")?;
    let store = checks(stage).await?;
    let settings = secrets::check(&store).await?;
    println!("  the secrets of {stage} are stored and valid, and the functions' role has its limits");

    announce(2, "migrations")?;
    let migrations = Migrations::read(Path::new("migrations"))?;
    let mut database = connect(&settings).await?;
    let listed = if dry_run { contract } else { Contract::Nothing };
    migrations.dry_run(&database, listed, &mut io::stdout()).await?;
    if dry_run {
        println!("\nNothing was changed. Without DRY_RUN the migrations are applied, and {stage} is deployed.");
        return Ok(());
    }
    migrations.up(&mut database, Contract::Nothing, PATIENCE, &mut io::stdout()).await?;

    announce(3, "build")?;
    sam(&["build", "--config-env", &stage.to_string(), "--build-dir", BUILD])?;
    stamp_packages(Path::new(BUILD), &settings)?;

    announce(4, "deploy")?;
    let (config_env, template) = (stage.to_string(), format!("{BUILD}/template.yaml"));
    // Without a confirmation: after a no, the migrations would be applied all the same, and sam would report a success.
    let options = ["--no-confirm-changeset", "--no-fail-on-empty-changeset"];
    sam(&[&["deploy", "--config-env", &config_env, "--template-file", &template], &options[..]].concat())?;
    // Every function that runs now is of this release, and has read these settings. The connection would have been idle
    // for minutes.
    let mut database = connect(&settings).await?;
    database.record_release().await?;
    Released::record(&store, &settings).await?;

    announce(5, "smoke test")?;
    let config = stage.config()?;
    let url = api_url(&config)?;
    println!("  {url}");
    smoke::run(&url, config.allowed_origin().as_deref())
        .await
        .with_context(|| format!("{stage} is deployed but does not pass; to roll back, deploy the previous release"))?;

    announce(6, "contracting migrations")?;
    migrations.up(&mut database, contract, PATIENCE, &mut io::stdout()).await?;
    println!("\n{stage} is released: {url}");
    Ok(())
}

fn announce(number: u8, step: &str) -> io::Result<()> {
    println!("{number}/6 {step}");
    // Before the output of the programs that the step runs.
    io::stdout().flush()
}

/// Checks what a release needs: programs, a clean checkout and AWS credentials.
async fn checks(stage: &Stage) -> anyhow::Result<Store> {
    let config = stage.config()?.aws().await?;
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
    let commit = output(Command::new("git").args(["log", "-1", "--format=%h %s"]))?;
    println!("  commit {}", commit.trim());

    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
    let identity = identity.context("cannot verify the AWS credentials")?;
    let store = Store::new(stage, &config);
    println!("  account {}, region {}", identity.account().unwrap_or("unknown"), store.region);
    Ok(store)
}

/// Connects to the direct endpoint, as the owner.
async fn connect(settings: &Settings) -> anyhow::Result<Database> {
    let Stored { value: url, .. } = settings.get(&Setting::DatabaseUrlUnpooled).context("no direct address")?;
    Database::connect(&Endpoint::new(url, ca_file().as_deref())?, CONNECT_TIMEOUT).await
}

/// Writes the versions of the settings into each function's package. So a changed setting changes every package, and
/// the deployment restarts every function: they read settings only at start-up.
fn stamp_packages(build: &Path, settings: &Settings) -> anyhow::Result<()> {
    let versions: BTreeMap<_, _> = Setting::OF_FUNCTIONS
        .into_iter()
        .filter_map(|setting| Some((setting.name(), settings.get(&setting)?.version)))
        .collect();
    let text = serde_json::to_string(&versions)?;
    let mut stamped = 0;
    for entry in fs::read_dir(build)
        .with_context(|| format!("cannot read {}, where `sam build` should have written", build.display()))?
    {
        let package = entry?.path();
        if package.join("bootstrap").is_file() {
            fs::write(package.join("settings.json"), &text)
                .with_context(|| format!("cannot write to {}", package.display()))?;
            stamped += 1;
        }
    }
    ensure!(stamped > 0, "`sam build` wrote no function to {}", build.display());
    println!("  {stamped} functions built");
    Ok(())
}

/// The API's URL, from the stack's outputs.
fn api_url(config: &StageConfig) -> anyhow::Result<String> {
    let mut sam = Command::new("sam");
    let json = output(sam.args(["list", "stack-outputs", "--output", "json"]).args(config.stack_arguments()))?;
    let outputs: Vec<Value> = serde_json::from_str(&json).context("cannot read the stack's outputs")?;
    let url = outputs.iter().find(|output| output["OutputKey"] == URL_OUTPUT);
    let url = url.and_then(|output| output["OutputValue"].as_str());
    Ok(url.with_context(|| format!("the stack has no output {URL_OUTPUT}"))?.to_owned())
}

/// Runs `sam` with its output on the terminal.
fn sam(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("sam").args(arguments).status().context("cannot run sam")?;
    ensure!(status.success(), "`sam {}` failed: see its output above", arguments.join(" "));
    Ok(())
}

/// The standard output of a program.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
