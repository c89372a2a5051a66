//! The functions built and run in containers by AWS's own tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::json;
use tokio::process::Command;

use crate::containers::{ARCHITECTURE, HOST};
use crate::profile::{Kind, Profile};
use crate::{
    cargo::hide_settings, functions::wait_for_health, process::run_checked, release::functions,
    server_user::write_private, settings::Settings, supervisor::Supervisor, tls::Tls, tools,
};

/// The modules of tests that speak to nothing but the API, and the one about what was built.
pub(crate) const MAIN_CASES: [&str; 8] =
    ["access::", "bodies::", "deployed::", "paging::", "readme::", "tasks::", "tokens::", "users::"];

/// The certificate's file in a function's folder.
const CA: &str = "local-ca.pem";

/// Builds every function for this machine's processor, apart from what is deployed.
pub(crate) async fn build(profile: &Profile) -> Result<()> {
    // On Linux the system's linker does; elsewhere zig is needed.
    let linux = cfg!(target_os = "linux");
    let cargo_lambda = if linux { tools::cargo_lambda().await? } else { tools::cargo_lambda_with_zig().await? };
    // All at once: `sam build` builds one after the other.
    let mut compile = Command::new(&cargo_lambda);
    compile.args(["lambda", "build", "--release"]);
    if ARCHITECTURE == "arm64" {
        compile.arg("--arm64");
    }
    compile.args(functions(&profile.root)?.iter().flat_map(|function| ["--bin", function]));
    let mut build = Command::new(tools::program("sam").await?);
    build.args(["build", "--parameter-overrides", &parameters(), "--build-dir"]).arg(build_folder(profile));
    for step in [&mut compile, offline(&mut build)] {
        hide_settings(step);
        if linux {
            step.env("CARGO_LAMBDA_COMPILER", "cargo");
        }
        run_checked(step.env("PATH", tools::path_with(&[&cargo_lambda])?).current_dir(&profile.root)).await?;
    }
    Ok(())
}

/// Starts `sam local start-api` on what was built, and waits until it answers.
pub(crate) async fn start(profile: &Profile, settings: &Settings, tls: &Tls, supervisor: &Supervisor) -> Result<()> {
    let folder = build_folder(profile);
    // A container sees nothing of this machine but its function's folder.
    for entry in fs::read_dir(&folder)? {
        let entry = entry?.path();
        if entry.is_dir() {
            fs::copy(&tls.certificate, entry.join(CA))?;
        }
    }
    let variables = profile.home.join("sam.json");
    write_private(&variables, &variables_for_containers(settings))?;

    let mut sam = Command::new(tools::program("sam").await?);
    hide_settings(&mut sam);
    sam.args(["local", "start-api", "--host", "127.0.0.1", "--port", &profile.port.to_string()])
        .args(["--parameter-overrides", &parameters(), "--add-host", &format!("{HOST}:host-gateway")])
        .args(["--skip-pull-image", "--warm-containers", "EAGER", "--template"])
        .arg(folder.join("template.yaml"))
        .arg("--env-vars")
        .arg(variables)
        .current_dir(&profile.root);
    let log = (profile.kind != Kind::Dev).then(|| profile.log("functions"));
    offline(&mut sam).args(log.as_ref().map(|_| "--no-watch"));
    supervisor.start("sam local", sam, log.clone(), "")?;
    wait_for_health(profile, log.as_deref(), Duration::from_secs(120)).await
}

/// Where [`build`] builds.
pub(crate) fn build_folder(profile: &Profile) -> PathBuf {
    profile.home.join("sam")
}

/// AWS's emulator of the Lambda runtime interface, which is part of SAM.
pub(crate) async fn emulator() -> Result<PathBuf> {
    let sam = tools::program("sam").await?;
    let libraries = sam.ancestors().nth(2).context("no environment")?.join("lib");
    let pythons = fs::read_dir(&libraries)?;
    let name = format!("site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}");
    let found = pythons.flatten().map(|python| python.path().join(&name)).find(|program| program.is_file());
    found.with_context(|| format!("there is no {name} in {}", libraries.display()))
}

/// The template's parameters. A single origin: `sam local` puts several into one header.
fn parameters() -> String {
    format!("Stage=dev Architecture={ARCHITECTURE} AllowedOrigins=http://localhost:3000")
}

/// The settings as containers need them, for those functions whose environment declares them.
fn variables_for_containers(settings: &Settings) -> String {
    let mut variables = settings.clone();
    // Not every system has the file that the template names.
    for name in ["DATABASE_CA_FILE", "CA_FILE"] {
        variables.insert(name.to_owned(), Path::new("/var/task").join(CA).display().to_string());
    }
    variables.insert("MAIL_FOLDER".to_owned(), "/tmp/mails".to_owned());
    if let Some(url) = variables.get_mut("DATABASE_URL") {
        *url = url.replace("@localhost:", &format!("@{HOST}:"));
    }
    json!({ "Parameters": variables }).to_string()
}

/// Without reports of usage, and without looking for an AWS account.
pub(crate) fn offline(command: &mut Command) -> &mut Command {
    command.env("SAM_CLI_TELEMETRY", "0").env("AWS_EC2_METADATA_DISABLED", "true")
}
