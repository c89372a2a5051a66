//! The alarms of `template.yaml`, its dashboard and its saved queries, against what is measured, logged and documented.

use std::{collections::BTreeSet, fs, sync::LazyLock};

use api::{METRICS, METRICS_NAMESPACE};
use regex::Regex;
use serde_json::{Value, json};
use tests::{
    server::{Settings, TestServer, startup_error},
    store::ParameterStore,
    template::{Template, template},
    workspace::root,
};

use crate::password_resets::ask;

/// What an alarm can watch at most.
const METRICS_OF_AN_ALARM: usize = 10;
/// What CodeDeploy can watch at most.
const ALARMS_OF_A_DEPLOYMENT: usize = 10;

fn alarms(template: &Template) -> impl Iterator<Item = (&String, &Value)> {
    template.resources("AWS::CloudWatch::Alarm")
}

/// The metrics that an alarm watches: its own, or those of its expression.
fn metrics(alarm: &Value) -> Vec<&Value> {
    let queries = alarm["Metrics"].as_array().into_iter().flatten();
    let of_queries: Vec<_> = queries.filter_map(|query| query["MetricStat"].get("Metric")).collect();
    if of_queries.is_empty() { vec![alarm] } else { of_queries }
}

/// The widgets of the dashboard.
fn widgets(template: &Template) -> Vec<Value> {
    let body = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

/// The metric filters: the log each looks at, its pattern, and the metric it counts with.
fn filters(template: &Template) -> impl Iterator<Item = (&str, &str, &str)> {
    template.resources("AWS::Logs::MetricFilter").map(|(name, filter)| {
        let [counts] = &filter["MetricTransformations"].as_array().unwrap()[..] else { panic!("one metric: {name}") };
        assert_eq!(counts["MetricNamespace"], json!({"Fn::Sub": "TaskApi/${Stage}"}), "{name}");
        let [log, pattern, metric] = [&filter["LogGroupName"]["Ref"], &filter["FilterPattern"], &counts["MetricName"]]
            .map(|text| text.as_str().unwrap());
        (log, pattern, metric)
    })
}

/// The phrases in a filter's pattern for text, each of which is looked for alone.
fn phrases(template: &Template, metric: &str) -> Vec<String> {
    static PHRASE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""([^"]+)""#).unwrap());
    let (_, pattern, _) = filters(template).find(|(.., of)| *of == metric).unwrap();
    PHRASE.captures_iter(pattern).map(|phrase| phrase[1].to_owned()).collect()
}

#[test]
fn the_errors_of_every_function_raise_an_alarm() {
    let template = template();
    let mut watched = BTreeSet::new();
    for (name, alarm) in alarms(&template) {
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "Alarms"}]), "{name}");
        assert!(metrics(alarm).len() <= METRICS_OF_AN_ALARM, "{name}");
        for metric in metrics(alarm).into_iter().filter(|metric| metric["MetricName"] == "Errors") {
            watched.insert(metric["Dimensions"][0]["Value"]["Ref"].as_str().unwrap().to_owned());
            assert_eq!(alarm["Metrics"][0]["Expression"], "MAX(METRICS())", "{name}: the worst function's");
            assert!(alarm["Threshold"].as_f64().unwrap() < 0.1, "{name}: a rate, so that a canary's tenth is seen");
        }
        for query in alarm["Metrics"].as_array().into_iter().flatten() {
            let is_rate = query["MetricStat"]["Metric"]["MetricName"] == "Errors";
            assert!(!is_rate || query["MetricStat"]["Stat"] == "Average", "{name}: {query}");
        }
    }
    assert_eq!(watched, template.functions().iter().map(|function| function.logical_id.clone()).collect());
}

#[test]
fn a_deployment_is_stopped_by_alarms_that_exist_and_by_none_that_a_single_minute_raises() {
    let template = template();
    let existing: Vec<_> = alarms(&template).map(|(_, alarm)| (&alarm["AlarmName"], alarm)).collect();
    for function in template.functions() {
        let names = function.properties["DeploymentPreference"]["Alarms"]["Fn::If"][2].as_array().unwrap();
        assert!(names.len() <= ALARMS_OF_A_DEPLOYMENT, "{}", function.name);
        for name in names {
            let (_, alarm) = existing.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no alarm {name}"));
            let minutes = &alarm["DatapointsToAlarm"];
            assert!(minutes.as_u64() >= Some(2), "{name}: {minutes}");
        }
        let of_errors = existing.iter().filter(|(_, alarm)| metrics(alarm)[0]["MetricName"] == "Errors");
        assert!(of_errors.clone().count() > 0 && of_errors.into_iter().all(|(name, _)| names.contains(name)));
    }
}

#[test]
fn alarms_and_the_dashboard_show_metrics_that_are_written() {
    let template = template();
    let name = |metric: &Value| metric["MetricName"].as_str().unwrap().to_owned();
    let watched: Vec<&Value> = alarms(&template).flat_map(|(_, alarm)| metrics(alarm)).collect();

    let own = watched.iter().filter(|metric| metric["Namespace"] == METRICS_NAMESPACE);
    let mut shown: BTreeSet<String> = own.map(|metric| name(metric)).collect();
    assert!(!shown.is_empty());
    for widget in widgets(&template) {
        let mut of = "";
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            // "." is what the metric before has there, "..." all that it has.
            of = metric[0].as_str().filter(|of| !of.starts_with('.')).unwrap_or(of);
            if of == METRICS_NAMESPACE && metric[0] != "..." {
                shown.insert(metric[1].as_str().unwrap().to_owned());
            }
        }
    }
    let written = METRICS.iter().map(|metric| metric.name);
    assert_eq!(shown.iter().map(String::as_str).collect::<BTreeSet<_>>(), written.collect());

    let from_logs = watched.iter().filter(|metric| metric["Namespace"] == json!({"Fn::Sub": "TaskApi/${Stage}"}));
    let counted = filters(&template).map(|(.., metric)| metric.to_owned());
    assert_eq!(from_logs.map(|metric| name(metric)).collect::<BTreeSet<_>>(), counted.collect());
}

