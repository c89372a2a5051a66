//! The local stack: PostgreSQL behind PgBouncer, both speaking TLS, and the functions under `cargo lambda watch`,
//! behind a gateway.
//!
//! It is the cloud's shape on one machine. Everything listens on 127.0.0.1 and keeps its files below `.local/`.
//! This process starts the parts, and stops all of them when it is told to end or when one of them dies.
//! `make` has a target for each command.
#![allow(clippy::print_stdout, reason = "a program that tells a person what it does")]

mod engine;
mod faults;
mod functions;
mod interrupt;
mod pgbouncer;
mod postgres;
mod process;
mod profile;
mod release;
mod sam;
mod servant;
mod stack;
mod tls;
mod tools;

use std::ffi::OsString;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::functions::Settings;
use crate::interrupt::Interrupted;
use crate::postgres::Postgres;
use crate::profile::{Kind, Profile};
use crate::servant::Servant;
use crate::stack::Stack;
use crate::tls::Tls;
use crate::tools::Tools;

/// Runs the whole API on this machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,
    /// The API's port under `dev` and `db`; the next four are the pooler's, PostgreSQL's, Lambda's and its emulator's.
    #[arg(long, env = "DEV_PORT", default_value_t = 9000, global = true)]
    dev_port: u16,
    /// The same under `test`; five more are for `faults`.
    #[arg(long, env = "TEST_PORT", default_value_t = 9100, global = true)]
    test_port: u16,
}

