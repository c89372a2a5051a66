//! A stage in CloudFormation and Lambda: deployed, updated, taken back and removed, by the real `sam` as far as moto goes.

use std::{collections::BTreeSet, fs};

use migrate::RELEASE;
use regex::Regex;
use serde_json::Value;
use tests::{database::column, operate::Checkout, template::template};

const STACK: &str = "task-api-dev";

/// What the stack has and moto's CloudFormation leaves out, and who looks at it instead.
const NOT_IN_MOTO: [(&str, &str); 7] = [
    ("AWS::ApiGatewayV2::Api", "transform: each route leads to its function's alias, which it may call"),
    ("AWS::ApiGatewayV2::Stage", "template: the limits of routes; the local gateway, in every test over HTTP"),
    ("AWS::CloudWatch::Alarm", "template, transform: their metrics are of what there is, and are written"),
    ("AWS::CodeDeploy::Application", "nobody: it has no properties but the platform"),
    ("AWS::CodeDeploy::DeploymentGroup", "transform: its alarms exist, and can be ignored"),
    ("AWS::Logs::MetricFilter", "alarms: what they count is compared with lines that were logged"),
    ("AWS::Logs::QueryDefinition", "alarms: their fields are compared with lines that were logged"),
];

pub(crate) async fn deployed() -> Checkout {
    let checkout = Checkout::with_template().await;
    checkout.store_secrets().await;
    deploy(&checkout).await;
    checkout
}

async fn deploy(checkout: &Checkout) -> String {
    checkout.run(&["deploy"], "", &[]).await.success()
}

/// Deploys other code, and returns its commit.
async fn deploy_change(checkout: &Checkout, text: &str) -> String {
    checkout.write("code.txt", text);
    checkout.commit().await;
    let output = deploy(checkout).await;
    let commit = output.lines().find_map(|line| line.trim().strip_prefix("commit ")).expect("a commit");
    commit.split_once(' ').expect("a subject").0.to_owned()
}

/// The version of the function that every commit changes.
async fn live(checkout: &Checkout) -> String {
    live_of(checkout, "Health").await
}

async fn live_of(checkout: &Checkout, function: &str) -> String {
    let versions = checkout.store.live_versions().await;
    let mut of_function = versions.into_iter().filter(|(name, _)| name.starts_with(&format!("{STACK}-{function}-")));
    of_function.next().unwrap_or_else(|| panic!("no function {function}")).1
}

pub(crate) fn transformed(checkout: &Checkout) -> Value {
    serde_json::from_str(&fs::read_to_string(checkout.path(".aws-sam/build/transformed.json")).unwrap()).unwrap()
}

/// The types of the resources that every stack has. The others' parameters are looked at by `parameters` and cfn-lint.
fn wanted(template: &Value) -> BTreeSet<String> {
    let resources = template["Resources"].as_object().unwrap().values();
    resources
        .filter(|resource| resource["Condition"].is_null())
        .map(|resource| resource["Type"].as_str().unwrap().to_owned())
        .collect()
}

/// The text of each element of this name.
fn elements(xml: &str, name: &str) -> BTreeSet<String> {
    let element = Regex::new(&format!("<{name}>([^<]+)</{name}>")).unwrap();
    element.captures_iter(xml).map(|found| found[1].to_owned()).collect()
}

#[tokio::test]
async fn every_resource_that_moto_knows_is_created_and_protected() {
    let checkout = deployed().await;
    let resources = checkout.store.cloudformation("DescribeStackResources", STACK).await;
    assert_eq!(elements(&resources, "ResourceStatus"), ["CREATE_COMPLETE".to_owned()].into());
    let missing = wanted(&transformed(&checkout)).difference(&elements(&resources, "ResourceType")).cloned().collect();
    assert_eq!(NOT_IN_MOTO.map(|(kind, _)| kind.to_owned()).into_iter().collect::<BTreeSet<_>>(), missing);
    let stack = checkout.store.cloudformation("DescribeStacks", STACK).await;
    assert_eq!(elements(&stack, "StackStatus"), ["CREATE_COMPLETE".to_owned()].into());
    assert_eq!(elements(&stack, "EnableTerminationProtection"), ["true".to_owned()].into());
    assert_eq!(live(&checkout).await, "1");
}

