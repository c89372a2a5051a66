//! What `template.yaml` says of the functions, against what is true of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::{Value, json};
use tests::{
    template::{Function, template},
    workspace::{root, routes},
};

/// What API Gateway waits for a function at most, in seconds.
const GATEWAY_TIMEOUT: u64 = 30;
/// With this much memory (MB) Lambda gives a function one whole processor.
const WHOLE_PROCESSOR: u64 = 1769;

fn source(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn source_of(function: &Function) -> String {
    source(&format!("functions/{}/src/main.rs", function.name))
}

/// What stands between two texts, the first time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?} after {before:?}")).0
}

/// The settings that may be secrets which each kind of state reads when it starts.
fn settings_by_state() -> BTreeMap<String, BTreeSet<String>> {
    let states = source("shared/api/src/state.rs");
    let states = states.split("impl State for ").skip(1).map(|state| {
        let (name, rest) = state.split_once(" {").unwrap();
        let body = rest.split_once("\n}").unwrap().0;
        let list = body.split_once("secrets::read([").map_or("", |(_, list)| list.split_once(']').unwrap().0);
        let settings = list.split(',').map(|setting| setting.trim().trim_matches('"').to_owned());
        (name.to_owned(), settings.filter(|setting| !setting.is_empty()).collect())
    });
    states.collect()
}

/// The setting that a policy lets read: the one parameter it names, decrypted by nobody but the Parameter Store.
fn parameter_of(policy: &Value) -> String {
    let statements = &policy["PolicyDocument"]["Statement"];
    let [read, decrypt] = &statements.as_array().unwrap()[..] else { panic!("two statements: {policy}") };
    let resource = read["Resource"]["Fn::Sub"].as_str().unwrap();
    assert_eq!((&read["Action"], &decrypt["Action"]), (&json!("ssm:GetParameters"), &json!("kms:Decrypt")));
    let condition = json!({"StringEquals": {
        "kms:ViaService": {"Fn::Sub": "ssm.${AWS::Region}.amazonaws.com"},
        "kms:EncryptionContext:PARAMETER_ARN": {"Fn::Sub": resource},
    }});
    assert_eq!(decrypt["Condition"], condition);
    assert!(!resource.contains('*'), "{resource}");
    resource.split_once(":parameter").unwrap().1.to_owned()
}

#[test]
fn a_function_can_read_the_settings_that_its_state_reads_and_no_others() {
    let template = template();
    let states = settings_by_state();
    assert!(states["Issuer"].contains("JWT_SIGNING_KEY"), "{states:?}");
    let policies: BTreeMap<&String, String> = template
        .resources("AWS::IAM::ManagedPolicy")
        .map(|(name, properties)| (name, parameter_of(properties)))
        .collect();
    for function in template.functions() {
        let source = source_of(function);
        let state = between(&source, "async fn handle(", ", ").split_once(": &").unwrap().1;
        let settings = states.get(state).unwrap_or_else(|| panic!("{state} is not in shared/api/src/state.rs"));
        let named: BTreeMap<String, String> = settings
            .iter()
            .map(|setting| {
                let name = &function.variable(&format!("{setting}_PARAMETER"))["Fn::Sub"];
                (setting.clone(), name.as_str().unwrap_or_else(|| panic!("{setting} of {function:?}")).to_owned())
            })
            .collect();
        let readable: BTreeSet<String> = function.policies().iter().map(|policy| policies[policy].clone()).collect();
        assert_eq!(readable, named.into_values().collect(), "{}", function.name);
    }
}

#[test]
fn only_signin_can_read_the_signing_key() {
    let template = template();
    let functions = template.functions();
    let with_key = functions.iter().filter(|function| function.policies().contains("ReadSigningKey"));
    assert_eq!(with_key.map(|function| function.name.as_str()).collect::<Vec<_>>(), ["signin"]);
    let named = functions.iter().filter(|function| !function.variable("JWT_SIGNING_KEY_PARAMETER").is_null());
    assert_eq!(named.map(|function| function.name.as_str()).collect::<Vec<_>>(), ["signin"]);
}