/// A search term in quotes matches a whole name only. Without quotes it matches words of the name.
#[test]
fn the_dashboard_finds_every_function() {
    let template = template();
    let named = template.functions().iter().find(|function| !function.properties["FunctionName"].is_null());
    assert!(named.is_none(), "{named:?}: CloudFormation's names begin with the stack's");

    let widgets = widgets(&template);
    let metrics = widgets.iter().flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    let searches: Vec<_> = metrics.filter_map(|metric| metric[0]["expression"].as_str()).collect();
    assert_eq!(searches.len(), 2);
    for search in searches {
        let (_, name) = search.split_once("FunctionName=").unwrap();
        assert!(name.starts_with("${AWS::StackName}'"), "{search}");
    }
}

#[test]
fn every_alarm_leads_to_its_paragraph_in_the_runbook() {
    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, section) = text.split_once("\n## Alarms\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let headings = section.lines().filter_map(|line| line.strip_prefix("### "));
    let paragraphs: BTreeSet<_> = headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect();

    let template = template();
    let links = alarms(&template).map(|(name, alarm)| {
        let description = alarm["AlarmDescription"]["Fn::Sub"].as_str().unwrap();
        let (_, anchor) = description.split_once(". ${Runbook}#").unwrap_or_else(|| panic!("no link in {name}"));
        anchor.to_owned()
    });
    assert_eq!(links.collect::<BTreeSet<_>>(), paragraphs);
}

/// A member that is a string is compared with one.
#[test]
fn the_gateways_log_is_counted_by_the_status_it_has() {
    let template = template();
    let format = template.properties("Api")["AccessLogSettings"]["Format"].as_str().unwrap();
    let line: Value = serde_json::from_str(format).unwrap();
    assert_eq!(line["status"], "$context.status");
    let patterns = filters(&template).filter(|(log, ..)| *log == "AccessLog").map(|(_, pattern, _)| pattern);
    let expected = [r#"{ $.status = "501" }"#, r#"{ $.status = "429" }"#];
    assert_eq!(patterns.collect::<BTreeSet<_>>(), expected.into());
    let alarm = template.properties("GatewayErrorsAlarm");
    assert_eq!(alarm["Metrics"][0]["Expression"], "errors - without_mail");
}

#[tokio::test]
async fn what_the_functions_log_of_the_parameter_store_is_counted() {
    let phrases = phrases(&template(), "ParameterStoreFailures");
    let store = ParameterStore::start().await;
    let settings = store.move_settings(&Settings::shared(), &["DATABASE_URL"]).await;
    let no_parameter = settings.clone().with("DATABASE_URL_PARAMETER", "/no/such");
    for settings in [no_parameter, settings.with("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")] {
        let error = startup_error(&settings, "/health").await;
        assert!(phrases.iter().any(|phrase| error.contains(phrase)), "{error}");
    }
}

#[tokio::test]
async fn a_mail_that_is_not_sent_is_counted() {
    let phrases = phrases(&template(), "MailFailures");
    let server = TestServer::start(&Settings::shared().with("MAIL_FOLDER", "/dev/null/mails"));
    let user = server.user().await;
    ask(&server.api, &user.email).await.expect(202);
    let log = server.output();
    assert!(log.lines().any(|line| phrases.iter().any(|phrase| line.contains(phrase))), "{log}");
}

/// The fields of log lines that a query uses: all its words but keywords, quoted text and the names that it defines.
fn members(query: &str) -> BTreeSet<String> {
    const LANGUAGE: &str =
        "and as by coalesce count desc display fields filter in ispresent like limit max or parse pct sort stats";
    let without = Regex::new(r#"(?m)^#.*$|"[^"]*"|/.*/"#).unwrap();
    let introduced = Regex::new(r"\bas (\w+)|\?<(\w+)>").unwrap();
    let introduced = introduced.captures_iter(query).map(|name| name.iter().flatten().last().unwrap().as_str());
    let known: BTreeSet<&str> = introduced.chain(LANGUAGE.split(' ')).collect();
    let words = Regex::new(r"@?[a-zA-Z_][\w.]*").unwrap();
    let query = without.replace_all(query, "");
    words.find_iter(&query).map(|word| word.as_str().to_owned()).filter(|word| !known.contains(word.as_str())).collect()
}

#[tokio::test]
async fn the_saved_queries_ask_for_members_that_lines_have() {
    let server = TestServer::start(&Settings::shared().with("MAIL_FOLDER", "/dev/null/mails"));
    let user = server.user().await;
    ask(&server.api, &user.email).await.expect(202);
    server.api.sign_in(&user.email, "wrong password").await.expect(401);
    let log = server.output();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ours = lines.iter().filter_map(Value::as_object).flat_map(|line| line.keys().cloned());
    // Lambda's lines, and what CloudWatch adds to all.
    let others =
        ["type", "record.status", "record.metrics.initDurationMs", "@timestamp", "@message", "@log", "@logStream"];
    let known: BTreeSet<String> = ours.chain(others.map(str::to_owned)).collect();

    let template = template();
    let queries: Vec<_> = template.resources("AWS::Logs::QueryDefinition").collect();
    assert!(!queries.is_empty());
    for (name, query) in queries {
        let unknown: Vec<_> = members(query["QueryString"].as_str().unwrap()).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{name} asks for {unknown:?}, which no line has: {known:?}");
    }
}
