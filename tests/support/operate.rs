//! The `operate` program, in a checkout with a Parameter Store and a database of its own.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    api::Api,
    command::Output,
    database::{TestDatabase, ca_file, migrations, program},
    server::Settings,
    store::{ParameterStore, python_beside},
    workspace::root,
};

/// How long a run may take.
const TIMEOUT: Duration = Duration::from_secs(120);

pub const STAGE: &str = "dev";

/// A `sam` that builds nothing, and deploys a stack with no more than the API as its output.
const SAM: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$SAM_LOG"
[ "$1" != "$SAM_FAILS" ] || exit 1
call() {
    curl --silent --fail "$AWS_ENDPOINT_URL" --data StackName=task-api-dev --data-urlencode "$@" \
        --header "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/$AWS_REGION/cloudformation/aws4_request"
}
case "$*" in
    build*) mkdir -p .aws-sam/build/Health && : >.aws-sam/build/Health/bootstrap ;;
    *--no-execute-changeset*) ;;
    deploy*)
        stack="{\"Resources\": {\"Topic\": {\"Type\": \"AWS::SNS::Topic\"}}, \"Outputs\": {\"Url\": {\"Value\": \"$API_URL\"}}}"
        call "TemplateBody=$stack" --data Action=CreateStack || call "TemplateBody=$stack" --data Action=UpdateStack
        ;;
esac
"#;

/// Compiles nothing, as the `sam` of these tests.
const CARGO_LAMBDA: &str = "#!/bin/sh\necho \"$@\" >>cargo-lambda.log\n";

/// The real `sam`, as far as a test can go.
const REAL_SAM: &str = "tests/support/aws/sam.py";

/// A clean checkout of what is not compiled, with a stage to deploy.
#[derive(Debug)]
pub struct Checkout {
    folder: TempDir,
    pub store: ParameterStore,
    pub database: TestDatabase,
}

impl Checkout {
    /// With nothing stored and nothing migrated yet, and a `sam` that is only a stand-in.
    pub async fn create() -> Self {
        Self::create_with(SAM, |samconfig| samconfig).await
    }

    /// As [`Checkout::create`], with the project's template and the real `sam`.
    pub async fn with_template() -> Self {
        let sam =
            format!("#!/bin/sh\nexec {} {} \"$@\"\n", python_beside("SAM").display(), root().join(REAL_SAM).display());
        // moto does not have all of the stack that `sam` makes for its bucket.
        let bucket = |samconfig: String| samconfig.replace("resolve_s3 = true", "s3_bucket = \"task-api-packages\"");
        Self::create_with(&sam, bucket).await
    }

