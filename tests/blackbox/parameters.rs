//! The parameters of `template.yaml`: what goes together, and what `samconfig.toml` gives each stage.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use regex::Regex;
use serde_json::{Value, json};
use tests::{
    template::{Template, template},
    workspace::root,
};

type Parameters = BTreeMap<String, String>;

/// A stage in `samconfig.toml`.
struct Stage {
    stack: String,
    tags: String,
    parameters: Parameters,
}

fn stages() -> Vec<Stage> {
    static OVERRIDE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(?m)^ +"(\w+)=([^"]*)""#).unwrap());
    let text = fs::read_to_string(root().join("samconfig.toml")).unwrap();
    let sections = text.split(".deploy.parameters]").skip(1);
    let stages = sections.map(|section| {
        let value = |name: &str| section.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).unwrap();
        Stage {
            stack: value("stack_name").trim_matches('"').to_owned(),
            tags: value("tags").to_owned(),
            parameters: OVERRIDE.captures_iter(section).map(|of| (of[1].to_owned(), of[2].to_owned())).collect(),
        }
    });
    stages.collect()
}

fn parameters(given: &[(&str, &str)]) -> Parameters {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Whether a condition of a rule is true. Parameters that are not given have their defaults.
fn holds(condition: &Value, template: &Template, given: &Parameters) -> bool {
    let value = |of: &Value| match of["Ref"].as_str() {
        Some(name) => {
            let default = || template.json()["Parameters"][name]["Default"].as_str().map(str::to_owned);
            given.get(name).cloned().or_else(default).unwrap_or_else(|| panic!("no parameter {name}"))
        }
        None => of.as_str().unwrap().to_owned(),
    };
    let (function, arguments) = condition.as_object().unwrap().iter().next().unwrap();
    let arguments = arguments.as_array().unwrap();
    let mut holding = arguments.iter().map(|argument| holds(argument, template, given));
    match function.as_str() {
        "Fn::Equals" => value(&arguments[0]) == value(&arguments[1]),
        "Fn::Not" => !holding.next().unwrap(),
        "Fn::And" => holding.all(|holds| holds),
        "Fn::Or" => holding.any(|holds| holds),
        _ => panic!("{function}"),
    }
}

/// What CloudFormation says against these parameters.
fn refusals(given: &Parameters) -> Vec<String> {
    let template = template();
    let rules = template.json()["Rules"].as_object().unwrap().values();
    let rules = rules.filter(|rule| holds(&rule["RuleCondition"], &template, given));
    let assertions = rules.flat_map(|rule| rule["Assertions"].as_array().unwrap());
    let refused = assertions.filter(|assertion| !holds(&assertion["Assert"], &template, given));
    refused.map(|assertion| assertion["AssertDescription"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn parameters_that_need_each_other_are_refused_alone() {
    let (domain, certificate) = (("DomainName", "api.example.com"), ("CertificateArn", "arn:aws:acm:…"));
    let (path, address) = (("BasePath", "v1"), ("AlarmEmail", "ops@example.com"));
    let (budget, sender) = (("MonthlyBudget", "50"), ("MailFrom", "tasks@example.com"));
    for (given, refused_for) in [
        (&[][..], None),
        (&[domain], Some("CertificateArn")),
        (&[certificate], Some("DomainName")),
        (&[path], Some("DomainName")),
        (&[domain, certificate], None),
        (&[domain, certificate, path], None),
        (&[budget], Some("AlarmEmail")),
        (&[budget, ("AlarmEmail", "none")], Some("AlarmEmail")),
        (&[budget, address], None),
        (&[sender], Some("PageUrl")),
        (&[sender, ("PageUrl", "https://tasks.example.com/")], None),
    ] {
        let refusals = refusals(&parameters(&[&[("Stage", "dev")], given].concat()));
        let is_expected = refusals.len() == usize::from(refused_for.is_some())
            && refusals.iter().all(|refusal| refused_for.is_some_and(|name| refusal.contains(name)));
        assert!(is_expected, "{given:?}: {refusals:?}");
    }
}

#[test]
fn prod_says_who_is_told_of_alarms() {
    for (email, refused) in [("", true), ("none", false), ("ops@example.com", false)] {
        let given = parameters(&[("Stage", "prod"), ("AlarmEmail", email)]);
        assert_eq!(!refusals(&given).is_empty(), refused, "{email:?}");
    }
}

#[test]
fn every_stage_gives_parameters_that_the_template_takes() {
    let template = template();
    for Stage { stack, parameters, .. } in stages() {
        for (name, value) in &parameters {
            let declared = &template.json()["Parameters"][name];
            assert!(!declared.is_null(), "{stack}: {name}");
            let values = declared["AllowedValues"].as_array();
            assert!(values.is_none_or(|values| values.contains(&json!(value))), "{stack}: {name}={value}");
            let pattern = declared["AllowedPattern"].as_str().unwrap_or(".*");
            assert!(Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(value), "{stack}: {name}={value}");
        }
        let to_be_told = refusals(&parameters);
        assert_eq!(to_be_told.len(), usize::from(parameters["Stage"] == "prod"), "{stack}: {to_be_told:?}");
    }
}

/// Without the tag, a stage's budget watches nothing.
#[test]
fn every_stage_has_the_tag_that_its_budget_watches() {
    let template = template();
    let watched = &template.properties("Budget")["Budget"]["CostFilters"]["TagKeyValue"];
    assert_eq!(watched, &json!([{"Fn::Sub": "user:stack$${AWS::StackName}"}]));
    let stages = stages();
    assert_eq!(stages.len(), 3);
    for Stage { stack, tags, .. } in stages {
        assert_eq!(tags, format!("[\"project=task-api\", \"stack={stack}\"]"));
    }
}

#[test]
fn the_number_of_functions_to_reserve_for_is_the_documented_one() {
    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let count = template().functions().len();
    assert!(text.contains(&format!("> {count} functions × the sum of their `ReservedConcurrency`")), "{count}");
}
