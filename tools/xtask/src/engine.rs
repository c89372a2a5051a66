//! The container engine that `sam local` needs: the machine's Docker or, where there is none, one of our own.
//!
//! Ours lives in namespaces of its own: a network in which nothing but this stack is, and a `/run` that nobody else
//! sees. Both are gone when the last process in them ends.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, ask};
use crate::profile::Profile;
use crate::stack::Stack;
use crate::tools;

/// This machine, as containers call it.
pub(crate) const HOST: &str = "host.docker.internal";

/// The processor of this machine, as AWS calls it.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// What `sam local` starts functions from.
pub(crate) fn image() -> String {
    format!("public.ecr.aws/lambda/provided:al2023-{ARCHITECTURE}")
}

/// Whether an engine answers.
pub(crate) fn is_running() -> bool {
    ask(Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"])).is_some()
}

/// Runs one of this program's commands in namespaces that hold a network and an engine of our own; its exit code.
pub(crate) fn in_namespaces(profile: &Profile, arguments: &[&str]) -> Result<u8> {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        bail!("no Docker engine answers, and only root on Linux can start one here: start yours and try again");
    }
    println!("  no Docker engine answers: one is started for this run");
    tools::docker_engine()?;
    let root_files = root_files()?;
    if !root_files.is_file() {
        make_root_files(&root_files)?;
    }
    let own = std::env::current_exe().context("cannot find my own program")?;
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--"]).arg(own).args(arguments).current_dir(&profile.root);
    // There is no way out of this network, and nothing left to fetch.
    let status = process::run(unshare.env("CARGO_NET_OFFLINE", "true"))?;
    Ok(process::exit_code(status))
}

/// Starts our own engine in the namespaces this process is in.
pub(crate) fn start(profile: &Profile, stack: &mut Stack) -> Result<()> {
    let log = profile.log("engine");
    process::run_quietly(Command::new("ip").args(["link", "set", "lo", "up"]), &log)?;
    process::run_quietly(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]), &log)?;
    let mut dockerd = Command::new("dockerd");
    dockerd.arg("--data-root").arg(profile.home.join("engine")).args(["--iptables=false", "--ip6tables=false"]);
    stack.start("the Docker engine", &mut dockerd, Some(log))?;
    stack.wait_until("the Docker engine was not ready", Duration::from_secs(60), is_running)
}

/// Fetches the image if it is not there. Our own engine has nowhere to fetch it from: it gets another system with a C
/// library, which is all that the functions expect of one.
pub(crate) fn prepare_image(own: bool, profile: &Profile) -> Result<()> {
    let image = image();
    let mut docker = Command::new("docker");
    if ask(Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", &image])).is_some() {
        return Ok(());
    }
    if own {
        docker.args(["import", "--change", "WORKDIR /var/task"]).arg(root_files()?).arg(&image);
    } else {
        docker.args(["pull", &image]);
    }
    process::run_quietly(&mut docker, &profile.log("image"))
}

/// The address at which containers find this machine, if servers here can listen on it. Where they cannot, as with
/// Docker Desktop, 127.0.0.1 is reached by it.
pub(crate) fn address_for_containers() -> Result<Option<Ipv4Addr>> {
    let mut look = Command::new("docker");
    look.args(["run", "--rm", "--add-host", &format!("{HOST}:host-gateway"), "--entrypoint", "cat"]);
    let hosts = ask(look.args([&image(), "/etc/hosts"])).context("the Docker engine runs no container")?;
    let line = hosts.lines().find(|line| line.ends_with(HOST)).context("containers do not find this machine")?;
    let address: Ipv4Addr = line.split_ascii_whitespace().next().unwrap_or_default().parse().context("no address")?;
    Ok(TcpListener::bind((address, 0)).is_ok().then_some(address))
}

/// The files of a small Debian.
fn root_files() -> Result<PathBuf> {
    Ok(tools::folder()?.join("image.tar"))
}

fn make_root_files(tar: &Path) -> Result<()> {
    println!("  making an image of a small Debian, which takes a minute or two");
    let (folder, unfinished) = (tar.with_extension("files"), tar.with_extension("unfinished"));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let log = tar.with_extension("log");
    let mut debootstrap = Command::new("debootstrap");
    process::run_quietly(debootstrap.args(["--variant=minbase", "stable"]).arg(&folder), &log)?;
    let mut pack = Command::new("tar");
    process::run_quietly(pack.arg("-C").arg(&folder).arg("-cf").arg(&unfinished).arg("."), &log)?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    fs::rename(&unfinished, tar).with_context(|| format!("cannot write {}", tar.display()))
}
