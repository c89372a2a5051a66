use domain::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use crate::{Problem, SecurityEvent, millis::millis};

/// The CloudWatch namespace of the metrics.
pub const METRICS_NAMESPACE: &str = "TaskApi";

/// All metrics.
pub const METRICS: [Metric; 5] = [
    Metric {
        name: "DatabaseTime",
        unit: "Milliseconds",
        value: |of| (of.database.attempts > 0).then(|| millis(of.database.time)),
    },
    Metric {
        name: "Retries",
        unit: "Count",
        value: |of| (of.database.retries > 0).then(|| of.database.retries.into()),
    },
    Metric { name: "SigninFailures", unit: "Count", value: |of| of.count(SecurityEvent::SigninFailed) },
    Metric { name: "SigninsThrottled", unit: "Count", value: |of| of.count(SecurityEvent::SigninThrottled) },
    Metric {
        name: "DatabaseUnavailable",
        unit: "Count",
        value: |of| matches!(of.problem, Some(Problem::Unavailable(_))).then_some(1.0),
    },
];

pub struct Metric {
    pub name: &'static str,
    unit: &'static str,
    /// `None` when there is nothing to count: every byte of a log is paid for.
    value: fn(&Outcome<'_>) -> Option<f64>,
}

/// What a request's metrics are computed from.
struct Outcome<'a> {
    event: Option<SecurityEvent>,
    problem: Option<&'a Problem>,
    database: db::Usage,
}

impl Outcome<'_> {
    fn count(&self, event: SecurityEvent) -> Option<f64> {
        (self.event == Some(event)).then_some(1.0)
    }
}

/// A request's metrics in CloudWatch's embedded metric format: the values, and under `_aws` which of the line's members
/// are metrics.
pub(crate) struct Metrics<'a> {
    stage: &'a str,
    at: Timestamp,
    values: Vec<(Metric, f64)>,
}

impl<'a> Metrics<'a> {
    pub(crate) fn new(
        stage: &'a str,
        at: Timestamp,
        event: Option<SecurityEvent>,
        problem: Option<&Problem>,
        database: db::Usage,
    ) -> Self {
        let outcome = Outcome { event, problem, database };
        let values = METRICS.into_iter().filter_map(|metric| Some(((metric.value)(&outcome)?, metric)));
        Self { stage, at, values: values.map(|(value, metric)| (metric, value)).collect() }
    }
}

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.values.is_empty() {
            let describe = |(metric, _): &(Metric, f64)| json!({"Name": metric.name, "Unit": metric.unit});
            let units: Vec<_> = self.values.iter().map(describe).collect();
            map.serialize_entry("stage", self.stage)?;
            for (metric, value) in &self.values {
                map.serialize_entry(metric.name, value)?;
            }
            let metrics = json!({"Namespace": METRICS_NAMESPACE, "Dimensions": [["stage"]], "Metrics": units});
            let timestamp = self.at.as_micros() / 1000;
            map.serialize_entry("_aws", &json!({"Timestamp": timestamp, "CloudWatchMetrics": [metrics]}))?;
        }
        map.end()
    }
}
