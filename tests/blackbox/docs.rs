//! The commands in the pages for operators: blocks marked ```` ```sh test ```` are run as written.

use std::fs;

use migrate::GRACE_PERIOD;
use tests::{
    command::Output,
    database::{TestDatabase, client_program, column, migrations},
    operate::{Checkout, binary},
    workspace::root,
};

/// The code blocks of a page with this info string.
pub(crate) fn blocks(page: &str, mark: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("```") {
            Some(info) => {
                inside = info == mark;
                blocks.extend(inside.then(String::new));
            }
            None if inside => blocks.last_mut().unwrap().extend([line, "\n"]),
            None => {}
        }
    }
    assert!(!blocks.is_empty(), "no block of {page} is marked {mark:?}");
    blocks
}

/// Runs a script in a checkout.
pub(crate) async fn run(checkout: &Checkout, script: &str, variables: &[(&str, &str)]) -> String {
    // Use the programs that are built already instead of cargo.
    let programs = format!("OPERATE={} RELEASE=", binary().display());
    let mut bash = checkout.command("bash".as_ref());
    bash.args(["-euo", "pipefail", "-c", script]).env_remove("STAGE").env("MAKEFLAGS", programs);
    Output::from(bash.envs(variables.iter().copied()).output().await.unwrap()).success()
}

#[tokio::test]
async fn a_stage_is_created_updated_given_new_keys_and_removed_as_documented() {
    let checkout = Checkout::with_template().await;
    // Tokens of a second: the last one of the old key expires soon.
    let variables = [("ADDRESS", checkout.owner_url()), ("TOKEN_LIFETIME_SECONDS", "1")];
    let script = blocks("deploy.md", "sh test").concat();
    let script =
        script.replace("make rotate-keys STAGE=dev STEP=drop ", "sleep 1; make rotate-keys STAGE=dev STEP=drop ");
    // A release to go back from.
    let commit = "git add . && git -c user.name=Test -c user.email=test@example.com commit -qm Next";
    let deploy = "make deploy STAGE=dev";
    let script = script.replace("make rollback", &format!("date >code.txt && {commit} && {deploy} && make rollback"));
    let output = run(&checkout, &script, &variables).await;
    assert!(output.contains("would be applied") && output.contains("nothing to apply"), "{output}");
    assert_eq!(output.matches("dev is released: ").count(), 9, "{output}");
    assert!(output.contains("dev goes back to release ") && output.contains("Deleted successfully"), "{output}");
    assert!(output.contains("/task-api/dev/jwt-signing-key removed"), "{output}");
    assert!(!output.contains("postgresql://"), "{output}");
}

#[tokio::test]
async fn the_monitor_the_sweep_and_the_ends_of_all_sessions_work_as_documented() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    let output = run(&checkout, &blocks("operations.md", "sh test").concat(), &[]).await;
    assert!(output.contains("Slow queries") && !output.contains("not available"), "{output}");
    assert!(output.contains("0 tags that no task has were deleted"), "{output}");
    assert_eq!(output.matches("the sessions of 0 accounts were ended").count(), 2, "{output}");
    assert!(output.contains("nothing to apply"), "{output}");
}

#[test]
fn the_grace_period_is_the_documented_one() {
    let days = GRACE_PERIOD.as_secs() / (24 * 60 * 60);
    let text = fs::read_to_string(root().join("docs/deploy.md")).unwrap();
    assert!(text.contains(&format!("live for {days} days (`migrate::GRACE_PERIOD`)")), "{days}");
}

/// Two databases stand for two branches at Neon.
#[tokio::test]
async fn deleted_tasks_and_a_deleted_account_are_restored_as_documented() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    let before = TestDatabase::migrated().await.unwrap();
    let account = "11111111-1111-4111-8111-111111111111";
    let user = format!(
        "INSERT INTO users (id, email, password_hash) VALUES ('{account}', 'ada@example.com', repeat('x', 60));"
    );
    let task = |number: u8, title: &str| {
        format!(
            "INSERT INTO tasks (id, user_id, title) VALUES ('00000000-0000-4000-8000-00000000000{number}', '{account}', '{title}');"
        )
    };
    let then = [&user, &task(1, "deleted"), &task(2, "old")].map(String::as_str).concat();
    before.connect().await.unwrap().batch_execute(&then).await.unwrap();
    let now = checkout.database.connect().await.unwrap();
    now.batch_execute(&[&user, &task(2, "new"), &task(3, "newer")].map(String::as_str).concat()).await.unwrap();

    let variables = [("FROM", before.url()), ("ACCOUNT", account)];
    let titles = "SELECT title::text FROM tasks ORDER BY id";
    let [tasks, whole_account] = &blocks("operations.md", "sh test-restore")[..] else { panic!("two scenarios") };
    run(&checkout, tasks, &variables).await;
    assert_eq!(column(&now, titles).await.unwrap(), ["deleted", "new", "newer"]);

    now.batch_execute("DELETE FROM users").await.unwrap();
    let output = run(&checkout, whole_account, &variables).await;
    assert_eq!(column(&now, titles).await.unwrap(), ["deleted", "old"]);
    assert!(!output.contains("postgresql://"), "{output}");
}

#[tokio::test]
async fn a_backup_is_made_and_restored_as_documented() {
    if client_program("pg_dump").is_none() {
        return;
    }
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    checkout.database.let_owner_create_databases().await.unwrap();
    let empty = TestDatabase::create().await.unwrap();

    let [make_keys, back_up, restore] = &blocks("operations.md", "sh test-backup")[..] else { panic!("three blocks") };
    let keys = run(&checkout, make_keys, &[]).await;
    let [public, secret] = &keys.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>()[..] else {
        panic!("two keys: {keys}")
    };
    run(&checkout, &back_up.replace("age1...", public), &[]).await;
    let file = fs::read_dir(checkout.path("backups")).unwrap().next().unwrap().unwrap().file_name();
    let restore = restore.replace("AGE-SECRET-KEY-1...", secret);
    let restore = restore.replace("dev-2026-11-24T10-14-59Z.dump.age", file.to_str().unwrap());
    let output = run(&checkout, &restore, &[("DATABASE_URL_UNPOOLED", empty.url())]).await;
    assert!(output.contains("restored, and equal to what was backed up"), "{output}");
}
