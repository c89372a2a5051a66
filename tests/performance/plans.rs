//! Where the server's time for a statement goes: unnamed, it is planned each time.

use anyhow::{Context, Result};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::{route::Route, samples::Samples};

/// How many requests of each route are looked at, after one that fills the server's caches.
const REQUESTS: usize = 20;

/// In milliseconds: the planning and the execution of a route's statements, and of the plainest ones.
pub(crate) struct Plans(Vec<(String, [Samples; 4])>);

impl Plans {
    /// Explains the statements, and leaves nothing of what they do.
    pub(crate) async fn read(client: &Client, routes: &[Route]) -> Result<Self> {
        let mut plans = Vec::new();
        for route in routes.iter().filter(|route| route.statements > 0) {
            let mut samples: [Samples; 4] = Default::default();
            for (number, (same, plainest)) in route.same.iter().zip(&route.plainest).take(1 + REQUESTS).enumerate() {
                let times = [explain(client, same).await?, explain(client, plainest).await?].concat();
                if number > 0 {
                    samples.iter_mut().zip(times).for_each(|(samples, time)| samples.add_round(vec![time]));
                }
            }
            plans.push((route.name.clone(), samples));
        }
        Ok(Self(plans))
    }

    /// As lines of a table.
    pub(crate) fn table(&self) -> String {
        let line = |(name, samples): &(String, [Samples; 4])| {
            let [planning, execution, least_planning, least_execution] = samples.each_ref().map(Samples::median);
            format!("| `{name}` | {planning:.2} | {execution:.2} | {least_planning:.2} | {least_execution:.2} |\n")
        };
        self.0.iter().map(line).collect()
    }
}

/// The time to plan and to execute statements in one transaction, which is rolled back.
async fn explain(client: &Client, statements: &[String]) -> Result<Vec<f64>> {
    let (mut planning, mut execution) = (0.0, 0.0);
    client.batch_execute("BEGIN").await?;
    for statement in statements {
        let messages = client.simple_query(&format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}")).await?;
        let text = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(text.context("no plan")?)?;
        planning += plan[0]["Planning Time"].as_f64().context("no planning time")?;
        execution += plan[0]["Execution Time"].as_f64().context("no execution time")?;
    }
    client.batch_execute("ROLLBACK").await?;
    Ok(vec![planning, execution])
}