    async fn create_with(sam: &str, samconfig: impl Fn(String) -> String) -> Self {
        let (store, database) = tokio::join!(ParameterStore::with_cloudformation(), TestDatabase::create());
        let mut database = database.expect("a database");
        database.create_owner("of the owner").await.expect("an owner");
        let checkout = Self { folder: TempDir::new().expect("a folder"), store, database };
        for file in fs::read_dir(migrations()).expect("migrations").flatten() {
            let text = fs::read_to_string(file.path()).expect("a migration");
            checkout.write(&format!("migrations/{}", file.file_name().display()), &text);
        }
        let read = |file: &str| fs::read_to_string(root().join(file)).expect("a file of the project");
        for file in ["template.yaml", "Makefile"] {
            checkout.write(file, &read(file));
        }
        checkout.write("samconfig.toml", &samconfig(read("samconfig.toml")));
        checkout.write(".gitignore", "/.aws-sam/\n/bin/\n/*.log\n");
        for (program, text) in [("bin/sam", sam), ("bin/cargo-lambda", CARGO_LAMBDA)] {
            checkout.write(program, text);
            fs::set_permissions(checkout.path(program), Permissions::from_mode(0o755)).expect("an executable");
        }
        checkout.git(&["init", "--quiet"]).await;
        checkout.commit().await;
        checkout
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub async fn commit(&self) {
        self.git(&["add", "--all"]).await;
        self.git(&["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-qm", "Test"]).await;
    }

    async fn git(&self, arguments: &[&str]) {
        let status = Command::new("git").args(arguments).current_dir(self.folder.path()).status().await.expect("git");
        assert!(status.success(), "git {arguments:?}");
    }

    /// The arguments of each call of `sam`, except for its version.
    pub fn sam_log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("sam.log")).unwrap_or_default();
        log.lines().filter(|line| *line != "--version").map(str::to_owned).collect()
    }

    /// The URL of the stage's database, as its owner.
    pub fn owner_url(&self) -> &str {
        self.database.url()
    }

    pub fn functions_role(&self) -> String {
        format!("{}_functions", self.database.name())
    }

    /// The owner's URL at the pooler.
    pub fn pooled_url(&self) -> String {
        self.database.url_with(|url| url.set_port(pooler().port()).expect("a port"))
    }

    pub async fn store_secrets(&self) {
        self.run(&["secrets", "set"], &format!("{}\n", self.owner_url()), &[]).await.success();
    }

    /// Settings of functions that read the stage's secrets from the store, as they do in the cloud.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::shared();
        for (name, value) in self.store.environment() {
            settings = settings.with(name, value);
        }
        for (name, parameter) in [
            ("DATABASE_URL", "database-url"),
            ("JWT_SIGNING_KEY", "jwt-signing-key"),
            ("JWT_PUBLIC_KEYS", "jwt-public-keys"),
        ] {
            settings = settings.without(name);
            settings = settings.with(&format!("{name}_PARAMETER"), &self.parameter_name(parameter));
        }
        settings
    }

    pub fn parameter_name(&self, parameter: &str) -> String {
        format!("/task-api/{STAGE}/{parameter}")
    }

    /// A parameter's value; empty if it is not stored.
    pub async fn parameter(&self, parameter: &str) -> String {
        self.store.get(&self.parameter_name(parameter)).await.map(|(value, _)| value).unwrap_or_default()
    }

    /// A command in the checkout, with everything that `operate` needs in its environment.
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
            .env("DATABASE_CA_FILE", ca_file())
            .env("POOLER", format!("localhost:{}", pooler().port().expect("a port")))
            .env("TOKEN_LIFETIME_SECONDS", "3600")
            // Ignore the AWS configuration of whoever runs the tests.
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.store.environment())
            .kill_on_drop(true);
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "DATABASE_URL", "DATABASE_URL_UNPOOLED", "ORIGIN"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `operate` with these answers on its standard input, and checks that it has not printed a secret.
    pub async fn run(&self, arguments: &[&str], answers: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(&binary());
        let mut child = command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("operate");
        // It may end without reading them.
        let _ = child.stdin.take().expect("a standard input").write_all(answers.as_bytes()).await;
        let output = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
        let output = Output::from(output.expect("operate hangs").expect("an output"));
        let mut secrets = answers.lines().map(str::to_owned).collect::<Vec<_>>();
        for parameter in
            ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys", "jwt-signing-key-next"]
        {
            secrets.push(self.parameter(parameter).await);
        }
        secrets.iter().for_each(|secret| output.assert_hides(secret));
        output
    }
}

/// The URL of the stack's pooler.
fn pooler() -> reqwest::Url {
    Settings::shared().get("DATABASE_URL").parse().expect("a URL")
}

pub fn binary() -> PathBuf {
    program("operate").expect("a program")
}

/// Runs `operate smoke` against an API.
pub async fn smoke(api: &Api) -> Output {
    let output = Command::new(binary()).args(["smoke", "--api-url", api.base()]).kill_on_drop(true).output();
    tokio::time::timeout(TIMEOUT, output).await.expect("operate hangs").expect("an output").into()
}

/// Runs `operate` on a database of no stage, with nobody to answer it, and checks that it has not printed the address.
pub async fn on_database(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut operate = Command::new(binary());
    operate.args(arguments).current_dir(root()).envs(variables.iter().copied());
    operate.env_remove("STAGE").env("DATABASE_URL_UNPOOLED", url);
    let output = tokio::time::timeout(TIMEOUT, operate.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = Output::from(output.expect("operate hangs").expect("an output"));
    output.assert_hides(url);
    output
}
