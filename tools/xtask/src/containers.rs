//! The Docker engine that `sam local` runs functions in.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::process::{run_checked, stdout_of};

/// This machine's name in containers.
pub(crate) const HOST: &str = "host.docker.internal";

/// This machine's processor, by AWS's names.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// The image that `sam local` starts functions from.
pub(crate) fn image() -> String {
    format!("public.ecr.aws/lambda/provided:al2023-{ARCHITECTURE}")
}

/// Fails when no engine answers.
pub(crate) async fn require_engine() -> Result<()> {
    if docker(&["info", "--format", "{{.ServerVersion}}"]).await.is_none() {
        bail!("no Docker engine answers, and `sam local` runs the functions in containers: start Docker and try again");
    }
    Ok(())
}

/// Pulls the image if it is missing.
pub(crate) async fn pull_image() -> Result<()> {
    if docker(&["image", "inspect", "--format", "{{.Id}}", &image()]).await.is_some() {
        return Ok(());
    }
    run_checked(Command::new("docker").args(["pull", "--quiet", &image()])).await
}

/// The address at which containers reach this machine, if servers here can listen on it. Where they cannot, as with
/// Docker Desktop, it leads to 127.0.0.1.
pub(crate) async fn address_for_containers() -> Result<Option<Ipv4Addr>> {
    let host = format!("{HOST}:host-gateway");
    let hosts = docker(&["run", "--rm", "--add-host", &host, "--entrypoint", "cat", &image(), "/etc/hosts"]).await;
    let hosts = hosts.context("Docker cannot run a container")?;
    let line = hosts.lines().find(|line| line.ends_with(HOST)).context("containers cannot reach this machine")?;
    let address: Ipv4Addr = line.split_ascii_whitespace().next().unwrap_or_default().parse()?;
    Ok(TcpListener::bind((address, 0)).is_ok().then_some(address))
}

/// What a `docker` command prints, if it succeeds.
pub(crate) async fn docker(arguments: &[&str]) -> Option<String> {
    stdout_of(Command::new("docker").args(arguments)).await
}
