//! The workflows for GitHub: what they may do, and that their commands do it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use regex::Regex;
use serde_json::{Value, json};
use tests::{
    operate::{Checkout, STAGE},
    template::yaml,
    workspace::root,
};

use crate::docs::{blocks, run};

/// The workflow that deploys one stage.
const DEPLOY_STAGE: &str = "./.github/workflows/deploy-stage.yml";

/// What a workflow calls the stage that it is for.
const STAGE_INPUT: &str = "${{ inputs.stage }}";

/// The workflows, by the paths that others refer to them by.
fn workflows() -> BTreeMap<String, Value> {
    let files = fs::read_dir(root().join(".github/workflows")).unwrap().map(|file| file.unwrap());
    let path = |name: &str| format!("./.github/workflows/{name}");
    files.map(|file| (path(file.file_name().to_str().unwrap()), yaml(&file.path()).unwrap())).collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

#[test]
fn no_workflow_has_a_stored_secret() {
    for (path, workflow) in workflows() {
        assert!(!workflow.to_string().contains("secrets"), "{path}");
    }
}

#[test]
fn only_a_deployment_can_get_credentials_and_no_workflow_can_do_more() {
    let (read, deploy) = (json!({"contents": "read"}), json!({"contents": "read", "id-token": "write"}));
    for (path, workflow) in workflows() {
        let allowed = |deploys: bool| if deploys { &deploy } else { &read };
        assert_eq!(&workflow["permissions"], allowed(path == DEPLOY_STAGE), "{path}");
        for (name, job) in jobs(&workflow).filter(|(_, job)| !job["permissions"].is_null()) {
            assert_eq!(&job["permissions"], allowed(job["uses"] == DEPLOY_STAGE), "{name} of {path}");
        }
    }
}

#[test]
fn an_action_has_one_version_everywhere() {
    let version = Regex::new(r"^[\w./-]+@v\d+\.\d+\.\d+$").unwrap();
    let workflows = workflows();
    let used = workflows.values().flat_map(jobs).flat_map(|(_, job)| steps(job).chain([job]));
    let used: BTreeSet<_> = used.filter_map(|user| user["uses"].as_str()).collect();
    let (own, actions): (Vec<_>, Vec<_>) = used.into_iter().partition(|used| used.starts_with("./"));
    assert!(own.iter().all(|path| workflows.contains_key(*path)), "{own:?}");
    assert!(actions.iter().all(|action| version.is_match(action)), "{actions:?}");
    let names: BTreeSet<_> = actions.iter().map(|action| action.split('@').next()).collect();
    assert_eq!(names.len(), actions.len(), "{actions:?}");
}

#[test]
fn every_target_that_a_workflow_makes_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets = Regex::new(r"\bmake ([\w-]+)").unwrap();
    for (path, workflow) in workflows() {
        for script in jobs(&workflow).flat_map(|(_, job)| steps(job)).filter_map(|step| step["run"].as_str()) {
            for target in targets.captures_iter(script) {
                assert!(makefile.contains(&format!("\n{}: ## ", &target[1])), "{} in {path}", &target[0]);
            }
        }
    }
}

#[test]
fn a_stage_is_deployed_after_the_tests_the_stage_before_it_and_its_approval() {
    let workflows = workflows();
    let deploy = &workflows["./.github/workflows/deploy.yml"];
    assert_eq!(deploy["on"], json!({"push": {"branches": ["main"]}}));
    let mut before = "test";
    assert_eq!(deploy["jobs"][before]["uses"], "./.github/workflows/test.yml");
    for stage in ["dev", "staging", "prod"] {
        let job = &deploy["jobs"][stage];
        assert_eq!((&job["uses"], &job["with"]), (&json!(DEPLOY_STAGE), &json!({"stage": stage})));
        assert_eq!(job["needs"], before);
        before = stage;
    }
    assert_eq!(jobs(deploy).count(), 4, "{deploy}");

    let [preview, deploy] = ["preview", "deploy"].map(|job| &workflows[DEPLOY_STAGE]["jobs"][job]);
    // Who may approve is a setting of the environment.
    assert_eq!(preview["environment"], format!("{STAGE_INPUT}-preview"));
    assert_eq!((&deploy["environment"], &deploy["needs"]), (&json!(STAGE_INPUT), &json!("preview")));
    let one_at_a_time = json!({"group": format!("deploy-{STAGE_INPUT}"), "cancel-in-progress": false});
    assert_eq!(deploy["concurrency"], one_at_a_time);
}