#[tokio::test]
async fn a_rollback_makes_the_deployment_before_live_again_and_a_commit_any() {
    let checkout = deployed().await;
    let rollback = async |variables: &[(&str, &str)]| checkout.run(&["rollback"], "", variables).await;
    let error = rollback(&[]).await.failure();
    assert!(error.contains("there is no deployment before the live one"), "{error}");

    let second = deploy_change(&checkout, "second").await;
    assert_eq!(live(&checkout).await, "2");
    let output = rollback(&[]).await.success();
    assert!(output.contains("dev goes back to release ") && output.contains("the token is revoked"), "{output}");
    assert_eq!(live(&checkout).await, "1");

    let error = rollback(&[("TO", "1234567")]).await.failure();
    assert!(error.contains("commit 1234567 was not deployed") && error.contains(&second), "{error}");
    rollback(&[("TO", &second)]).await.success();
    assert_eq!(live(&checkout).await, "2");

    deploy_change(&checkout, "third").await;
    assert_eq!(live(&checkout).await, "3");
    rollback(&[]).await.success();
    assert_eq!(live(&checkout).await, "2");
    deploy_change(&checkout, "fourth").await;
    rollback(&[]).await.success();
    assert_eq!(live(&checkout).await, "2", "not what was taken back before");
}

