//! Reads `template.yaml` as SAM does: `Globals` apply to every function.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The template as JSON, as [`yaml`] reads it.
#[derive(Clone, Debug)]
pub struct Template {
    json: Value,
    functions: Vec<Function>,
}

#[derive(Clone, Debug)]
pub struct Function {
    /// The name of its binary.
    pub name: String,
    pub logical_id: String,
    pub properties: Value,
    pub routes: Vec<Route>,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub method: String,
    /// With parameters: `/users/{user_id}`.
    pub path: String,
}

impl Template {
    /// # Errors
    /// The file cannot be read, is not YAML, or a function has no binary or an event that is not a route.
    pub fn read(file: &Path) -> Result<Self> {
        yaml(file).and_then(Self::parse).with_context(|| format!("cannot read {}", file.display()))
    }

    fn parse(json: Value) -> Result<Self> {
        let on_routes = resources(&json, "AWS::Serverless::Function")
            .filter(|(_, resource)| resource["Properties"]["Events"].is_object());
        let functions = on_routes.map(|(logical_id, resource)| {
            let mut properties = json["Globals"]["Function"].clone();
            merge(&mut properties, &resource["Properties"]);
            let parse = || {
                let name = text(&resource["Metadata"]["BuildProperties"]["Binary"])?;
                let events = properties["Events"].as_object().context("no events")?.values();
                Ok::<_, anyhow::Error>((name, events.map(route).collect::<Result<_>>()?))
            };
            let (name, routes) = parse().with_context(|| format!("the function {logical_id}"))?;
            Ok(Function { name, logical_id: logical_id.clone(), properties, routes })
        });
        let functions = functions.collect::<Result<_>>()?;
        Ok(Self { json, functions })
    }

    /// The properties of a resource, without the `Globals` of functions.
    pub fn properties(&self, logical_id: &str) -> &Value {
        &self.json["Resources"][logical_id]["Properties"]
    }

    /// All of it.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The logical ids and properties of all resources of a type.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        resources(&self.json, kind).map(|(logical_id, resource)| (logical_id, &resource["Properties"]))
    }

    /// The functions of the API: those with events.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }
}

/// A file's only document as JSON, where CloudFormation's `!Ref X` is `{"Ref": "X"}`.
///
/// # Errors
/// The file cannot be read, or is not YAML that CloudFormation supports.
pub fn yaml(file: &Path) -> Result<Value> {
    let documents = Yaml::load_from_str(&fs::read_to_string(file)?)?;
    let [document] = &documents[..] else { bail!("expected one document") };
    to_json(document)
}

impl Function {
    /// The logical ids of its policies.
    pub fn policies(&self) -> BTreeSet<String> {
        let policies = self.properties["Policies"].as_array().into_iter().flatten();
        policies.filter_map(|policy| text(&policy["Ref"]).ok()).collect()
    }

    /// An environment variable; null when it is not declared.
    pub fn variable(&self, name: &str) -> &Value {
        &self.properties["Environment"]["Variables"][name]
    }
}

fn resources<'a>(json: &'a Value, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let resources = json["Resources"].as_object().into_iter().flatten();
    resources.filter(move |(_, resource)| resource["Type"] == kind)
}

fn route(event: &Value) -> Result<Route> {
    let properties = &event["Properties"];
    let is_route = event["Type"] == "HttpApi" && properties["ApiId"] == json!({"Ref": "Api"});
    ensure!(is_route, "an event that is not a route of Api: {event}");
    Ok(Route { method: text(&properties["Method"])?, path: text(&properties["Path"])? })
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("expected a string, not {value}"))?.to_owned())
}

/// The function's own properties override the global ones.
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

fn to_json(yaml: &Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.0),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => Value::Array(items.iter().map(to_json).collect::<Result<_>>()?),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(name, value)| Ok((text(&to_json(name)?)?, to_json(value)?)));
            Value::Object(entries.collect::<Result<_>>()?)
        }
        Yaml::Tagged(tag, value) => {
            let name = if tag.suffix == "Ref" { tag.suffix.clone() } else { format!("Fn::{}", tag.suffix) };
            Value::Object(Map::from_iter([(name, to_json(value)?)]))
        }
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => bail!("CloudFormation does not support {yaml:?}"),
    })
}
