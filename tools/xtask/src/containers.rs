//! The Docker engine that `sam local` runs functions in.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use tokio::process::Command;

use crate::process::stdout_of;

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

/// The address at which containers reach this machine, if servers here can listen on it. Where they cannot, as with
/// Docker Desktop, it leads to 127.0.0.1. Pulls the image if it is missing.
pub(crate) async fn address_for_containers() -> Result<Option<Ipv4Addr>> {
    let host = format!("{HOST}:host-gateway");
    let hosts = docker(&["run", "--rm", "--add-host", &host, "--entrypoint", "cat", &image(), "/etc/hosts"]).await;
    let hosts = hosts.context("Docker cannot run a container")?;
    let line = hosts.lines().find(|line| line.ends_with(HOST)).context("containers cannot reach this machine")?;
    let address: Ipv4Addr = line.split_ascii_whitespace().next().unwrap_or_default().parse()?;
    Ok(TcpListener::bind((address, 0)).is_ok().then_some(address))
}

/// Removes the containers of the functions in this folder. SAM forgets one now and then, and a killed run leaves all.
pub(crate) async fn remove(folder: &Path) {
    let functions = fs::read_dir(folder).into_iter().flatten().flatten();
    let filters: Vec<_> = functions.map(|it| format!("--filter=volume={}", it.path().display())).collect();
    // Without a filter, all containers of the machine would be listed.
    if !filters.is_empty() {
        let list = ["ps", "--all", "--quiet"].into_iter().chain(filters.iter().map(String::as_str));
        let left = docker(&list.collect::<Vec<_>>()).await.unwrap_or_default();
        // Fails without an engine, where there are none, and when there is nothing to remove.
        docker(&["rm", "--force"].into_iter().chain(left.lines()).collect::<Vec<_>>()).await;
    }
}

/// What a `docker` command prints, if it succeeds.
pub(crate) async fn docker(arguments: &[&str]) -> Option<String> {
    stdout_of(Command::new("docker").args(arguments)).await
}
