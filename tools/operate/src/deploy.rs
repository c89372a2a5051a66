//! A release: five steps, each of which stops the next. All of them can be repeated, so a run after one that failed
//! finds done what was done, and goes on from there.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use migrate::{Database, Endpoint, Migrations};
use serde::Deserialize;

use crate::{
    secrets::{self, CONNECT_PATIENCE, Released},
    smoke,
    stage::{Setting, Stage, StageConfig, Store, Stored},
};

/// Where a release is built, whatever `samconfig.toml` says: what is deployed is what was marked.
const BUILD: &str = ".aws-sam/build";

/// The stack's output that says where the API is.
const URL_OUTPUT: &str = "Url";

/// How long another release's migration may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(600);

/// Deploys what is checked out. With `dry_run` it stops before anything is changed.
pub(crate) async fn run(stage: &Stage, dry_run: bool) -> anyhow::Result<()> {
    announce(1, "checks")?;
    let store = checks(stage).await?;
    let settings = secrets::checked(&store).await?;
    println!("  every secret of {stage} is stored and can be read, and the functions' role has its limits");

    announce(2, "migrations")?;
    migrate(&settings, dry_run).await?;
    if dry_run {
        println!("\nNothing was changed. Without DRY_RUN the migrations are applied, and {stage} is deployed.");
        return Ok(());
    }

    announce(3, "build")?;
    sam(&["build", "--config-env", &stage.to_string(), "--build-dir", BUILD])?;
    mark_packages(Path::new(BUILD), &settings)?;

    announce(4, "deploy")?;
    // A question here could leave a release half done, and sam takes a no for a success.
    let unasked = ["--no-confirm-changeset", "--no-fail-on-empty-changeset"];
    let built = format!("{BUILD}/template.yaml");
    sam(&[&["deploy", "--config-env", &stage.to_string(), "--template-file", &built], &unasked[..]].concat())?;
    // From here on no function runs that has not read these.
    Released::record(&store, &settings).await?;

    announce(5, "smoke test")?;
    let config = stage.config()?;
    let url = url(&config)?;
    println!("  {url}");
    smoke::run(&url, config.allowed_origin().as_deref()).await.with_context(|| {
        format!("{stage} is deployed, and does not work as it should; to go back, deploy the release before it")
    })?;
    println!("\n{stage} is released: {url}");
    Ok(())
}

fn announce(number: u8, step: &str) -> io::Result<()> {
    println!("{number}/5 {step}");
    // What the programs called next print shall come after it.
    io::stdout().flush()
}

/// All that has to be there, before anything is touched.
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
        bail!("{count} changed or new files are not committed, {} first: a release is a commit", first.trim());
    }
    let commit = output(Command::new("git").args(["log", "-1", "--format=%h %s"]))?;
    println!("  commit {}", commit.trim());

    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
    let identity = identity.context("AWS does not take the credentials")?;
    let store = Store::new(stage, &config);
    println!("  account {}, region {}", identity.account().unwrap_or("unknown"), store.region);
    Ok(store)
}

/// Lists what will be applied, and applies it.
async fn migrate(settings: &BTreeMap<Setting, Stored>, dry_run: bool) -> anyhow::Result<()> {
    let Stored { value: url, .. } = settings.get(&Setting::DatabaseUrlUnpooled).context("no direct address")?;
    let migrations = Migrations::read(Path::new("migrations"))?;
    let ca_file = secrets::ca_file();
    let endpoint = Endpoint::new(url, ca_file.as_deref())?;
    let mut database = Database::connect(&endpoint, CONNECT_PATIENCE).await?;
    migrations.dry_run(&mut database, &mut io::stdout()).await?;
    if !dry_run {
        migrations.up(&mut database, LOCK_PATIENCE, &mut io::stdout()).await?;
    }
    Ok(())
}

/// Puts the versions of the settings into each function's package. A setting that has changed so changes every
/// package, and the deployment replaces every function, although its code is the same: they read the settings only
/// when they start.
fn mark_packages(build: &Path, settings: &BTreeMap<Setting, Stored>) -> anyhow::Result<()> {
    let versions: BTreeMap<_, _> = Setting::OF_FUNCTIONS
        .into_iter()
        .filter_map(|setting| Some((setting.name(), settings.get(&setting)?.version)))
        .collect();
    let text = serde_json::to_string(&versions)?;
    let mut marked = 0;
    for entry in fs::read_dir(build).with_context(|| format!("`sam build` left nothing in {}", build.display()))? {
        let package = entry?.path();
        if package.join("bootstrap").is_file() {
            fs::write(package.join("settings.json"), &text)
                .with_context(|| format!("cannot write into {}", package.display()))?;
            marked += 1;
        }
    }
    ensure!(marked > 0, "`sam build` left no function in {}", build.display());
    println!("  {marked} functions built");
    Ok(())
}

/// Where the stack says that the API is.
fn url(config: &StageConfig) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        output_key: String,
        output_value: String,
    }
    let mut sam = Command::new("sam");
    let said = output(sam.args(["list", "stack-outputs", "--output", "json"]).args(config.stack_arguments()))?;
    let outputs: Vec<Output> = serde_json::from_str(&said).context("the stack's outputs cannot be read")?;
    let url = outputs.into_iter().find(|output| output.output_key == URL_OUTPUT);
    Ok(url.with_context(|| format!("the stack has no output {URL_OUTPUT}"))?.output_value)
}

/// Runs `sam`, whose words go to the terminal.
fn sam(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("sam").args(arguments).status().context("sam does not run")?;
    ensure!(status.success(), "`sam {}` failed: its words are above", arguments.join(" "));
    Ok(())
}

/// What a program prints.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
