use std::{fmt, time::SystemTime};

use domain::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::origin::Origin;

/// Writes an event as a line of JSON, with its fields as members.
pub(super) struct Json;

#[derive(Serialize)]
struct Line {
    timestamp: Timestamp,
    level: &'static str,
    #[serde(flatten)]
    fields: Fields,
    #[serde(flatten)]
    origin: Origin,
}

/// `message` is one of them.
#[derive(Default, Serialize)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl<S, F> FormatEvent<S, F> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, F>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let timestamp = Timestamp::from(SystemTime::now());
        let level = event.metadata().level().as_str();
        let text = serde_json::to_string(&Line { timestamp, level, fields, origin: Origin::current() });
        writeln!(line, "{}", text.map_err(|_| fmt::Error)?)
    }
}
