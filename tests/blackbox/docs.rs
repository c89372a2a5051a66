//! The pages for operators: what is marked in them as a test's, as written.

use std::fs;

use tests::{
    operate::{Checkout, Run, binary},
    workspace::root,
};

/// The blocks of a page that are marked, in their order, as one script.
fn script(page: &str) -> String {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let mut script = String::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        match line {
            "```sh test" => inside = true,
            "```" => inside = false,
            line if inside => script.extend([line, "\n"]),
            _ => {}
        }
    }
    assert!(!script.is_empty(), "no block of {page} is marked");
    script
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
    // Nobody waits for an hour.
    let variables = [("DATABASE_URL", &*pooled), ("DATABASE_URL_UNPOOLED", &*direct), ("TOKEN_LIFETIME_SECONDS", "0")];
    let said = run(&checkout, &script("deploy.md"), &variables).await;
    assert!(said.contains("would be applied") && said.contains("nothing to apply"), "{said}");
    assert_eq!(said.matches("dev is released: ").count(), 6, "{said}");
    assert!(said.contains("/task-api/dev/jwt-signing-key removed"), "{said}");
    assert!(!said.contains("postgresql://"), "{said}");
}

#[tokio::test]
async fn the_page_on_operating_shows_the_databases_tables() {
    let checkout = Checkout::create().await;
    let [_, direct] = checkout.addresses();
    let said = run(&checkout, &script("operations.md"), &[("DATABASE_URL_UNPOOLED", &direct)]).await;
    assert!(said.contains("Slow queries") && !said.contains("not to be had"), "{said}");
}
