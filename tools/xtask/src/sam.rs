//! The template: checked, built, and run in containers, with AWS's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::engine::{ARCHITECTURE, HOST};
use crate::functions::{Settings, hide_settings, wait_for_health};
use crate::process::{ask, run};
use crate::profile::{Kind, Profile};
use crate::servant::write_private;
use crate::stack::Stack;
use crate::tls::Tls;
use crate::tools;

/// Checks the template. What a tool finds and is not changed has its reason beside it: in the template's metadata, and
/// in `.checkov.yaml`.
pub(crate) fn lint() -> Result<u8> {
    let sam = tools::sam()?;
    let mut validate = Command::new(sam.join("sam"));
    validate.args(["validate", "--lint"]);
    let mut cfn_lint = Command::new(sam.join("cfn-lint"));
    cfn_lint.arg("template.yaml");
    let mut checkov = Command::new(tools::checkov()?.join("checkov"));
    checkov.args([
        "--file",
        "template.yaml",
        "--framework",
        "cloudformation",
        "--skip-download",
        "--compact",
        "--quiet",
    ]);
    for mut check in [validate, cfn_lint, checkov] {
        if !run(offline(&mut check).current_dir(cli::checkout()?))?.success() {
            return Ok(1);
        }
    }
    Ok(0)
}

/// Builds every function for this machine's processor, apart from what is deployed.
pub(crate) fn build(profile: &Profile) -> Result<()> {
    // Only where the linker is Linux's own can it do without zig.
    let linux = cfg!(target_os = "linux");
    let cargo_lambda = if linux { tools::cargo_lambda()? } else { tools::cargo_lambda_with_zig()? };
    let mut build = Command::new(tools::sam()?.join("sam"));
    hide_settings(&mut build);
    build.args(["build", "--parameter-overrides", &parameters(), "--build-dir"]).arg(build_folder(profile));
    if linux {
        build.env("CARGO_LAMBDA_COMPILER", "cargo");
    }
    let status = run(offline(&mut build).env("PATH", cargo_lambda.path()?).current_dir(&profile.root))?;
    if !status.success() {
        bail!("`sam build` failed; its words are above");
    }
    Ok(())
}

/// Starts `sam local start-api` on what was built, and waits until it answers.
pub(crate) fn start(profile: &Profile, settings: &Settings, tls: &Tls, stack: &mut Stack) -> Result<()> {
    let folder = build_folder(profile);
    // Of this machine a container sees nothing but its function's folder.
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?.path();
        if entry.is_dir() {
            fs::copy(&tls.ca, entry.join(CA)).with_context(|| format!("cannot write into {}", entry.display()))?;
        }
    }
    let variables = profile.home.join("sam.json");
    write_private(&variables, &variables_for_containers(settings))?;

    let mut sam = Command::new(tools::sam()?.join("sam"));
    hide_settings(&mut sam);
    sam.args(["local", "start-api", "--host", "127.0.0.1", "--port", &profile.port.to_string()])
        .args(["--parameter-overrides", &parameters(), "--add-host", &format!("{HOST}:host-gateway")])
        .args(["--skip-pull-image", "--warm-containers", "EAGER", "--template"])
        .arg(folder.join("template.yaml"))
        .arg("--env-vars")
        .arg(variables)
        .current_dir(&profile.root);
    let log = match profile.kind {
        Kind::Dev => None,
        Kind::Test | Kind::Faults => {
            sam.arg("--no-watch");
            Some(profile.log("functions"))
        }
    };
    stack.start("sam local", offline(&mut sam), log)?;
    wait_for_health(profile, stack, Duration::from_secs(120))
}

/// Removes the containers of what was built: SAM forgets one now and then, and a killed run leaves all of them.
pub(crate) fn remove_containers(profile: &Profile) {
    let functions = fs::read_dir(build_folder(profile)).into_iter().flatten().flatten();
    let filters: Vec<_> = functions.map(|it| format!("--filter=volume={}", it.path().display())).collect();
    if filters.is_empty() {
        // Without a filter these would be all the containers there are.
        return;
    }
    let left = ask(Command::new("docker").args(["ps", "--all", "--quiet"]).args(filters)).unwrap_or_default();
    if !left.is_empty() {
        // An engine that is gone has taken them along.
        let _ = ask(Command::new("docker").args(["rm", "--force"]).args(left.lines()));
    }
}

/// The modules of tests that speak to nothing but the API, and the one about what was built.
pub(crate) const MAIN_CASES: [&str; 8] =
    ["access::", "bodies::", "deployed::", "paging::", "readme::", "tasks::", "tokens::", "users::"];

/// The certificate's file in a function's folder.
const CA: &str = "local-ca.pem";

/// Where [`build`] builds.
pub(crate) fn build_folder(profile: &Profile) -> PathBuf {
    profile.home.join("sam")
}

/// AWS's emulator of the Lambda runtime interface, which SAM brings along.
pub(crate) fn emulator() -> Result<PathBuf> {
    let libraries = tools::sam()?.with_file_name("lib");
    let pythons = fs::read_dir(&libraries).with_context(|| format!("cannot read {}", libraries.display()))?;
    let name = format!("site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}");
    let found = pythons.flatten().map(|python| python.path().join(&name)).find(|program| program.is_file());
    found.with_context(|| format!("there is no {name} in {}", libraries.display()))
}

/// The template's parameters. `sam local` puts several origins into one header: one is all it can do.
fn parameters() -> String {
    format!("Stage=dev Architecture={ARCHITECTURE} AllowedOrigins=http://localhost:3000")
}

/// The settings as containers need them, for those functions whose environment declares them.
fn variables_for_containers(settings: &Settings) -> String {
    let mut variables = settings.clone();
    variables.insert("DATABASE_CA_FILE".to_owned(), Path::new("/var/task").join(CA).display().to_string());
    if let Some(url) = variables.get_mut("DATABASE_URL") {
        *url = url.replace("@localhost:", &format!("@{HOST}:"));
    }
    json!({ "Parameters": variables }).to_string()
}

/// Neither reports of how they are used, nor questions to an account that nobody has here.
fn offline(command: &mut Command) -> &mut Command {
    command.env("SAM_CLI_TELEMETRY", "0").env("AWS_EC2_METADATA_DISABLED", "true")
}
