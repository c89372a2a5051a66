//! What a million requests cost: the durations in the functions' log times AWS's prices.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use cli::price;
use comfy_table::{CellAlignment, Table, presets};
use gateway::template::Template;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::smoke::{Client, Session};

/// Calls every route `rounds` times, one request after the other, and prints what that cost according to the log.
pub(crate) async fn run(api: &str, log: &Path, template: &Path, rounds: u32) -> anyhow::Result<()> {
    let memory = memory_by_route(&Template::read(template)?)?;
    let api = Client::new(api)?;
    let before = read(log)?.len();
    for _ in 0..rounds {
        round(&api).await?;
    }
    let text = read(log)?;
    let lines = text.get(before..).unwrap_or_default().lines();
    let mut durations = BTreeMap::<String, Vec<f64>>::new();
    for line in lines.filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        if !line.cold_start {
            durations.entry(line.route).or_default().push(line.duration_ms);
        }
    }
    println!("{}", table(durations, &memory)?);
    Ok(())
}

fn read(log: &Path) -> anyhow::Result<String> {
    fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))
}

/// The memory of each route's function in MB.
fn memory_by_route(template: &Template) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut memory = BTreeMap::new();
    for function in template.functions() {
        let size = function.properties["MemorySize"].as_f64();
        let size = size.with_context(|| format!("the function {} has no MemorySize", function.name))?;
        memory.extend(function.routes.iter().map(|route| (format!("{} {}", route.method, route.path), size)));
    }
    Ok(memory)
}

/// A log line of a request.
#[derive(Deserialize)]
struct Line {
    route: String,
    duration_ms: f64,
    cold_start: bool,
}

/// Every route once.
async fn round(api: &Client) -> anyhow::Result<()> {
    let send = async |request: RequestBuilder| request.send().await?.error_for_status();
    send(api.request(Method::GET, "/health")).await?;
    send(api.request(Method::GET, "/.well-known/jwks.json")).await?;
    let account =
        json!({ "email": format!("costs-{}@example.com", Uuid::new_v4().simple()), "password": "correct horse" });
    send(api.request(Method::POST, "/users/signup").json(&account)).await?;
    let signin: serde_json::Value =
        send(api.request(Method::POST, "/users/signin").json(&account)).await?.json().await?;
    let refresh = json!({ "refresh_token": signin["refresh_token"] });
    send(api.request(Method::POST, "/users/token").json(&refresh)).await?;
    let session = Session::parse(&signin)?;
    let own = |method, rest: &str| session.request(api, method, rest);

    send(own(Method::GET, "")).await?;
    send(own(Method::GET, "/sessions")).await?;
    let change = json!({ "current_password": "correct horse", "email": account["email"] });
    send(own(Method::PUT, "").json(&change)).await?;
    let task: serde_json::Value =
        send(own(Method::POST, "/tasks").json(&json!({ "title": "Buy milk" }))).await?.json().await?;
    let path = format!("/tasks/{}", task["id"].as_str().context("a task without an id")?);
    send(own(Method::GET, "/tasks")).await?;
    send(own(Method::GET, &path)).await?;
    send(own(Method::PUT, &path).json(&json!({ "completed": true }))).await?;
    send(own(Method::DELETE, &path)).await?;
    send(own(Method::DELETE, "")).await?;
    Ok(())
}

fn table(durations: BTreeMap<String, Vec<f64>>, memory: &BTreeMap<String, f64>) -> anyhow::Result<Table> {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header([
        "route",
        "warm requests",
        "fastest ms",
        "median ms",
        "slowest ms",
        "memory MB",
        "$ a million: function",
        "with the gateway",
    ]);
    for (route, mut times) in durations {
        times.sort_by(f64::total_cmp);
        let [fastest, .., slowest] = &times[..] else { continue };
        let median = times.get(times.len() / 2).unwrap_or(fastest);
        let memory = memory.get(&route).with_context(|| format!("the template has no route {route}"))?;
        let function = price::of_million_invocations(*median, *memory);
        table.add_row([
            route,
            times.len().to_string(),
            format!("{fastest:.1}"),
            format!("{median:.1}"),
            format!("{slowest:.1}"),
            format!("{memory:.0}"),
            format!("{function:.2}"),
            format!("{:.2}", function + price::MILLION_GATEWAY_REQUESTS),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    Ok(table)
}