/// CloudFormation compares templates: a function whose code is the same would stay where the rollback put it.
#[tokio::test]
async fn the_deployment_after_a_rollback_replaces_every_function() {
    let checkout = deployed().await;
    deploy_change(&checkout, "second").await;
    let versions = async || (live(&checkout).await, live_of(&checkout, "Signup").await);
    assert_eq!(versions().await, ("2".to_owned(), "1".to_owned()));
    checkout.run(&["rollback"], "", &[]).await.success();
    deploy(&checkout).await;
    assert_eq!(versions().await, ("3".to_owned(), "2".to_owned()));
    // And the one after that no more than it has to.
    deploy_change(&checkout, "third").await;
    assert_eq!(versions().await, ("4".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn a_rollback_never_leads_to_code_that_the_schema_does_not_serve() {
    let checkout = deployed().await;
    deploy_change(&checkout, "second").await;
    let database = checkout.database.connect().await.unwrap();
    let contract = "UPDATE _sqlx_migrations SET contracting = '99.0.0' WHERE version = 5";
    database.batch_execute(contract).await.unwrap();
    let error = checkout.run(&["rollback"], "", &[]).await.failure();
    assert!(error.contains(".sql has taken away what releases before 99.0.0 need"), "{error}");
    assert_eq!(live(&checkout).await, "2");
}

/// As release 0.1.0 was: deployed without a record, neither in the Parameter Store nor in the database.
#[tokio::test]
async fn a_rollback_leads_to_the_first_release_as_well_and_starts_the_grace_period_anew() {
    let checkout = deployed().await;
    let database = checkout.database.connect().await.unwrap();
    checkout.store.remove(&checkout.parameter_name("deployments")).await;
    database.batch_execute("DELETE FROM _releases").await.unwrap();
    deploy_change(&checkout, "second").await;
    let releases = "SELECT release FROM _releases";
    assert_eq!(column(&database, releases).await.unwrap(), [RELEASE]);

    let output = checkout.run(&["rollback"], "", &[]).await.success();
    assert!(output.contains("dev goes back to release 0.1.0, commit unknown"), "{output}");
    assert_eq!(live(&checkout).await, "1");
    assert_eq!(column(&database, releases).await.unwrap(), ["0.1.0"]);
}

/// Execution environments of the version before may be left, which have read the keys of then.
#[tokio::test]
async fn after_a_rollback_a_key_rotation_waits_for_a_deployment() {
    let checkout = deployed().await;
    checkout.run(&["secrets", "rotate", "--step", "accept"], "", &[]).await.success();
    deploy(&checkout).await;
    checkout.run(&["rollback"], "", &[]).await.success();
    let error = checkout.run(&["secrets", "rotate", "--step", "sign"], "", &[]).await.failure();
    assert!(error.contains("run `make deploy STAGE=dev` first"), "{error}");
}

#[tokio::test]
async fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let checkout = Checkout::with_template().await;
    checkout.store_secrets().await;
    let dry_run = async || checkout.run(&["deploy", "--dry-run"], "", &[]).await.success();
    let shown = dry_run().await;
    assert!(shown.contains("+ Add") && shown.contains("AWS::Lambda::Function"), "{shown}");
    assert!(checkout.store.live_versions().await.is_empty());
    // What was only looked at can be deployed, and looked at again.
    deploy(&checkout).await;
    checkout.write("code.txt", "second");
    checkout.commit().await;
    let shown = dry_run().await;
    assert!(shown.contains("* Modify"), "{shown}");
    assert_eq!(live(&checkout).await, "1");
}

#[tokio::test]
async fn a_stage_that_asks_changes_nothing_without_an_answer() {
    let checkout = Checkout::create().await;
    let prod = [("STAGE", "prod")];
    checkout.run(&["secrets", "set"], &format!("{}\n", checkout.owner_url()), &prod).await.success();
    let refused = checkout.run(&["deploy"], "", &prod).await.failure();
    assert!(refused.contains("deploy prod? There is no terminal to ask on: confirm with YES=1"), "{refused}");
    assert_eq!(checkout.sam_log().len(), 2);
    assert!(checkout.sam_log()[1].contains("--no-execute-changeset"), "{:?}", checkout.sam_log());
    let database = checkout.database.connect().await.unwrap();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    assert!(column(&database, tables).await.unwrap().is_empty());
}

#[tokio::test]
async fn alarms_are_ignored_only_for_the_deployment_that_says_so() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.run(&["deploy", "--ignore-alarms"], "", &[]).await.success();
    deploy(&checkout).await;
    let deploys: Vec<_> = checkout.sam_log().into_iter().filter(|line| line.starts_with("deploy")).collect();
    assert!(deploys[0].ends_with("IgnoreAlarms=\"true\"") && deploys[1].ends_with("IgnoreAlarms=\"false\""));
}

#[tokio::test]
async fn more_than_the_account_has_left_is_not_reserved() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let samconfig = fs::read_to_string(checkout.path("samconfig.toml")).unwrap();
    let reserve = async |each: u32| {
        checkout.write(
            "samconfig.toml",
            &samconfig.replace("\"Stage=dev\"", &format!("\"Stage=dev\", \"ReservedConcurrency={each}\"")),
        );
        checkout.commit().await;
        checkout.run(&["deploy"], "", &[]).await
    };
    let count = u32::try_from(template().functions().len()).unwrap();
    // Of an account's 1,000, 100 stay for the functions that reserve none.
    let most = 900 / count;
    let error = reserve(most + 1).await.failure();
    assert!(error.contains(&format!("reserves {} executions", (most + 1) * count)), "{error}");
    assert!(error.contains("the account has 900 left"), "{error}");
    assert_eq!(checkout.sam_log(), [""; 0]);
    reserve(most).await.success();
    // What the stage has reserved already is its own.
    for function in checkout.store.live_versions().await.into_keys() {
        checkout.store.reserve(&function, most).await;
    }
    reserve(most - 1).await.success();
    assert!(reserve(most + 1).await.failure().contains("reserves"));
}

#[tokio::test]
async fn a_stage_is_removed_after_a_confirmation() {
    let checkout = deployed().await;
    let refused = checkout.run(&["remove"], "", &[]).await.failure();
    assert!(refused.contains("Remove the stack task-api-dev") && refused.contains("YES=1"), "{refused}");
    assert_eq!(live(&checkout).await, "1");
    checkout.run(&["remove", "--yes"], "", &[]).await.success();
    assert!(checkout.store.cloudformation("DescribeStacks", STACK).await.contains("does not exist"));
    assert!(checkout.store.live_versions().await.is_empty());
    let error = checkout.run(&["remove", "--yes"], "", &[]).await.failure();
    assert!(error.contains("there is no stack task-api-dev"), "{error}");
}
