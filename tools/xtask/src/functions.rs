//! The functions under `cargo lambda watch`, behind the gateway.

use std::{path::Path, time::Duration};

use anyhow::Result;
use http_body_util::Empty;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::process::Command;

use crate::postgres::{Postgres, SUPERUSER};
use crate::profile::{Kind, Profile};
use crate::settings::{Settings, url};
use crate::supervisor::{Supervisor, wait_until};
use crate::{cargo, cargo::hide_settings, process::run_quietly};

/// Brings the schema up to date as its owner, and creates the functions' role as the superuser: an owner that the first
/// release created may not create roles.
pub(crate) async fn migrate(
    profile: &Profile,
    programs: &Path,
    settings: &Settings,
    postgres: &Postgres,
) -> Result<()> {
    let run = async |line: &str, variables: &[(&str, &str)]| {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = Command::new(programs.join(words[0]));
        hide_settings(&mut command);
        command.args(&words[1..]).envs(settings).envs(variables.iter().copied()).current_dir(&profile.root);
        run_quietly(&mut command, &profile.log(&words[..2].join("-"))).await
    };
    // No older release runs with `dev`.
    run(if profile.kind == Kind::Dev { "migrate up --contract" } else { "migrate up" }, &[]).await?;
    let superuser = url(SUPERUSER, &postgres.password, profile.postgres_port());
    let variables = [("DATABASE_URL_UNPOOLED", &*superuser), ("FUNCTIONS_PASSWORD", &postgres.functions_password)];
    run("migrate role", &variables).await
}

/// Starts the gateway, which starts `cargo lambda watch`, and waits until the API answers.
pub(crate) async fn start(
    profile: &Profile,
    programs: &Path,
    cargo_lambda: &Path,
    supervisor: &Supervisor,
) -> Result<()> {
    let mut gateway = Command::new(programs.join("gateway"));
    gateway.arg("--port").arg(profile.port.to_string());
    gateway.arg("--lambda-port").arg(profile.lambda_port().to_string());
    gateway.arg("--emulator-port").arg(profile.emulator_port().to_string());
    gateway.arg("--").arg(cargo_lambda).args(["lambda", "watch", "--quiet", "--env-file"]);
    gateway.arg(profile.env_file()).current_dir(&profile.root);
    hide_settings(&mut gateway);
    let log = (profile.kind != Kind::Dev).then(|| profile.log("functions"));
    if profile.kind == Kind::Dev {
        gateway.args(cargo::features().await);
    } else {
        // A file that changes while tests run must not restart what they are talking to.
        gateway.arg("--ignore-changes").env_remove("ALLOWED_ORIGINS");
    }
    supervisor.start("the gateway", gateway, log.clone(), "")?;
    wait_for_health(profile, log.as_deref(), Duration::from_secs(60)).await
}

/// Waits until the API and its database answer.
pub(crate) async fn wait_for_health(profile: &Profile, log: Option<&Path>, patience: Duration) -> Result<()> {
    let client: Client<HttpConnector, Empty<&[u8]>> = Client::builder(TokioExecutor::new()).build_http();
    let url: hyper::Uri = format!("http://127.0.0.1:{}/health", profile.port).parse()?;
    let is_healthy = async || client.get(url.clone()).await.is_ok_and(|response| response.status().is_success());
    wait_until("the API", patience, log, is_healthy).await
}
