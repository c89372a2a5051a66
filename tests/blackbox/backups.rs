//! `operate backup` and `operate restore-backup`: a dump that was tried out, and the way back.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal};
use serde_json::json;
use tempfile::TempDir;
use tests::{
    caller::SESSIONS,
    command::Output,
    database::{TestDatabase, client_program, column, connect_as_superuser, direct_url, migrations, wait_for_row},
    operate::{Checkout, binary, on_database},
    store::ParameterStore,
    template::template,
};
use tokio_postgres::Client;

const DATA: &str = "
    INSERT INTO users (id, email, password_hash)
    SELECT gen_random_uuid(), n || '@example.com', repeat('x', 60) FROM generate_series(1, 20) AS n;
    INSERT INTO tasks (user_id, title, status, due_date, request_hash)
    SELECT id, E'A secret title of\\n' || email, 'pending', now(), sha256('1') FROM users, generate_series(1, 50);
    INSERT INTO tags (name) VALUES ('home'), ('über');
    INSERT INTO task_tags (task_id, tag_id) SELECT tasks.id, tags.id FROM tasks, tags;
    INSERT INTO password_resets (token_hash, user_id) SELECT sha256('1'), id FROM users LIMIT 1;";

/// Rows of all tables with accounts and tasks, but for the version of an account's tokens, which moves.
const CONTENTS: &str = "
    SELECT (to_jsonb(users) - 'token_version')::text FROM users UNION ALL SELECT to_jsonb(tasks)::text FROM tasks
    UNION ALL SELECT to_jsonb(tags)::text FROM tags UNION ALL SELECT to_jsonb(task_tags)::text FROM task_tags ORDER BY 1";

/// Somebody waits for a lock.
const WAITS: &str = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A database with data, and a folder for backups.
struct Source {
    database: TestDatabase,
    client: Client,
    folder: TempDir,
    public: String,
    secret: String,
    /// The real one, as a script.
    pg_dump: String,
}

impl Source {
    /// None where PostgreSQL was installed without the programs of its clients.
    async fn create() -> Option<Self> {
        let pg_dump = client_program("pg_dump")?;
        // Hosts give their customers a role that owns the database, and creates others.
        let mut database = TestDatabase::create().await.unwrap();
        database.create_owner("of the owner: 100 %").await.unwrap();
        database.let_owner_create_databases().await.unwrap();
        database.migrate(&migrations(), &["up"]).await.unwrap().success();
        let client = database.connect().await.unwrap();
        client.batch_execute(&format!("{DATA}{SESSIONS}")).await.unwrap();
        let (public, secret) = keys();
        let pg_dump = format!("exec {} \"$@\"", pg_dump.display());
        Some(Self { database, client, folder: TempDir::new().unwrap(), public, secret, pg_dump })
    }