#[derive(Subcommand)]
enum Action {
    /// Start everything and keep it running (the default).
    Dev,
    /// Start all but the functions.
    Db,
    /// Start everything on fresh data, run a command against it, stop everything.
    Run {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// The same for tests: with the programs that they need beside the stack.
    Test {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start the database alone on fresh data, beside `test`, and break it as told on standard input.
    Faults,
    /// Find the programs the stack needs, install those that are missing.
    Tools,
    /// Look for events that the functions cannot answer, on a stack as for `test`.
    Fuzz {
        /// Passed on to libFuzzer.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Check the dependencies' licences and sources (`deny.toml`).
    Deny,
    /// Start the database of `dev`, and the functions as `sam local start-api` runs them, and keep both running.
    SamLocal,
    /// Run the main cases of the tests on the release build in containers, and look at that build itself.
    TestSam {
        /// Start a Docker engine: for a process that is in namespaces of its own.
        #[arg(long, hide = true)]
        with_engine: bool,
    },
    /// Check `template.yaml` with every tool that knows what AWS takes.
    LintTemplate,
    /// Check the migrations for what would hold up a database in use (`.squawk.toml`).
    LintMigrations,
    /// Build every function for the cloud and show the sizes.
    Build {
        /// Passed on to `cargo lambda build`.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Run a command with what a release needs on its PATH: `sam`, and a `cargo lambda` that cross-compiles.
    Release {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Remove the data of `dev`: database, certificates, keys.
    CleanData,
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::arguments();
    let action = arguments.command.unwrap_or(Action::Dev);
    // Ctrl-C is how `dev` and `db` end, but nobody may take a broken-off test for a passed one.
    let interrupted = if matches!(action, Action::Dev | Action::Db | Action::SamLocal) { 0 } else { 130 };
    let done = interrupt::catch().and_then(|()| match action {
        Action::Dev => dev(&Profile::new(Kind::Dev, arguments.dev_port)?),
        Action::Db => db(&Profile::new(Kind::Dev, arguments.dev_port)?),
        Action::Run { command } => run(&Profile::new(Kind::Test, arguments.test_port)?, &mut to_run(&command)?),
        Action::Test { command } => test(&Profile::new(Kind::Test, arguments.test_port)?, &command),
        Action::Faults => faults::obey(&Profile::new(Kind::Faults, arguments.test_port.saturating_add(5))?),
        Action::Tools => Tools::ready(Servant::find()?).map(|_| 0),
        Action::Fuzz { arguments: passed } => fuzz(&Profile::new(Kind::Test, arguments.test_port)?, passed),
        Action::Deny => deny(),
        Action::SamLocal => sam_local(&Profile::new(Kind::Dev, arguments.dev_port)?),
        Action::TestSam { with_engine } => test_sam(&Profile::new(Kind::Test, arguments.test_port)?, with_engine),
        Action::LintTemplate => sam::lint(),
        Action::LintMigrations => lint_migrations(),
        Action::Build { arguments } => release::build(&arguments).map(|()| 0),
        Action::Release { command } => with_release_tools(&command),
        Action::CleanData => clean(&Profile::new(Kind::Dev, arguments.dev_port)?),
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is::<Interrupted>() => {
            println!("\n  stopped");
            ExitCode::from(interrupted)
        }
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until Ctrl-C.
fn dev(profile: &Profile) -> Result<u8> {
    let mut up = start(profile)?;
    with_functions(profile, &mut up)?;
    let api = format!("http://127.0.0.1:{}", profile.port);
    println!(
        "\n  The API is on {api}, with a page to use it at {api}/. Changed code is picked up; Ctrl-C stops everything.\n\
         \n  Next, in another terminal:\n\
         \n    curl -i {api}/health\
         \n    curl -i {api}/users/signup -H 'Content-Type: application/json' \\\
         \n      -d '{{\"email\": \"ada@example.com\", \"password\": \"correct horse battery\"}}'\n"
    );
    up.stack.keep()?;
    Ok(0)
}

/// Runs all but the functions until Ctrl-C.
fn db(profile: &Profile) -> Result<u8> {
    let mut up = start(profile)?;
    let relative = |path: &std::path::Path| path.strip_prefix(&profile.root).unwrap_or(path).display().to_string();
    let path = match up.tools.cargo_lambda.program.parent() {
        Some(folder) if !up.tools.cargo_lambda.on_path => format!("PATH=\"{}:$PATH\" ", folder.display()),
        _ => String::new(),
    };
    println!(
        "\n  The database is ready. Ctrl-C stops it.\n\
         \n  Next, in another terminal, in {}:\n\
         \n    {path}cargo lambda watch --quiet -A 127.0.0.1 -P {} --env-file {}\n",
        profile.root.display(),
        profile.port,
        relative(&profile.env_file()),
    );
    up.stack.keep()?;
    Ok(0)
}

/// Runs a command against a fresh stack; its exit code is ours.
fn run(profile: &Profile, command: &mut std::process::Command) -> Result<u8> {
    let mut up = start(profile)?;
    with_functions(profile, &mut up)?;
    println!();
    run_told(profile, &mut up, command)
}

/// Runs tests against a fresh stack, with the programs that they need beside it.
fn test(profile: &Profile, command: &[OsString]) -> Result<u8> {
    let browser = tools::browser()?;
    let mut command = to_run(command)?;
    command
        .env("MOTO_SERVER", tools::moto_server()?)
        .env("SCHEMATHESIS", tools::schemathesis()?.join("schemathesis"))
        .env("CHROMIUM", browser.program)
        .env("CHROMEDRIVER", browser.driver)
        .env("AXE", browser.axe)
        .env("SCREENSHOTS", profile.home.join("screenshots"));
    if let Some(ip) = tools::ip()? {
        command.env("IP", ip);
    }
    run(profile, &mut command)
}

/// The command of an argument list.
fn to_run(command: &[OsString]) -> Result<std::process::Command> {
    let (program, arguments) = command.split_first().context("which command?")?;
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Runs a command that is told all about the stack; its exit code is ours.
fn run_told(profile: &Profile, up: &mut Up, command: &mut std::process::Command) -> Result<u8> {
    functions::hide_settings(command);
    command
        .envs(&up.settings)
        .env("API_URL", format!("http://127.0.0.1:{}", profile.port))
        .env("LAMBDA_URL", format!("http://127.0.0.1:{}", profile.lambda_port()))
        .env("API_LOG", profile.log("functions"))
        .env("LOCAL_ENV_FILE", profile.env_file())
        .env("CARGO_LAMBDA", &up.tools.cargo_lambda.program)
        .env("PG_BIN", &up.tools.postgres.bin)
        .env("PROGRAMS", &up.programs)
        .env("PATH", up.tools.cargo_lambda.path()?);
    Ok(process::exit_code(up.stack.run(command)?))
}

/// Runs the functions in containers until Ctrl-C.
fn sam_local(profile: &Profile) -> Result<u8> {
    if !engine::is_running() {
        anyhow::bail!("no Docker engine answers, and `sam local` runs the functions in containers: start one");
    }
    loud_step("sam build", || sam::build(profile))?;
    let kept = start_for_containers(profile, false).and_then(|mut up| {
        println!("\n  The API is on http://127.0.0.1:{}, in containers; Ctrl-C stops everything.\n", profile.port);
        up.stack.keep()
    });
    sam::remove_containers(profile);
    kept.map(|()| 0)
}

/// First all that has to be fetched and built; then, where no engine is, once more in namespaces that have one.
fn test_sam(profile: &Profile, with_engine: bool) -> Result<u8> {
    let tests = || {
        let mut cargo = functions::cargo();
        cargo.args(["test", "-p", "tests"]).current_dir(&profile.root);
        cargo
    };
    if !with_engine {
        loud_step("sam build", || sam::build(profile))?;
        loud_step("build", || {
            Tools::ready(profile.servant)?;
            functions::build(profile)?;
            if !process::run(tests().arg("--no-run"))?.success() {
                anyhow::bail!("the tests do not build; the compiler's words are above");
            }
            Ok(())
        })?;
        if !engine::is_running() {
            let port = profile.port.to_string();
            return engine::in_namespaces(profile, &["test-sam", "--with-engine", "--test-port", &port]);
        }
    }
    let tested = start_for_containers(profile, with_engine).and_then(|mut up| {
        println!();
        let mut command = tests();
        command.args(["--", "--include-ignored"]).args(sam::MAIN_CASES);
        command.env("SAM_BUILD", sam::build_folder(profile)).env("LAMBDA_EMULATOR", sam::emulator()?);
        run_told(profile, &mut up, command.env("LAMBDA_IMAGE", engine::image()))
    });
    sam::remove_containers(profile);
    tested
}

/// Without a sanitizer, so that the one toolchain will do: there is no unsafe code of ours to find.
fn fuzz(profile: &Profile, passed: Vec<OsString>) -> Result<u8> {
    let mut command = std::process::Command::new(tools::cargo_fuzz()?);
    command.current_dir(&profile.root);
    let fixed = "run --fuzz-dir tests/fuzz --sanitizer none events -- -dict=tests/fuzz/events.dict -max_len=4096";
    run(profile, command.args(fixed.split(' ')).args(passed))
}

fn deny() -> Result<u8> {
    let mut check = std::process::Command::new(tools::cargo_deny()?);
    let status = process::run(check.args(["check", "licenses", "bans", "sources"]).current_dir(cli::checkout()?))?;
    Ok(u8::from(!status.success()))
}

/// Runs a command; its exit code is ours.
fn with_release_tools(command: &[OsString]) -> Result<u8> {
    let path = std::env::join_paths(
        [tools::sam()?].into_iter().chain(std::env::split_paths(&tools::cargo_lambda_with_zig()?.path()?)),
    )?;
    Ok(process::exit_code(process::run(to_run(command)?.env("PATH", path))?))
}

/// A file that runs outside a transaction is held to what one that breaks off halfway must keep to.
fn lint_migrations() -> Result<u8> {
    let root = cli::checkout()?;
    let squawk = tools::squawk()?;
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for entry in std::fs::read_dir(root.join("migrations")).context("cannot read migrations")? {
        let file = entry?.path();
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if text.starts_with("-- no-transaction") { outside.push(file) } else { inside.push(file) }
    }
    for (files, how) in [(inside, "--assume-in-transaction"), (outside, "--no-assume-in-transaction")] {
        let mut check = std::process::Command::new(&squawk);
        if !files.is_empty() && !process::run(check.arg(how).args(files).current_dir(&root))?.success() {
            return Ok(1);
        }
    }
    Ok(0)
}

fn clean(profile: &Profile) -> Result<u8> {
    let _lock = profile.lock()?;
    profile.clean()?;
    println!("  removed the data in {}", profile.data.display());
    Ok(0)
}

/// A running database and what it took.
struct Up {
    stack: Stack,
    tools: Tools,
    /// The folder of the workspace's own programs.
    programs: PathBuf,
    postgres: Postgres,
    tls: Tls,
    settings: Settings,
}

/// Starts the database and its pooler, builds, migrates.
fn start(profile: &Profile) -> Result<Up> {
    start_after(profile, |_| Ok(None))
}

/// Starts an engine if there is none, the database where containers find it, and the functions in containers.
fn start_for_containers(profile: &Profile, with_engine: bool) -> Result<Up> {
    let mut up = start_after(profile, |stack| {
        step("Docker engine", || {
            if with_engine {
                engine::start(profile, stack)?;
            }
            engine::prepare_image(with_engine, profile)?;
            sam::remove_containers(profile);
            engine::address_for_containers()
        })
    })?;
    let Up { stack, settings, tls, .. } = &mut up;
    step(&format!("sam local on 127.0.0.1:{}", profile.port), || sam::start(profile, settings, tls, stack))?;
    Ok(up)
}

/// As [`start`], after something that says where containers look for this machine.
fn start_after(profile: &Profile, first: impl FnOnce(&mut Stack) -> Result<Option<Ipv4Addr>>) -> Result<Up> {
    println!("{} stack in {}", profile.kind.name(), profile.home.display());
    if profile.data != profile.home {
        println!("  other users cannot enter this folder, so the servers' files are in {}", profile.data.display());
    }
    let mut stack = Stack::new(profile)?;
    if profile.kind != Kind::Dev {
        profile.clean()?;
    }
    profile.check_ports(&[
        (profile.port, "the API"),
        (profile.pooler_port(), "PgBouncer"),
        (profile.postgres_port(), "PostgreSQL"),
        (profile.lambda_port(), "Lambda"),
        (profile.emulator_port(), "cargo lambda watch"),
    ])?;

    let for_containers = first(&mut stack)?;
    let tools = loud_step("tools", || Tools::ready(profile.servant))?;
    let (postgres, tls) =
        step(&format!("PostgreSQL {} on 127.0.0.1:{}", tools.postgres.version, profile.postgres_port()), || {
            let tls = Tls::in_folder(&profile.data.join("tls"), profile.servant)?;
            let postgres = Postgres::open(profile, &tools.postgres)?;
            postgres.start(profile, &tools.postgres, &tls, &mut stack)?;
            Ok((postgres, tls))
        })?;
    match &tools.pgbouncer {
        Some(program) => step(&format!("PgBouncer on 127.0.0.1:{}", profile.pooler_port()), || {
            pgbouncer::start(program, &postgres.password, profile, for_containers, &tls, &mut stack)
        })?,
        None if for_containers.is_some() => {
            anyhow::bail!("PgBouncer is missing, which containers reach the database by")
        }
        None => println!(
            "  no PgBouncer: DATABASE_URL is PostgreSQL itself, and what only breaks behind a pooler goes unnoticed"
        ),
    }
    let programs = loud_step("build", || functions::build(profile))?;
    let settings = step("keys and settings", || {
        functions::settings(profile, &programs, &postgres, tools.pgbouncer.is_some(), &tls)
    })?;
    step("migrations and the functions' role", || functions::migrate(profile, &programs, &settings, &postgres))?;
    Ok(Up { stack, tools, programs, postgres, tls, settings })
}

fn with_functions(profile: &Profile, up: &mut Up) -> Result<()> {
    let Up { stack, tools, programs, .. } = up;
    step(&format!("functions on 127.0.0.1:{}", profile.port), || {
        functions::start(profile, programs, &tools.cargo_lambda, stack)
    })
}

/// Says what is done while it is done, and then how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    print!("  {what} … ");
    std::io::stdout().flush()?;
    let begin = Instant::now();
    let done = work().inspect_err(|_| println!())?;
    println!("{:.1} s", begin.elapsed().as_secs_f32());
    Ok(done)
}

/// The same for work that has something to say itself.
fn loud_step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("  {what} …");
    let begin = Instant::now();
    let done = work()?;
    println!("  {what}: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(done)
}
