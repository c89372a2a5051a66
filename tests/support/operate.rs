//! The `operate` binary, in a checkout of its own beside a Parameter Store of its own.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    api::Api,
    database::{Scratch, ca_file, migrations, program},
    store::ParameterStore,
    watch::Settings,
    workspace::root,
};

/// How long a run may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the stage of the tests is called.
pub const STAGE: &str = "dev";

/// Records what it is asked for. It builds and deploys nothing; what it says of the stack is where the API is.
const SAM: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$SAM_LOG"
[ "$1" != "$SAM_FAILS" ] || exit 1
case $1 in
    build) mkdir -p .aws-sam/build/Health && : >.aws-sam/build/Health/bootstrap ;;
    list) printf '[{"OutputKey": "Url", "OutputValue": "%s"}]' "$API_URL" ;;
esac
"#;

/// A clean checkout of what is not compiled, on a database of its own.
#[derive(Debug)]
pub struct Checkout {
    folder: TempDir,
    /// The Parameter Store that the stage's secrets are in.
    pub store: ParameterStore,
    /// The stage's database, empty at first.
    pub database: Scratch,
}

/// A run of `operate`.
#[derive(Debug)]
pub struct Run {
    /// Whether it succeeded.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Checkout {
    /// Everything committed, nothing stored, nothing migrated.
    pub async fn create() -> Self {
        let (store, database) = tokio::join!(ParameterStore::start(), Scratch::create());
        let mut database = database.expect("a database");
        database.give_to_owner("of the owner").await.expect("an owner");
        let checkout = Self { folder: TempDir::new().expect("a folder"), store, database };
        for file in fs::read_dir(migrations()).expect("migrations").flatten() {
            let text = fs::read_to_string(file.path()).expect("a migration");
            checkout.write(&format!("migrations/{}", file.file_name().display()), &text);
        }
        for file in ["samconfig.toml", "Makefile"] {
            checkout.write(file, &fs::read_to_string(root().join(file)).expect("a file of the project"));
        }
        checkout.write(".gitignore", "/.aws-sam/\n/bin/\n/sam.log\n");
        checkout.write("bin/sam", SAM);
        fs::set_permissions(checkout.path("bin/sam"), Permissions::from_mode(0o755)).expect("an executable");
        checkout.git(&["init", "--quiet"]).await;
        checkout.commit().await;
        checkout
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Commits all there is.
    pub async fn commit(&self) {
        self.git(&["add", "--all"]).await;
        self.git(&["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-qm", "Test"]).await;
    }

    async fn git(&self, arguments: &[&str]) {
        let status = Command::new("git").args(arguments).current_dir(self.folder.path()).status().await.expect("git");
        assert!(status.success(), "git {arguments:?}");
    }

    /// What `sam` was asked for, but for its version.
    pub fn sam_log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("sam.log")).unwrap_or_default();
        log.lines().filter(|line| *line != "--version").map(str::to_owned).collect()
    }

    /// The address of the stage's database, as its owner.
    pub fn owner(&self) -> &str {
        self.database.url()
    }

    /// The functions' role in it.
    pub fn functions_role(&self) -> String {
        format!("{}_functions", self.database.name())
    }

    /// The owner's address at the stack's pooler.
    pub fn pooled(&self) -> String {
        self.database.url_with(|url| url.set_port(pooler().port()).expect("a port"))
    }

    /// Stores all that the stage needs.
    pub async fn store_secrets(&self) {
        self.run(&["secrets", "set"], &format!("{}\n", self.owner()), &[]).await.succeeded();
    }

    /// Settings of functions that read the stage's secrets as they do in the cloud.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::of_the_stack();
        for (name, value) in self.store.access() {
            settings = settings.with(name, value);
        }
        for (name, parameter) in [
            ("DATABASE_URL", "database-url"),
            ("JWT_SIGNING_KEY", "jwt-signing-key"),
            ("JWT_PUBLIC_KEYS", "jwt-public-keys"),
        ] {
            settings = settings.without(name);
            settings = settings.with(&format!("{name}_PARAMETER"), &self.name(parameter));
        }
        settings
    }

    /// A parameter's whole name.
    pub fn name(&self, parameter: &str) -> String {
        format!("/task-api/{STAGE}/{parameter}")
    }

    /// A parameter's value, empty when it is not stored.
    pub async fn value(&self, parameter: &str) -> String {
        self.store.get(&self.name(parameter)).await.map(|(value, _)| value).unwrap_or_default()
    }

    /// The command, with all it needs in its environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut path = vec![self.path("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("PATH", env::join_paths(path).expect("a PATH"))
            .env("STAGE", STAGE)
            .env("SAM_LOG", self.path("sam.log"))
            .env("SAM_FAILS", "")
            .env("DATABASE_CA_FILE", ca_file().expect("a CA"))
            .env("POOLER", format!("localhost:{}", pooler().port().expect("a port")))
            .env("TOKEN_LIFETIME_SECONDS", "3600")
            // Nothing of the machine's own user.
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.store.access())
            .kill_on_drop(true);
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "DATABASE_URL", "DATABASE_URL_UNPOOLED", "ORIGIN"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `operate` with these answers to its questions. It may never print a secret, whatever becomes of it.
    pub async fn run(&self, arguments: &[&str], answers: &str, variables: &[(&str, &str)]) -> Run {
        let mut command = self.command(&binary());
        let mut child = command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("operate");
        // It may end without having read them.
        let _ = child.stdin.take().expect("a standard input").write_all(answers.as_bytes()).await;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let run = Run::of(output.expect("operate hangs").expect("an output"));
        let mut secrets = answers.lines().map(str::to_owned).collect::<Vec<_>>();
        for parameter in
            ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys", "jwt-signing-key-next"]
        {
            secrets.push(self.value(parameter).await);
        }
        run.hides(secrets.iter().map(String::as_str));
        run
    }
}

impl Run {
    /// What a program did.
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What it printed, if it succeeded.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.success, "{self:#?}");
        self.stdout
    }

    /// Its one line of complaint, if it failed with one.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(!self.success && self.stderr.lines().count() == 1, "{self:#?}");
        self.stderr.trim_end().to_owned()
    }

    #[track_caller]
    fn hides<'a>(&self, secrets: impl Iterator<Item = &'a str>) {
        for secret in secrets.filter(|secret| secret.len() > 3) {
            let password = secret.split_once("//").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
            for secret in [secret, password.map_or(secret, |(_, password)| password)] {
                assert!(!self.stdout.contains(secret) && !self.stderr.contains(secret), "a secret was printed");
            }
        }
    }
}

/// The address of the stack's pooler.
fn pooler() -> reqwest::Url {
    Settings::of_the_stack().get("DATABASE_URL").parse().expect("an address")
}

/// The program.
pub fn binary() -> PathBuf {
    program("operate").expect("a program")
}

/// Runs `operate smoke` against an API.
pub async fn smoke(api: &Api) -> Run {
    let output = Command::new(binary()).args(["smoke", "--api-url", api.base()]).kill_on_drop(true).output();
    Run::of(tokio::time::timeout(PATIENCE, output).await.expect("operate hangs").expect("an output"))
}
