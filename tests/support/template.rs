//! `template.yaml` as SAM reads it: its functions, with what is said for all of them applied to each.

use std::{collections::BTreeSet, fs};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::workspace::{Route, root};

/// The template as JSON, where CloudFormation's `!Ref X` is `{"Ref": "X"}`.
#[derive(Debug)]
pub struct Template(Value);

/// A function of the template.
#[derive(Debug)]
pub struct Function {
    /// The binary it runs, which is what the function is called.
    pub name: String,
    /// What the template calls it.
    pub logical_id: String,
    /// Its properties.
    pub properties: Value,
}

impl Template {
    /// Reads the template.
    pub fn read() -> Self {
        let text = fs::read_to_string(root().join("template.yaml")).expect("template.yaml");
        let documents = Yaml::load_from_str(&text).expect("YAML");
        let [document] = &documents[..] else { panic!("one document") };
        Self(to_json(document))
    }

    /// The properties of a resource that is no function.
    pub fn properties(&self, logical_id: &str) -> &Value {
        &self.0["Resources"][logical_id]["Properties"]
    }

    /// The properties of all resources of a type, by their names.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        let resources = self.0["Resources"].as_object().expect("resources").iter();
        resources.filter(move |(_, resource)| resource["Type"] == kind).map(|(id, it)| (id, &it["Properties"]))
    }

    /// Every function.
    pub fn functions(&self) -> Vec<Function> {
        let functions = self.resources("AWS::Serverless::Function").map(|(logical_id, own)| {
            let mut properties = self.0["Globals"]["Function"].clone();
            merge(&mut properties, own);
            let binary = &self.0["Resources"][logical_id]["Metadata"]["BuildProperties"]["Binary"];
            Function { name: text(binary), logical_id: logical_id.clone(), properties }
        });
        functions.collect()
    }

    /// The routes of every function, sorted.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> = self.functions().iter().flat_map(Function::routes).collect();
        routes.sort();
        routes
    }
}

impl Function {
    /// The routes it answers.
    pub fn routes(&self) -> Vec<Route> {
        let events = self.properties["Events"].as_object().expect("events").values();
        let routes = events.map(|event| {
            assert_eq!((&event["Type"], &event["Properties"]["ApiId"]), (&json!("HttpApi"), &json!({"Ref": "Api"})));
            let path = text(&event["Properties"]["Path"]);
            Route { path, method: text(&event["Properties"]["Method"]), function: self.name.clone() }
        });
        routes.collect()
    }

    /// The names of the policies it has.
    pub fn policies(&self) -> BTreeSet<String> {
        let policies = self.properties["Policies"].as_array().into_iter().flatten();
        policies.map(|policy| text(&policy["Ref"])).collect()
    }

    /// A variable of its environment; null when it is not declared.
    pub fn variable(&self, name: &str) -> &Value {
        &self.properties["Environment"]["Variables"][name]
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text is expected, not {value}")).to_owned()
}

/// What is said of one function goes before what is said of all.
fn merge(all: &mut Value, own: &Value) {
    match (all, own) {
        (Value::Object(all), Value::Object(own)) => {
            for (name, value) in own {
                merge(all.entry(name).or_insert(Value::Null), value);
            }
        }
        (all, own) => *all = own.clone(),
    }
}

fn to_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.0),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => entries.iter().map(|(name, value)| (text(&to_json(name)), to_json(value))).collect(),
        Yaml::Tagged(tag, value) => {
            let name = if tag.suffix == "Ref" { tag.suffix.clone() } else { format!("Fn::{}", tag.suffix) };
            Value::Object(Map::from_iter([(name, to_json(value))]))
        }
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => panic!("not for CloudFormation: {yaml:?}"),
    }
}
