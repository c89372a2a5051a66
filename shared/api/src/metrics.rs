use domain::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use crate::{
    Problem,
    log::{SecurityEvent, millis},
};

/// What CloudWatch counts from a request's line, in its embedded metric format: the values, and under `_aws` which of
/// the line's members are metrics. Only what happened is counted, because every byte of a log is paid for.
pub(crate) struct Metrics<'a> {
    stage: &'a str,
    at: Timestamp,
    values: Vec<(&'static str, Unit, f64)>,
}

#[derive(Clone, Copy, Serialize)]
enum Unit {
    Count,
    Milliseconds,
}

impl<'a> Metrics<'a> {
    const NAMESPACE: &'static str = "TaskApi";

    pub(crate) fn new(
        stage: &'a str,
        at: Timestamp,
        event: Option<SecurityEvent>,
        problem: Option<&Problem>,
        database: db::Usage,
    ) -> Self {
        let mut values = Vec::new();
        if database.attempts > 0 {
            values.push(("DatabaseTime", Unit::Milliseconds, millis(database.time)));
        }
        if database.repeats > 0 {
            values.push(("Retries", Unit::Count, database.repeats.into()));
        }
        match event {
            Some(SecurityEvent::SigninFailed) => values.push(("SigninFailures", Unit::Count, 1.0)),
            Some(SecurityEvent::SigninThrottled) => values.push(("SigninsThrottled", Unit::Count, 1.0)),
            _ => {}
        }
        if matches!(problem, Some(Problem::Unavailable(_))) {
            values.push(("DatabaseUnavailable", Unit::Count, 1.0));
        }
        Self { stage, at, values }
    }
}

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.values.is_empty() {
            let units: Vec<_> = self.values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
            map.serialize_entry("stage", self.stage)?;
            for (name, _, value) in &self.values {
                map.serialize_entry(name, value)?;
            }
            let metrics = json!({"Namespace": Self::NAMESPACE, "Dimensions": [["stage"]], "Metrics": units});
            let timestamp = self.at.as_micros() / 1000;
            map.serialize_entry("_aws", &json!({"Timestamp": timestamp, "CloudWatchMetrics": [metrics]}))?;
        }
        map.end()
    }
}
