//! The pages for operators: what is marked in them as a test's, as written.

use std::fs;

use tests::{
    database::{Scratch, column},
    operate::{Checkout, Run, binary},
    workspace::root,
};

/// The blocks of a page that are marked so, in their order.
fn blocks(page: &str, mark: &str) -> Vec<String> {
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

/// Runs it in a checkout, where `sam` only records what it is asked for.
async fn run(checkout: &Checkout, script: &str, variables: &[(&str, &str)]) -> String {
    // The programs that are built already, instead of cargo.
    let programs = format!("OPERATE={} RELEASE=", binary().display());
    let mut bash = checkout.command("bash".as_ref());
    bash.args(["-euo", "pipefail", "-c", script]).env_remove("STAGE").env("MAKEFLAGS", programs);
    Run::of(bash.envs(variables.iter().copied()).output().await.unwrap()).succeeded()
}

#[tokio::test]
async fn a_stage_is_made_released_again_given_other_keys_and_removed_as_the_page_says() {
    let checkout = Checkout::create().await;
    let [pooled, direct] = checkout.addresses();
    // Nobody waits for an hour: the last token of the old key expires after a second.
    let variables = [("DATABASE_URL", &*pooled), ("DATABASE_URL_UNPOOLED", &*direct), ("TOKEN_LIFETIME_SECONDS", "1")];
    let script = blocks("deploy.md", "sh test").concat();
    let script =
        script.replace("make rotate-keys STAGE=dev STEP=drop ", "sleep 1; make rotate-keys STAGE=dev STEP=drop ");
    let said = run(&checkout, &script, &variables).await;
    assert!(said.contains("would be applied") && said.contains("nothing to apply"), "{said}");
    assert_eq!(said.matches("dev is released: ").count(), 6, "{said}");
    assert!(said.contains("/task-api/dev/jwt-signing-key removed"), "{said}");
    assert!(!said.contains("postgresql://"), "{said}");
}

#[tokio::test]
async fn the_page_on_operating_shows_the_databases_tables() {
    let checkout = Checkout::create().await;
    let [_, direct] = checkout.addresses();
    let said =
        run(&checkout, &blocks("operations.md", "sh test").concat(), &[("DATABASE_URL_UNPOOLED", &direct)]).await;
    assert!(said.contains("Slow queries") && !said.contains("not to be had"), "{said}");
}

/// The two scenarios of the specification that SQL brings back, between two databases as between two branches.
#[tokio::test]
async fn deleted_tasks_and_a_deleted_account_come_back_as_the_page_says() {
    let checkout = Checkout::create().await;
    // Only some of the ways to have PostgreSQL bring its client along.
    if checkout.command("psql".as_ref()).arg("--version").output().await.is_err() {
        return println!("there is no psql here: not tested");
    }
    let (before, main) = (Scratch::migrated().await.unwrap(), Scratch::migrated().await.unwrap());
    let account = "11111111-1111-4111-8111-111111111111";
    let user = format!(
        "INSERT INTO users (id, email, password_hash, token_version) VALUES ('{account}', 'ada@example.com', repeat('x', 60), 7);"
    );
    let task = |number: u8, title: &str| {
        format!(
            "INSERT INTO tasks (id, user_id, title) VALUES ('00000000-0000-4000-8000-00000000000{number}', '{account}', '{title}');"
        )
    };
    let then = [&user, &task(1, "deleted"), &task(2, "old")].map(String::as_str).concat();
    before.connect().await.unwrap().batch_execute(&then).await.unwrap();
    let now = main.connect().await.unwrap();
    now.batch_execute(&[&user, &task(2, "new"), &task(3, "newer")].map(String::as_str).concat()).await.unwrap();

    let addresses = [("BEFORE", before.url()), ("MAIN", main.url()), ("ACCOUNT", account)];
    let titles = "SELECT title::text FROM tasks ORDER BY id";
    let [tasks, whole_account] = &blocks("operations.md", "sh test-psql")[..] else { panic!("two scenarios") };
    run(&checkout, tasks, &addresses).await;
    assert_eq!(column(&now, titles).await.unwrap(), ["deleted", "new", "newer"]);

    now.batch_execute("DELETE FROM users").await.unwrap();
    run(&checkout, whole_account, &addresses).await;
    assert_eq!(column(&now, titles).await.unwrap(), ["deleted", "old"]);
    assert_eq!(column(&now, "SELECT token_version::text FROM users").await.unwrap(), ["8"]);
}
