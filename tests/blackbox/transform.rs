//! What SAM makes of `template.yaml`: the parts refer to one another as they must.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;
use tests::workspace::routes;

use crate::cloudformation::{deployed, transformed};

type Resources = BTreeMap<String, Value>;

fn of_type<'a>(resources: &'a Resources, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    resources.iter().filter(move |(_, resource)| resource["Type"] == kind).map(|(name, it)| (name, &it["Properties"]))
}

/// The alias of the function that answers a route.
fn alias_of(function: &str, resources: &Resources) -> String {
    let functions = of_type(resources, "AWS::Lambda::Function").map(|(name, _)| name);
    let name = functions.into_iter().find(|name| name.to_lowercase() == function.replace('-', ""));
    format!("{}Aliaslive", name.unwrap_or_else(|| panic!("{function} is no function")))
}

/// The names that a value refers to: resources, parameters, and pseudo parameters.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("Ref" | "DependsOn", Value::String(name)) => found.extend([name.clone()]),
                    ("Fn::GetAtt", Value::Array(path)) => found.extend(path[0].as_str().map(str::to_owned)),
                    ("Fn::GetAtt", Value::String(path)) => found.extend(path.split('.').next().map(str::to_owned)),
                    ("Fn::Sub", Value::String(text)) => found.extend(variables(text)),
                    ("Fn::Sub", Value::Array(parts)) => {
                        let own: BTreeSet<_> = parts[1].as_object().unwrap().keys().cloned().collect();
                        found.extend(variables(parts[0].as_str().unwrap()).into_iter().filter(|it| !own.contains(it)));
                        references(&parts[1], found);
                    }
                    _ => references(value, found),
                }
            }
        }
        _ => {}
    }
}

fn variables(text: &str) -> Vec<String> {
    let variable = Regex::new(r"\$\{([A-Za-z0-9:]+)").unwrap();
    variable.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Every route leads to the alias of its function, never to its newest code, and may call it.
fn routes_lead_to_aliases(resources: &Resources) {
    let permissions: Vec<_> = of_type(resources, "AWS::Lambda::Permission").map(|(_, permission)| permission).collect();
    let variable = Regex::new(r"\{[^}]+\}").unwrap();
    for route in routes() {
        let alias = alias_of(&route.function, resources);
        let method = route.method.to_lowercase();
        let integration = &resources["Api"]["Properties"]["Body"]["paths"][&route.path][&method];
        let uri = integration["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].as_str().unwrap();
        assert!(uri.contains(&format!("${{{alias}}}/invocations")), "{route:?}: {uri}");
        // A variable of a path is a `*`.
        let path = variable.replace_all(&route.path, "*");
        let source = format!("/{}{path}", route.method);
        let may_call = |permission: &&&Value| {
            let arn = permission["SourceArn"]["Fn::Sub"][0].as_str().unwrap();
            permission["FunctionName"]["Ref"] == alias && arn.ends_with(&format!("${{__Stage__}}{source}"))
        };
        let permission = permissions.iter().find(may_call).unwrap_or_else(|| panic!("nobody may call {route:?}"));
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
        assert_eq!(permission["SourceArn"]["Fn::Sub"][1]["__ApiId__"]["Ref"], "Api");
    }
}

/// An alarm watches what there is, and a deployment only alarms that there are.
fn alarms_are_of_this_stack(resources: &Resources) {
    let dimension = |metric: &Value, kinds: &[&str]| {
        for dimension in metric["Dimensions"].as_array().into_iter().flatten() {
            let Some(name) = dimension["Value"]["Ref"].as_str() else { continue };
            let known = resources.get(name).is_some_and(|it| kinds.contains(&it["Type"].as_str().unwrap()));
            assert!(known || name == "Stage", "{metric} is of {name}");
        }
    };
    let mut names = BTreeSet::new();
    for (_, alarm) in of_type(resources, "AWS::CloudWatch::Alarm") {
        names.insert(alarm["AlarmName"].to_string());
        let metrics = alarm["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["MetricStat"]["Metric"]);
        for metric in metrics.chain([alarm]) {
            dimension(metric, &["AWS::Lambda::Function", "AWS::ApiGatewayV2::Api", "AWS::CodeBuild::Project"]);
        }
    }
    for (name, group) in of_type(resources, "AWS::CodeDeploy::DeploymentGroup") {
        let alarms = &group["AlarmConfiguration"]["Fn::If"];
        assert_eq!((&alarms[0], &alarms[1]), (&"AlarmsAreIgnored".into(), &serde_json::json!({})), "{name}");
        let watched = alarms[2]["Alarms"].as_array().unwrap();
        assert!(
            !watched.is_empty() && watched.iter().all(|alarm| names.contains(&alarm["Name"].to_string())),
            "{name}"
        );
    }
}

/// CloudFormation refuses a circle.
fn nothing_refers_to_itself(resources: &Resources) {
    let mut known: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for (name, resource) in resources {
        let mut found = BTreeSet::new();
        references(resource, &mut found);
        found.retain(|name| resources.contains_key(name));
        known.insert(name, found);
    }
    while !known.is_empty() {
        let done: Vec<&String> = known.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
        assert!(!done.is_empty(), "a circle: {known:#?}");
        known.retain(|name, _| !done.contains(name));
        known.values_mut().for_each(|needs| needs.retain(|need| !done.contains(&need)));
    }
}

#[tokio::test]
async fn the_transformed_template_holds_together() {
    let template = transformed(&deployed().await);
    let resources: Resources = serde_json::from_value(template["Resources"].clone()).unwrap();
    routes_lead_to_aliases(&resources);
    alarms_are_of_this_stack(&resources);
    nothing_refers_to_itself(&resources);
}
