//! Finds tools, and installs those that are missing or pinned to another version.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::packages::{self, Install};
use super::table::{NPM, PYTHON, Pin, Source, Tool};
use crate::cargo::cargo;
use crate::process::run_quietly;
use crate::profile::tools_folder;
use crate::server_user::ServerUser;

/// The copy of the pin in the folder of what is installed.
const RECEIPT: &str = "pin";

pub(super) struct Installer {
    /// `.local/tools`, or a place that the servers' user can reach.
    folder: PathBuf,
    install: Install,
}

/// A pinned tool, in a folder of its own.
struct Pinned {
    home: PathBuf,
    program: PathBuf,
    /// The file with the pin.
    file: PathBuf,
    /// What is to be installed.
    pin: String,
}

impl Tool {
    /// The program, installed if it is missing.
    pub(crate) async fn program(&self) -> Result<PathBuf> {
        // What takes minutes to build, the user may have built already.
        if matches!(self.source, Source::Pinned(Pin::Cargo))
            && let Some(found) = self.on_path()
        {
            return Ok(found);
        }
        Installer::new()?.program(self).await
    }
}

impl Installer {
    pub(super) fn new() -> Result<Self> {
        let folder = tools_folder(ServerUser::find()?)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder: folder.canonicalize()?, install: Install::from_env()? })
    }

    /// The program, installed if it is missing.
    pub(super) async fn program(&self, tool: &Tool) -> Result<PathBuf> {
        if let Some(found) = self.find(tool)? {
            return Ok(found);
        }
        self.install(tool).await?;
        self.find(tool)?.with_context(|| format!("{} was installed, and cannot be found", tool.programs[0]))
    }

    /// The program, if it is installed, and in the right version.
    pub(super) fn find(&self, tool: &Tool) -> Result<Option<PathBuf>> {
        let Source::Pinned(pin) = tool.source else { return Ok(tool.on_path()) };
        let Pinned { home, program, pin, .. } = self.pinned(pin, tool.programs[0])?;
        let is_current = fs::read_to_string(home.join(RECEIPT)).is_ok_and(|installed| installed == pin);
        Ok(Some(program).filter(|program| is_current && program.is_file()))
    }

    pub(super) async fn install(&self, tool: &Tool) -> Result<()> {
        let missing = format!("{} is missing ({})", tool.programs[0], tool.purpose);
        let log = self.folder.join("install.log");
        match &tool.source {
            Source::System(packages) => packages::install(packages, &missing, self.install, &log).await,
            Source::Pinned(pin) => self.install_pinned(*pin, tool.programs[0], &missing, &log).await,
        }
    }

    async fn install_pinned(&self, pin: Pin, program: &str, missing: &str, log: &Path) -> Result<()> {
        let Pinned { home, file, pin: text, .. } = self.pinned(pin, program)?;
        println!("  {missing}: installing it into {}", home.display());
        if home.exists() {
            fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
        }
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        let mut command = match pin {
            Pin::Python(_) => {
                let python = Box::pin(self.program(&PYTHON)).await?;
                run_quietly(Command::new(python).args(["-m", "venv"]).arg(&home), log).await?;
                let mut pip = Command::new(home.join("bin/python3"));
                // The files name everything, also what a package depends on.
                pip.args([
                    "-m",
                    "pip",
                    "install",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "--require-hashes",
                    "-r",
                ]);
                pip.arg(file);
                pip
            }
            Pin::Npm(_) => {
                for file in [&file, &file.with_file_name("package.json")] {
                    fs::copy(file, home.join(file.file_name().unwrap_or_default()))?;
                }
                let mut npm = Command::new(Box::pin(self.program(&NPM)).await?);
                npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home);
                npm
            }
            Pin::Cargo => {
                println!("  this builds it, which takes some minutes");
                let mut cargo = cargo();
                cargo.args(["install", "--locked", program, "--version", &text, "--root"]).arg(&home);
                cargo
            }
        };
        run_quietly(&mut command, log).await?;
        fs::write(home.join(RECEIPT), text).with_context(|| format!("cannot write into {}", home.display()))
    }

    fn pinned(&self, pin: Pin, program: &str) -> Result<Pinned> {
        let (kind, name, programs, file) = match pin {
            Pin::Python(name) => ("python", name, "bin", format!("{name}.txt")),
            Pin::Npm(name) => ("npm", name, "node_modules", format!("{name}/package-lock.json")),
            Pin::Cargo => ("cargo", program, "bin", "cargo-tools.toml".to_owned()),
        };
        let home = self.folder.join(kind).join(name);
        let file = cli::checkout()?.join("tools/xtask/pins").join(file);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let pin = match pin {
            // An environment works only where it was created.
            Pin::Python(_) => format!("# {}\n{text}", home.display()),
            Pin::Npm(_) => text,
            Pin::Cargo => toml::from_str::<BTreeMap<String, String>>(&text)?
                .remove(name)
                .with_context(|| format!("{} has no version of {name}", file.display()))?,
        };
        Ok(Pinned { program: home.join(programs).join(program), home, file, pin })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::SQUAWK;
    use super::*;

    #[test]
    fn a_tool_is_installed_anew_when_its_pin_or_its_place_changes() {
        let place = tempfile::tempdir().unwrap();
        let installer = |name: &str| Installer { folder: place.path().join(name), install: Install::No };
        let one = installer("one");
        let Pinned { home, program, pin, .. } = one.pinned(Pin::Python("squawk"), "squawk").unwrap();
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        assert_eq!(one.find(&SQUAWK).unwrap(), None, "an installation that was interrupted");
        fs::write(home.join(RECEIPT), pin.replace("squawk-cli==", "squawk-cli==0.")).unwrap();
        assert_eq!(one.find(&SQUAWK).unwrap(), None);
        fs::write(home.join(RECEIPT), pin).unwrap();
        assert_eq!(one.find(&SQUAWK).unwrap(), Some(program));
        fs::rename(place.path().join("one"), place.path().join("two")).unwrap();
        assert_eq!(installer("two").find(&SQUAWK).unwrap(), None);
    }
}
