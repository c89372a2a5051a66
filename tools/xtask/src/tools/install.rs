//! Finds tools, and installs those that are missing or pinned to another version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;
use tokio::process::Command;

use super::packages;
use super::table::{Pin, Tool};
use crate::{cargo::cargo, process::run_quietly, profile::tools_folder, server_user::ServerUser};

/// The program of a tool, installed if it is missing.
pub(crate) async fn program(name: &str) -> Result<PathBuf> {
    if let Some(found) = find(name)? {
        return Ok(found);
    }
    install(name).await?;
    find(name)?.with_context(|| format!("{name} was installed, and cannot be found"))
}

/// The program of a tool, where there is one. Why there is none is printed.
pub(super) async fn program_if_possible(name: &str) -> Option<PathBuf> {
    program(name).await.inspect_err(|error| println!("  {error:#}")).ok()
}

/// The system's program, or a pinned one if its version is the one that is installed.
pub(super) fn find(name: &str) -> Result<Option<PathBuf>> {
    let tool = Tool::named(name)?;
    Ok(match tool.pin() {
        None => tool.on_path(),
        Some(pin) => Pinned::of(&pin, tool.program(), &folder()?)?.installed(),
    })
}

pub(super) async fn install(name: &str) -> Result<()> {
    let tool = Tool::named(name)?;
    let missing = format!("{name} is missing ({})", tool.purpose);
    let folder = folder()?;
    let log = folder.join("install.log");
    match tool.pin() {
        None => packages::install(&tool, &missing, &log).await,
        Some(pin) => {
            println!("  {missing}: installing it into {}", folder.display());
            Pinned::of(&pin, tool.program(), &folder)?.install(&pin, &log).await
        }
    }
}

/// `.local/tools`, or a place that the servers' user can reach.
fn folder() -> Result<PathBuf> {
    let folder = tools_folder(ServerUser::find()?)?;
    fs::create_dir_all(&folder)?;
    Ok(fs::canonicalize(folder)?)
}

/// A pinned tool, in a folder of its own.
struct Pinned {
    name: String,
    home: PathBuf,
    program: PathBuf,
    /// The file with the pin.
    file: PathBuf,
    /// What is to be installed.
    pin: String,
    /// The copy of `pin` that says what is installed.
    receipt: PathBuf,
}

impl Pinned {
    fn of(pin: &Pin<'_>, name: String, folder: &Path) -> Result<Self> {
        let (kind, own_folder, programs, file) = match pin {
            Pin::Python(file) => ("python", *file, "bin", format!("{file}.txt")),
            Pin::Npm(folder) => ("npm", *folder, "node_modules", format!("{folder}/package-lock.json")),
            Pin::Cargo => ("cargo", &*name, "bin", "cargo-tools.toml".to_owned()),
        };
        let home = folder.join(kind).join(own_folder);
        let file = cli::checkout()?.join("tools/xtask/pins").join(file);
        let text = fs::read_to_string(&file)?;
        let pin = match pin {
            // An environment works only where it was created.
            Pin::Python(_) => format!("# {}\n{text}", home.display()),
            Pin::Npm(_) => text,
            Pin::Cargo => toml::from_str::<BTreeMap<String, String>>(&text)?
                .remove(&name)
                .with_context(|| format!("{} has no version of {name}", file.display()))?,
        };
        let (program, receipt) = (home.join(programs).join(&name), home.join("pin"));
        Ok(Self { name, home, program, file, pin, receipt })
    }

    fn installed(self) -> Option<PathBuf> {
        let is_current = fs::read_to_string(&self.receipt).is_ok_and(|installed| installed == self.pin);
        (is_current && self.program.is_file()).then_some(self.program)
    }

    async fn install(&self, pin: &Pin<'_>, log: &Path) -> Result<()> {
        let home = &self.home;
        if home.exists() {
            fs::remove_dir_all(home)?;
        }
        fs::create_dir_all(home)?;
        let mut command;
        match pin {
            Pin::Python(_) => {
                let python = Box::pin(program("python")).await?;
                run_quietly(Command::new(python).args(["-m", "venv"]).arg(home), log).await?;
                command = Command::new(home.join("bin/python3"));
                // The files name everything, also what a package depends on.
                let options = ["--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement"];
                command.args(["-m", "pip", "install"]).args(options).arg(&self.file);
            }
            Pin::Npm(_) => {
                for name in ["package.json", "package-lock.json"] {
                    fs::copy(self.file.with_file_name(name), home.join(name))?;
                }
                command = Command::new(Box::pin(program("npm")).await?);
                command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(home);
            }
            Pin::Cargo => {
                println!("  building it takes some minutes");
                command = cargo();
                // To optimise a program that runs for a second takes longer than it saves.
                command.env("CARGO_PROFILE_DEV_DEBUG", "false").args(["install", "--debug", "--locked", &self.name]);
                command.args(["--version", &self.pin, "--root"]).arg(home);
            }
        }
        run_quietly(&mut command, log).await?;
        Ok(fs::write(&self.receipt, &self.pin)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_installed_anew_when_its_pin_or_its_place_changes() {
        let place = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| place.path().join(name));
        let squawk = |folder: &Path| Pinned::of(&Pin::Python("squawk"), "squawk".to_owned(), folder).unwrap();
        let Pinned { program, pin, receipt, .. } = squawk(&one);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        assert_eq!(squawk(&one).installed(), None, "an installation that was interrupted");
        fs::write(&receipt, pin.replace("squawk-cli==", "squawk-cli==0.")).unwrap();
        assert_eq!(squawk(&one).installed(), None);
        fs::write(&receipt, pin).unwrap();
        assert_eq!(squawk(&one).installed(), Some(program));
        fs::rename(&one, &two).unwrap();
        assert_eq!(squawk(&two).installed(), None);
    }
}