    fn owner(&self) -> String {
        format!("{}_owner", self.database.name())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes shell scripts PostgreSQL's programs, and returns their folder.
    fn programs(&self, dump: &str, restore: &str) -> String {
        let folder = self.path("programs");
        fs::create_dir_all(&folder).unwrap();
        for (name, script) in [("pg_dump", dump), ("pg_restore", restore)] {
            fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        folder.to_str().unwrap().to_owned()
    }

    /// Backs it up to a place.
    async fn back_up(&self, to: &str, variables: &[(&str, &str)]) -> Output {
        let variables = [&[("TO", to), ("BACKUP_KEY", &self.public)], variables].concat();
        let output = on_database(self.database.url(), &["backup"], &variables).await;
        for secret in ["secret title", "example.com", "of the owner"] {
            output.assert_hides(secret);
        }
        self.ensure_no_scratch_database().await;
        output
    }

    async fn ensure_no_scratch_database(&self) {
        let databases =
            format!("SELECT datname::text FROM pg_database WHERE pg_get_userbyid(datdba) = '{}'", self.owner());
        assert_eq!(column(&self.client, &databases).await.unwrap(), [self.database.name()]);
    }

    /// The path of a backup.
    async fn backup(&self) -> String {
        let file = self.path("the.dump.age").to_str().unwrap().to_owned();
        self.back_up(&file, &[]).await.success();
        file
    }
}

/// A public key and its secret one.
fn keys() -> (String, String) {
    let printed = Command::new(binary()).arg("backup-key").output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let key = |line: &str| line.split_once(' ').unwrap().0.to_owned();
    let keys: Vec<_> = printed.lines().map(key).collect();
    let [public, secret] = &keys[..] else { panic!("two keys") };
    assert!(public.starts_with("age1") && secret.starts_with("AGE-SECRET-KEY-1"), "{public}");
    (public.clone(), secret.clone())
}

/// Restores a backup to a database.
async fn restore(from: &str, to: &TestDatabase, key: &str, variables: &[(&str, &str)]) -> Output {
    let variables = [&[("FROM", from), ("BACKUP_KEY", key)], variables].concat();
    let output = on_database(to.url(), &["restore-backup"], &variables).await;
    for secret in ["secret title", "example.com", key] {
        output.assert_hides(secret);
    }
    output
}

#[tokio::test]
async fn a_backup_is_encrypted_and_restored_as_it_was_but_for_sessions() {
    let Some(source) = Source::create().await else { return };
    let printed = source.back_up(&format!("{}/new/", source.folder.path().display()), &[]).await.success();
    let (file, rest) = printed.split_once(": ").unwrap();
    assert!(rest.ends_with("restored to a scratch database and found equal\n"), "{printed}");
    assert!(file.contains(&format!("/new/{}-20", source.database.name())) && file.ends_with("Z.dump.age"), "{file}");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(source.path("new")).unwrap().count(), 1);
    let bytes = fs::read(file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n") && !bytes.windows(6).any(|window| window == b"secret"));

    let (target, dump) = (TestDatabase::create().await.unwrap(), source.path("dump"));
    let pg_restore = client_program("pg_restore").unwrap();
    let keep = format!("cat >{0}; exec {1} \"$@\" <{0}", dump.display(), pg_restore.display());
    let programs = source.programs(&source.pg_dump, &keep);
    let printed = restore(file, &target, &source.secret, &[("PG_BIN", &programs)]).await.success();
    assert!(printed.contains("restored, and equal to what was backed up\n"), "{printed}");
    let restored = target.connect().await.unwrap();
    let contents = column(&restored, CONTENTS).await.unwrap();
    assert_eq!(contents.len(), 20 + 1000 + 2 + 2000);
    assert_eq!(contents, column(&source.client, CONTENTS).await.unwrap());
    let list = Command::new(pg_restore).arg("--list").arg(&dump).output().unwrap().stdout;
    let list = String::from_utf8(list).unwrap();
    assert!(list.contains("TABLE DATA public users"), "{list}");
    for table in ["sessions", "password_resets"] {
        assert!(!list.contains(&format!("TABLE DATA public {table} ")), "{list}");
        let rows = format!("SELECT 'a row' FROM {table}");
        assert_eq!(column(&restored, &rows).await.unwrap(), [""; 0], "{table}");
        assert!(!column(&source.client, &rows).await.unwrap().is_empty(), "{table}");
    }
    let status = target.migrate(&migrations(), &["up"]).await.unwrap().success();
    assert!(status.contains("nothing to apply"), "{status}");
}

#[tokio::test]
async fn what_is_written_meanwhile_is_not_in_the_backup() {
    let Some(source) = Source::create().await else { return };
    let writer = source.database.connect().await.unwrap();
    // It has counted the tasks when it waits for the table that it reads last.
    let write =
        "BEGIN; LOCK TABLE users; INSERT INTO tasks (user_id, title, status) SELECT id, 'later', 'pending' FROM users";
    writer.batch_execute(write).await.unwrap();
    let ((), file) = tokio::join!(
        async {
            wait_for_row(&source.client, WAITS).await;
            writer.batch_execute("COMMIT").await.unwrap();
        },
        source.backup()
    );
    let target = TestDatabase::create().await.unwrap();
    restore(&file, &target, &source.secret, &[]).await.success();
    let later = "SELECT 'later' FROM tasks WHERE title = 'later'";
    assert_eq!(column(&target.connect().await.unwrap(), later).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_interrupted_backup_leaves_nothing_behind() {
    let Some(source) = Source::create().await else { return };
    let lock = source.database.connect().await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let mut operate = tokio::process::Command::new(binary());
    operate.arg("backup").env_remove("STAGE").env("TO", source.folder.path()).env("BACKUP_KEY", &source.public);
    operate.env("DATABASE_URL_UNPOOLED", source.database.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let operate = operate.kill_on_drop(true).spawn().unwrap();
    wait_for_row(&source.client, WAITS).await;
    assert_eq!(fs::read_dir(source.folder.path()).unwrap().count(), 1);
    let pid = Pid::from_raw(operate.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    assert_eq!(Output::from(operate.wait_with_output().await.unwrap()).failure(), "error: interrupted");
    assert_eq!(fs::read_dir(source.folder.path()).unwrap().count(), 0);
    source.ensure_no_scratch_database().await;
}

#[tokio::test]
async fn a_backup_that_is_damaged_or_for_another_key_is_not_restored() {
    let Some(source) = Source::create().await else { return };
    let file = source.backup().await;
    let (bytes, changed, cut) = (fs::read(&file).unwrap(), source.path("changed"), source.path("cut"));
    let target = TestDatabase::create().await.unwrap();
    let refuses = async |file: &Path, key: &str, message: &str| {
        let error = restore(file.to_str().unwrap(), &target, key, &[]).await.failure();
        assert!(error.contains(message), "{error}");
    };
    refuses(Path::new(&file), &keys().1, "the backup was made for another key").await;
    refuses(Path::new(&file), &source.public, "no secret key (AGE-SECRET-KEY-1…), but the public one").await;
    refuses(Path::new(&file), "", "is no secret key").await;
    refuses(&source.path("none"), &source.secret, "cannot read ").await;
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&changed, other).unwrap();
    refuses(&changed, &source.secret, "the backup is damaged").await;
    for length in [bytes.len() - 1, bytes.len() / 2] {
        fs::write(&cut, &bytes[..length]).unwrap();
        refuses(&cut, &source.secret, "the backup is damaged").await;
    }
    fs::write(&cut, "-- PostgreSQL database dump").unwrap();
    refuses(&cut, &source.secret, "this is no backup").await;
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(column(&target.connect().await.unwrap(), tables).await.unwrap(), [""; 0]);

    restore(&file, &target, &source.secret, &[]).await.success();
    refuses(Path::new(&file), &source.secret, "the database is not empty").await;
}

#[tokio::test]
async fn a_backup_that_does_not_restore_is_not_kept_and_none_is_overwritten() {
    let Some(source) = Source::create().await else { return };
    let file = source.backup().await;
    let before = fs::read(&file).unwrap();
    assert!(source.back_up(&file, &[]).await.failure().contains("exists already"));
    assert_eq!(fs::read(&file).unwrap(), before);

    let other = source.path("other").to_str().unwrap().to_owned();
    for (key, message) in [("", "BACKUP_KEY is not set"), ("age1nonsense", "is no secret key")] {
        let error = source.back_up(&other, &[("BACKUP_KEY", key)]).await.failure();
        assert!(error.contains(message), "{error}");
    }
    // Programs that are too old, that fail, that restore nothing.
    for (dump, restore, message) in [
        ("echo 'pg_dump (PostgreSQL) 9.6.24'", "", "the newest is 9: install postgresql-client-"),
        (
            "[ $1 = --version ] && exec echo 'pg_dump (PostgreSQL) 99'; echo 'pg_dump: error: no luck' >&2; exit 1",
            "",
            "pg_dump: no luck",
        ),
        (
            &source.pg_dump,
            "echo 'pg_restore: error: no luck' >&2; echo 'CONTEXT: secret title' >&2; exit 1",
            "pg_restore: no luck",
        ),
        (&source.pg_dump, "cat >/dev/null", "what was restored is not what was backed up: "),
    ] {
        let error = source.back_up(&other, &[("PG_BIN", &source.programs(dump, restore))]).await.failure();
        assert!(error.contains(message), "{error}");
    }
    let files = fs::read_dir(source.folder.path()).unwrap().count();
    assert_eq!(files, 2, "the first backup, and the programs");
}

#[tokio::test]
async fn a_backup_is_tried_out_on_another_server_if_the_own_one_has_no_room() {
    let Some(source) = Source::create().await else { return };
    let sql = format!("ALTER ROLE {} NOCREATEDB", source.owner());
    connect_as_superuser().await.batch_execute(&sql).await.unwrap();
    let to = source.path("backup").to_str().unwrap().to_owned();
    let error = source.back_up(&to, &[]).await.failure();
    assert!(error.contains("set SCRATCH to an address that can"), "{error}");
    source.back_up(&to, &[("SCRATCH", &direct_url())]).await.success();
}

#[tokio::test]
async fn a_backup_goes_to_s3_and_comes_back_from_there() {
    let Some(source) = Source::create().await else { return };
    let store = ParameterStore::start().await;
    store.create_bucket("task-api-backups").await;
    let aws: Vec<_> = store.environment().into_iter().chain([("AWS_EC2_METADATA_DISABLED", "true")]).collect();
    let printed = source.back_up("s3://task-api-backups/dev", &aws).await.success();
    let (object, _) = printed.split_once(": ").unwrap();
    assert!(object.starts_with("s3://task-api-backups/dev/scratch_"), "{object}");

    let target = TestDatabase::create().await.unwrap();
    for (from, variables) in [("s3://task-api-backups/none", &aws), ("s3://no-such-bucket/none", &aws)] {
        let error = restore(from, &target, &source.secret, variables).await.failure();
        assert!(error.contains(&format!("cannot read {from}")), "{error}");
    }
    restore(object, &target, &source.secret, &aws).await.success();
    let restored = column(&target.connect().await.unwrap(), CONTENTS).await.unwrap();
    assert_eq!(restored, column(&source.client, CONTENTS).await.unwrap());
    assert!(source.back_up("s3://no-such-bucket/dev", &aws).await.failure().contains("was not written"));
}

#[tokio::test]
async fn the_scheduled_backup_is_made_by_the_commands_and_with_the_rights_in_the_template() {
    if client_program("pg_dump").is_none() {
        return;
    }
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.let_owner_create_databases().await.unwrap();
    checkout.store.create_bucket("the-bucket").await;
    let (template, (public, _)) = (template(), keys());
    let build = template.properties("Backup");

    let script = build["Source"]["BuildSpec"].as_str().unwrap();
    let (_, script) = script.split_once("build:\n").unwrap();
    let commands: Vec<_> = script.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    let mut bash = checkout.command("bash".as_ref());
    bash.args(["-ec", &commands.join("\n")]).current_dir(checkout.path("."));
    // The program that is built already, and the branch that Git makes here.
    bash.env("MAKEFLAGS", format!("OPERATE={}", binary().display()));
    for variable in build["Environment"]["EnvironmentVariables"].as_array().unwrap() {
        let (name, source) = (variable["Name"].as_str().unwrap(), checkout.path("."));
        let value = match name {
            "STAGE" => "dev",
            "TO" => "s3://the-bucket/dev",
            "BACKUP_KEY" => &public,
            "SOURCE" => &format!("file://{}", source.display()),
            "REVISION" => &git_branch(&source),
            // For the packages that are installed.
            "POSTGRES" => continue,
            _ => panic!("what is {name}?"),
        };
        bash.env(name, value);
    }
    let printed = Output::from(bash.output().await.unwrap()).success();
    assert!(printed.starts_with("s3://the-bucket/dev/dev-20") && printed.contains("found equal"), "{printed}");

    let policies = template.properties("BackupRole")["Policies"].as_array().unwrap();
    let statements = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
    let rights: Vec<_> = statements.map(|it| (it["Action"].clone(), it["Resource"]["Fn::Sub"].as_str())).collect();
    let [_, (s3, Some(objects)), (ssm, Some(parameter)), (kms, _)] = &rights[..] else { panic!("{rights:?}") };
    assert_eq!((s3, *objects), (&json!(["s3:PutObject", "s3:AbortMultipartUpload"]), "${Backups.Arn}/${Stage}/*"));
    assert_eq!((ssm, kms), (&json!("ssm:GetParameters"), &json!("kms:Decrypt")));
    assert!(parameter.ends_with(":parameter/task-api/${Stage}/database-url-unpooled"), "{parameter}");
}

fn git_branch(checkout: &Path) -> String {
    let branch = Command::new("git").args(["branch", "--show-current"]).current_dir(checkout).output().unwrap();
    String::from_utf8(branch.stdout).unwrap().trim().to_owned()
}
