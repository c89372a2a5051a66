//! The commands in the documents: blocks marked ```` ```sh test ```` are run as written.

use std::{fs, process::Stdio};

use migrate::GRACE_PERIOD;
use tests::{
    command::Output,
    database::{TestDatabase, client_program, column, migrations},
    operate::{Checkout, binary},
    workspace::{root, variable},
};

/// The marks of the blocks that tests run, by page.
const RUN: [(&str, &[&str]); 4] = [
    ("README.md", &["walk-through"]),
    ("docs/deploy.md", &["test", "test-github"]),
    ("docs/development.md", &["test"]),
    ("docs/operations.md", &["test", "test-restore", "test-backup"]),
];

/// The marks of those that no test runs. The page says why.
const NOT_RUN: [&str; 3] = ["aws", "long", "neon"];

/// Instead of cargo, the programs that are built already.
const CARGO: &str = r#"cargo() {
    if [ "$1" = xtask ]; then shift; set -- --bin xtask -- "$@"; fi
    while [ "$1" != --bin ]; do shift; done
    local program=$2
    shift 3
    "$PROGRAMS/$program" "$@"
}
"#;

/// The blocks of code in a page: their info strings, and their text.
fn all_blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("```") {
            Some(info) => {
                inside = !inside;
                blocks.extend(inside.then(|| (info.to_owned(), String::new())));
            }
            None if inside => blocks.last_mut().unwrap().1.extend([line, "\n"]),
            None => {}
        }
    }
    blocks
}

/// The blocks of a page below `docs/` with this info string.
pub(crate) fn blocks(page: &str, mark: &str) -> Vec<String> {
    let blocks = all_blocks(&format!("docs/{page}")).into_iter().filter(|(info, _)| info == mark);
    let blocks: Vec<_> = blocks.map(|(_, text)| text).collect();
    assert!(!blocks.is_empty(), "no block of {page} is marked {mark:?}");
    blocks
}

/// Runs a script in a checkout.
pub(crate) async fn run(checkout: &Checkout, script: &str, variables: &[(&str, &str)]) -> String {
    let programs = format!("OPERATE={} RELEASE=", binary().display());
    let more = format!("PATH=$PATH:{}:{}\n", beside("AWS"), variable("PG_BIN"));
    let mut bash = checkout.command("bash".as_ref());
    bash.args(["-euo", "pipefail", "-c", &[CARGO, &more, script].concat()]).stdin(Stdio::null());
    bash.env_remove("STAGE").env("MAKEFLAGS", programs);
    Output::from(bash.envs(variables.iter().copied()).output().await.unwrap()).success()
}

/// The folder of the program that this variable names.
fn beside(name: &str) -> String {
    let program = variable(name);
    program.rsplit_once('/').unwrap().0.to_owned()
}

#[test]
fn every_command_is_run_by_a_test_or_its_page_says_why_not() {
    let mut pages = vec!["CONTRIBUTING.md".to_owned(), "README.md".to_owned(), "SECURITY.md".to_owned()];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    pages.extend(docs.filter_map(|name| Some(format!("docs/{}", name.to_str()?))).filter(|name| name.ends_with(".md")));
    let mut runs = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let run = RUN.iter().find(|(name, _)| name == page).map_or(&[][..], |(_, marks)| marks);
        for (info, block) in all_blocks(page) {
            let Some(mark) = info.strip_prefix("sh") else { continue };
            let mark = mark.trim_start();
            assert!(run.contains(&mark) || NOT_RUN.contains(&mark), "{page}: {info:?}: {block}");
            if run.contains(&mark) {
                runs.push((page.as_str(), mark.to_owned()));
            } else {
                // The two pages for those who run the tests need no reason.
                let says_why = !page.starts_with("docs/") || text.contains(&format!("`sh {mark}`"));
                assert!(says_why, "{page} does not say why no test runs {info:?}");
            }
        }
    }
    for (page, mark) in RUN.iter().flat_map(|(page, marks)| marks.iter().map(move |mark| (*page, *mark))) {
        assert!(runs.contains(&(page, mark.to_owned())), "{page} has no block that is marked {mark:?}");
    }
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
    // The first of the list that is printed before. moto's groups do not name their key.
    let list = blocks("deploy.md", "sh test").into_iter().find(|block| block.starts_with("aws logs describe")).unwrap();
    let (delete, key) = ("aws logs delete-log-group", "KEY=$(aws kms list-keys --query Keys[0].KeyId --output text)");
    let script = script.replace(delete, &format!("read -r GROUP _ < <({list}); {key}; {delete}"));
    let output = run(&checkout, &script, &variables).await;
    assert!(output.contains("would be applied") && output.contains("nothing to apply"), "{output}");
    assert_eq!(output.matches("dev is released: ").count(), 9, "{output}");
    assert!(output.contains("dev goes back to release ") && output.contains("Deleted successfully"), "{output}");
    assert!(output.contains("/task-api/dev/jwt-signing-key removed") && output.contains("DeletionDate"), "{output}");
    assert!(!output.contains("postgresql://"), "{output}");
}

#[tokio::test]
async fn the_monitor_the_sweep_and_the_ends_of_all_sessions_work_as_documented() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    let script = blocks("operations.md", "sh test").concat();
    let script = script.replace("ACCOUNT=...", "ACCOUNT=11111111-1111-4111-8111-111111111111");
    let variables = [("DATABASE_URL_UNPOOLED", checkout.owner_url())];
    let output = run(&checkout, &script, &variables).await;
    assert!(output.contains("Slow queries") && !output.contains("not available"), "{output}");
    assert!(output.contains("0 tags that no task has were deleted"), "{output}");
    assert_eq!(output.matches("the sessions of 0 accounts were ended").count(), 2, "{output}");
    assert!(output.contains("nothing to apply") && output.contains("DELETE 0"), "{output}");
}

#[tokio::test]
async fn a_database_of_ones_own_and_that_of_dev_are_used_as_documented() {
    let mut database = TestDatabase::create().await.unwrap();
    database.create_owner("of the owner").await.unwrap();
    let checkout = Checkout::create().await;
    let script = blocks("development.md", "sh test").concat();
    // The stack of the tests stands for that of `make dev`.
    let script = script.replace("http://127.0.0.1:9003", &variable("LAMBDA_URL"));
    let script = script.replace(".local/dev/env", &variable("LOCAL_ENV_FILE"));
    let script = script.replace("FUNCTIONS_PASSWORD=...", "FUNCTIONS_PASSWORD='a long password of the functions'");
    let output = run(&checkout, &script, &[("DATABASE_URL_UNPOOLED", database.url())]).await;
    assert!(output.contains("would be applied") && output.contains("JWT_SIGNING_KEY="), "{output}");
    assert!(output.contains("statusCode\":200"), "{output}");
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