#[test]
fn a_request_ends_before_its_function_and_a_function_before_the_gateway() {
    let budget: u64 = between(&source("shared/api/src/serve.rs"), "const BUDGET: Duration = Duration::from_secs(", ")")
        .parse()
        .unwrap();
    for function in template().functions() {
        let timeout = function.properties["Timeout"].as_u64().unwrap();
        assert!(budget < timeout && timeout < GATEWAY_TIMEOUT, "{}: {budget}, {timeout}", function.name);
    }
}

#[test]
fn functions_that_hash_a_password_have_a_whole_processor() {
    for function in template().functions() {
        let source = source_of(function);
        let hashes = source.contains("auth::hash(") || source.contains("auth::verify(");
        let memory = function.properties["MemorySize"].as_u64().unwrap();
        assert_eq!(memory >= WHOLE_PROCESSOR, hashes, "{} has {memory} MB", function.name);
    }
}

#[test]
fn a_function_is_called_what_its_binary_is_called() {
    for function in template().functions() {
        assert_eq!(function.logical_id.to_lowercase(), function.name.replace('-', ""));
    }
}

#[test]
fn the_errors_of_every_function_raise_an_alarm() {
    let template = template();
    let mut watched = BTreeSet::new();
    for (name, alarm) in template.resources("AWS::CloudWatch::Alarm") {
        let metrics = alarm["Metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(metrics.len() <= 11, "{name} adds up more than ten metrics");
        for metric in metrics.iter().map(|metric| &metric["MetricStat"]["Metric"]) {
            if metric["MetricName"] == "Errors" {
                watched.insert(metric["Dimensions"][0]["Value"]["Ref"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "Alarms"}]), "{name}");
    }
    assert_eq!(watched, template.functions().iter().map(|function| function.logical_id.clone()).collect());
}

#[test]
fn alarms_and_the_dashboard_show_metrics_that_are_written() {
    let template = template();
    let metrics = source("shared/api/src/metrics.rs");
    let written: BTreeSet<&str> =
        metrics.split("values.push((\"").skip(1).map(|metric| metric.split_once('"').unwrap().0).collect();
    let namespace = between(&metrics, "NAMESPACE: &'static str = \"", "\"");

    let own = template.resources("AWS::CloudWatch::Alarm").filter(|(_, alarm)| alarm["Namespace"] == namespace);
    let mut shown: BTreeSet<String> = own.map(|(_, alarm)| alarm["MetricName"].as_str().unwrap().to_owned()).collect();
    assert!(!shown.is_empty());
    let dashboard = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"].as_str().unwrap();
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    for widget in dashboard["widgets"].as_array().unwrap() {
        let mut of = "";
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            // "." is what the metric before has there, "..." all that it has.
            of = metric[0].as_str().filter(|of| !of.starts_with('.')).unwrap_or(of);
            if of == namespace && metric[0] != "..." {
                shown.insert(metric[1].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(shown.iter().map(String::as_str).collect::<BTreeSet<_>>(), written);
}

#[test]
fn the_gateway_lets_pages_use_every_method_there_is() {
    let template = template();
    let gateway = template.properties("Api");
    let methods: BTreeSet<String> = routes().into_iter().map(|route| route.method).collect();
    let allowed = gateway["CorsConfiguration"]["AllowMethods"].as_array().unwrap();
    assert_eq!(allowed.iter().map(|method| method.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), methods);
}

#[test]
fn a_route_with_a_limit_of_its_own_exists() {
    let template = template();
    let keys: BTreeSet<String> = routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let limited = template.properties("Api")["RouteSettings"].as_object().unwrap();
    assert!(limited.keys().all(|key| keys.contains(key)), "{limited:?}");
}