#[tokio::test]
async fn the_commands_of_a_deployment_show_it_and_then_do_it() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let workflow = &workflows()[DEPLOY_STAGE];
    assert_eq!(workflow["env"]["STAGE"], STAGE_INPUT);
    let summary = checkout.path("bin/summary");
    let variables = [("STAGE", STAGE), ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())];
    let script = |job: &str| {
        let steps = steps(&workflow["jobs"][job]).filter(|step| step["run"].is_string());
        steps
            .map(|step| {
                // Without it, GitHub's shell does not notice a failure before the end of a pipe.
                assert_eq!(step["shell"], "bash");
                format!("{}\n", step["run"].as_str().unwrap())
            })
            .collect::<String>()
    };

    let shown = run(&checkout, &script("preview"), &variables).await;
    assert!(shown.contains("would be applied") && shown.contains("Nothing was changed"), "{shown}");
    assert!(fs::read_to_string(&summary).unwrap().contains("    Nothing was changed"), "{shown}");
    assert!(checkout.sam_log().last().unwrap().contains("--no-execute-changeset"), "{shown}");
    assert_eq!(checkout.parameter("released").await, "");

    let done = run(&checkout, &script("deploy"), &variables).await;
    assert!(done.contains(&format!("{STAGE} is released: ")), "{done}");
    assert_ne!(checkout.parameter("released").await, "");
}

/// What the operator types, with an `aws` and a `gh` that write down what they are given.
#[tokio::test]
async fn each_environment_has_the_role_that_only_its_jobs_can_take() {
    let checkout = Checkout::create().await;
    let log = "for argument; do printf '%s\\0' \"$argument\"; done >>\"$SAM_LOG\"; printf '\\n\\0' >>\"$SAM_LOG\"";
    for (program, answer) in [("aws", "123456789012"), ("gh", "repo:ada@1/task-api@2")] {
        checkout.write(&format!("bin/{program}"), &format!("#!/bin/sh\n{log}\nprintf '%s\\n' {answer}\n"));
        fs::set_permissions(checkout.path(&format!("bin/{program}")), Permissions::from_mode(0o755)).unwrap();
    }
    run(&checkout, &blocks("deploy.md", "sh test-github").concat(), &[]).await;
    let log = fs::read_to_string(checkout.path("sam.log")).unwrap();
    let calls: Vec<Vec<_>> = log.split("\n\0").map(|call| call.split('\0').collect()).collect();
    let option = |call: &[&str], name: &str| {
        let position = call.iter().position(|argument| *argument == name)?;
        Some(call[position + 1].to_owned())
    };

    let mut roles = BTreeMap::new();
    for call in calls.iter().filter(|call| call.starts_with(&["iam", "create-role"])) {
        let trust: Value = serde_json::from_str(&option(call, "--assume-role-policy-document").unwrap()).unwrap();
        let condition = &trust["Statement"]["Condition"]["StringEquals"];
        assert_eq!(condition["token.actions.githubusercontent.com:aud"], "sts.amazonaws.com");
        let subject = condition["token.actions.githubusercontent.com:sub"].as_str().unwrap().to_owned();
        roles.insert(format!("arn:aws:iam::123456789012:role/{}", option(call, "--role-name").unwrap()), subject);
    }
    let mut environments = BTreeMap::new();
    for call in calls.iter().filter(|call| call.starts_with(&["variable", "set", "AWS_ROLE"])) {
        let environment = option(call, "--env").unwrap();
        environments
            .insert(option(call, "--body").unwrap(), format!("repo:ada@1/task-api@2:environment:{environment}"));
    }
    assert_eq!(roles, environments);
    assert_eq!(roles.len(), 2, "{roles:?}");
    for call in calls.iter().filter(|call| call.starts_with(&["iam", "put-role-policy"])) {
        let policy: Value = serde_json::from_str(&option(call, "--policy-document").unwrap()).unwrap();
        assert_eq!(policy["Statement"][0]["Action"], "ssm:GetParameters");
    }
}
