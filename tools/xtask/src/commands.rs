//! What the commands that need a stack do with it.

use std::{ffi::OsString, future::pending};

use anyhow::Result;
use tokio::process::Command;

use crate::{cargo, profile::Profile, stack::Stack, supervisor::Supervisor};
use crate::{containers, process, sam, tools};

/// Runs the whole API until Ctrl-C.
pub(crate) async fn dev(profile: &Profile, supervisor: &Supervisor) -> Result<u8> {
    let stack = Stack::start(profile, supervisor).await?;
    stack.start_functions().await?;
    let api = format!("http://127.0.0.1:{}", profile.port);
    println!(
        "\n  The API is on {api}, with a page to use it at {api}/. Changed code is picked up; Ctrl-C stops everything.\n\
         \n  Mails are files in {}.\n\
         \n  Next, in another terminal:\n\
         \n    curl -i {api}/health\
         \n    curl -i {api}/users/signup -H 'Content-Type: application/json' \\\
         \n      -d '{{\"email\": \"ada@example.com\", \"password\": \"correct horse battery\"}}'\n",
        profile.mails().display()
    );
    pending().await
}

/// Runs all but the functions until Ctrl-C.
pub(crate) async fn db(profile: &Profile, supervisor: &Supervisor) -> Result<u8> {
    let stack = Stack::start_database(profile, supervisor).await?;
    println!(
        "\n  The database is ready. Ctrl-C stops it.\n\
         \n  Next, in another terminal, in {}:\n\
         \n    PATH=\"{}:$PATH\" cargo lambda watch --quiet {} -A 127.0.0.1 -P {} --env-file {}\n",
        profile.root.display(),
        stack.tools.cargo_lambda.parent().unwrap_or(&profile.root).display(),
        cargo::features().await.join(" "),
        profile.port,
        profile.env_file().display(),
    );
    pending().await
}

/// Runs a command against a fresh stack. Returns its exit code.
pub(crate) async fn run(profile: &Profile, supervisor: &Supervisor, command: &mut Command) -> Result<u8> {
    let stack = Stack::start(profile, supervisor).await?;
    stack.start_functions().await?;
    Ok(process::exit_code(stack.run(command).await?))
}

/// Runs tests against a fresh stack, with the programs that they need beside it.
pub(crate) async fn test(profile: &Profile, supervisor: &Supervisor, command: &mut Command) -> Result<u8> {
    let names = [
        "moto",
        "aws",
        "sam",
        "schemathesis",
        "openapi-typescript",
        "openapi-python-client",
        "chromium",
        "chromedriver",
        "axe",
    ];
    for name in names {
        // In the variable of that name, such as OPENAPI_TYPESCRIPT.
        command.env(name.to_uppercase().replace('-', "_"), tools::program(name).await?);
    }
    command.env("SCREENSHOTS", profile.home.join("screenshots")).envs(tools::ip().await.map(|ip| ("IP", ip)));
    run(profile, supervisor, command).await
}

/// Looks for events that the functions cannot answer. Without a sanitizer, which needs a nightly toolchain: the project
/// has no unsafe code.
pub(crate) async fn fuzz(profile: &Profile, supervisor: &Supervisor, arguments: &[OsString]) -> Result<u8> {
    let mut fuzz = Command::new(tools::program_or_own("cargo-fuzz").await?);
    fuzz.args(["run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none", "events", "--"]);
    fuzz.args(["-dict=tests/fuzz/events.dict", "-max_len=4096"]).args(arguments).current_dir(&profile.root);
    run(profile, supervisor, &mut fuzz).await
}

/// Runs the functions in containers until Ctrl-C.
pub(crate) async fn sam_local(profile: &Profile, supervisor: &Supervisor) -> Result<u8> {
    Stack::start_in_containers(profile, supervisor).await?;
    println!("\n  The API is on http://127.0.0.1:{}, in containers; Ctrl-C stops everything.\n", profile.port);
    pending().await
}

/// Runs the main tests on the release build in containers, and looks at that build.
pub(crate) async fn test_sam(profile: &Profile, supervisor: &Supervisor) -> Result<u8> {
    let stack = Stack::start_in_containers(profile, supervisor).await?;
    let mut test = cargo::cargo();
    test.args(["test", "--workspace", "--test", "*", "--", "--include-ignored"])
        .args(sam::MAIN_CASES)
        .current_dir(&profile.root);
    test.env("SAM_BUILD", sam::build_folder(profile)).env("LAMBDA_EMULATOR", sam::emulator().await?);
    Ok(process::exit_code(stack.run(test.env("LAMBDA_IMAGE", containers::image())).await?))
}

/// Runs a command with `sam` and a `cargo lambda` that cross-compiles on its PATH. Returns its exit code.
pub(crate) async fn release(command: &mut Command) -> Result<u8> {
    let sam = tools::program("sam").await?;
    let cargo_lambda = tools::cargo_lambda_with_zig().await?;
    // In this order: zig is run by the Python beside cargo-lambda.
    let path = tools::path_with(&[&cargo_lambda, &sam])?;
    Ok(process::exit_code(process::run(command.env("PATH", path)).await?))
}

/// Removes the data of a stack.
pub(crate) fn clean_data(profile: &Profile) -> Result<()> {
    let _lock = profile.lock()?;
    profile.clean()?;
    println!("  removed the data in {}", profile.data.display());
    Ok(())
}
