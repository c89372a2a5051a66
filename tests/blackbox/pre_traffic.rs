//! CodeDeploy's hook before traffic. A stand-in plays CodeDeploy and Lambda to it, and sends what it invokes to the
//! functions.

use std::{
    net::Ipv4Addr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tests::{api::invoke, database::program, template::template};
use tokio::{net::TcpListener, process::Command, sync::oneshot};

const TIMEOUT: Duration = Duration::from_secs(60);

/// CodeDeploy's event, as Lambda passes it on.
const HOOK: &str = r#"{"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}"#;

/// How the version that is deployed answers.
#[derive(Clone)]
enum Deployed {
    /// As the function of this name does.
    Function(String),
    /// With this, without an error.
    Answer(&'static str),
    /// It does not start.
    Fails,
}

/// What the hook tells CodeDeploy.
type Verdict = Arc<Mutex<Option<oneshot::Sender<Value>>>>;

#[derive(Clone)]
struct Cloud {
    revision: String,
    deployed: Deployed,
    verdict: Verdict,
    /// Whether the event is still to be handed out.
    event: Arc<Mutex<bool>>,
}

async fn serve(State(cloud): State<Cloud>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap_or_default();
    let target = parts.headers.get("x-amz-target").map(|target| target.to_str().unwrap().split_once('.').unwrap().1);
    match (parts.uri.path_and_query().unwrap().as_str(), target) {
        ("/2018-06-01/runtime/invocation/next", _) => {
            let is_first = std::mem::take(&mut *cloud.event.lock().unwrap());
            if !is_first {
                std::future::pending::<()>().await;
            }
            let headers = [
                ("lambda-runtime-aws-request-id", "1"),
                ("lambda-runtime-deadline-ms", "4102444800000"),
                ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:x"),
            ];
            (headers, HOOK).into_response()
        }
        (_, Some("GetDeployment")) => {
            assert_eq!(body["deploymentId"], "d-1");
            let revision = json!({"revisionType": "String", "string": {"sha256": "digest"}});
            json_of(&json!({"deploymentInfo": {"applicationName": "app", "revision": revision}}))
        }
        (_, Some("GetApplicationRevision")) => {
            assert_eq!(
                (&body["applicationName"], &body["revision"]["string"]["sha256"]),
                (&json!("app"), &json!("digest"))
            );
            json_of(&json!({"revision": {"revisionType": "String", "string": {"content": cloud.revision}}}))
        }
        (_, Some("PutLifecycleEventHookExecutionStatus")) => {
            let _ = cloud.verdict.lock().unwrap().take().unwrap().send(body);
            json_of(&json!({"lifecycleEventHookExecutionId": "e-1"}))
        }
        ("/2015-03-31/functions/task-api-dev-X/invocations?Qualifier=7", _) => match cloud.deployed {
            Deployed::Function(name) => json_of(&invoke(&name, &body).await),
            Deployed::Answer(answer) => answer.into_response(),
            Deployed::Fails => {
                let error =
                    json!({"errorMessage": "RequestId: 1 Error: Runtime exited", "errorType": "Runtime.ExitError"});
                ([("x-amz-function-error", "Unhandled")], error.to_string()).into_response()
            }
        },
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

fn json_of(value: &Value) -> Response {
    value.to_string().into_response()
}

/// What CloudFormation deploys to an alias.
fn revision() -> String {
    let properties = json!({"Name": "task-api-dev-X", "Alias": "live", "CurrentVersion": "6", "TargetVersion": "7"});
    let resource = json!({"task-api-dev-X": {"Type": "AWS::Lambda::Function", "Properties": properties}});
    json!({"version": "0.0", "Resources": [resource], "Hooks": [{"BeforeAllowTraffic": "hook"}]}).to_string()
}

/// What the hook says of a version, and what it logs.
async fn verdict(revision: &str, deployed: Deployed) -> (String, String) {
    let (sender, receiver) = oneshot::channel();
    let cloud = Cloud {
        revision: revision.to_owned(),
        deployed,
        verdict: Arc::new(Mutex::new(Some(sender))),
        event: Arc::new(Mutex::new(true)),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server =
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve).with_state(cloud)).await });
    let mut hook = Command::new(program("pre-traffic").unwrap())
        .env("AWS_LAMBDA_RUNTIME_API", &address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "CodeDeployHook_task-api-dev")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let told = tokio::time::timeout(TIMEOUT, receiver).await.expect("a verdict").unwrap();
    hook.start_kill().unwrap();
    let log = String::from_utf8(hook.wait_with_output().await.unwrap().stdout).unwrap();
    server.abort();
    assert_eq!((&told["deploymentId"], &told["lifecycleEventHookExecutionId"]), (&json!("d-1"), &json!("e-1")));
    (told["status"].as_str().unwrap().to_owned(), log)
}

#[test]
fn every_function_is_tried_out_by_a_hook_that_codedeploy_may_call_and_that_waits_for_it() {
    let template = template();
    let hook = template.properties("PreTraffic");
    assert!(hook["FunctionName"]["Fn::Sub"].as_str().unwrap().starts_with("CodeDeployHook_"), "{hook}");
    assert_eq!(hook["DeploymentPreference"], json!({"Enabled": false}), "nothing tries out the hook");
    for function in template.functions() {
        assert_eq!(function.properties["DeploymentPreference"]["Hooks"], json!({"PreTraffic": {"Ref": "PreTraffic"}}));
        assert!(hook["Timeout"].as_u64() > function.properties["Timeout"].as_u64(), "{}", function.name);
    }
}

#[tokio::test]
async fn a_new_version_of_any_function_gets_traffic_when_it_answers() {
    for function in template().functions() {
        let (status, log) = verdict(&revision(), Deployed::Function(function.name.clone())).await;
        assert_eq!((status.as_str(), log.as_str()), ("Succeeded", ""), "{}", function.name);
    }
}

#[tokio::test]
async fn a_new_version_that_fails_gets_no_traffic_and_the_log_says_why() {
    let not_json = "version: 0.0".to_owned();
    for (revision, deployed, cause) in [
        (revision(), Deployed::Fails, "version 7 of task-api-dev-X fails: \\\"RequestId: 1 Error: Runtime exited\\\""),
        (revision(), Deployed::Answer(r#"{"statusCode": 500}"#), "version 7 of task-api-dev-X answers with 500"),
        (revision(), Deployed::Answer("null"), "version 7 of task-api-dev-X answers with null"),
        (not_json, Deployed::Answer(r#"{"statusCode": 200}"#), "names no version"),
    ] {
        let (status, log) = verdict(&revision, deployed).await;
        assert_eq!(status, "Failed", "{cause}: {log}");
        assert!(log.contains(cause) && log.contains(r#""deployment":"d-1""#), "{cause}: {log}");
    }
}
