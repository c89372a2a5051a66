//! The statements of the functions as they reach the database, and the plainest ones that do the same work.

use std::{collections::BTreeMap, sync::LazyLock};

use anyhow::{Context, Result, anyhow};
use chrono::NaiveDateTime;
use regex::{Captures, Regex};
use tests::{proxy::Proxy, relay::Relay};
use tokio_postgres::types::{FromSql, Kind, Type};
use tokio_util::bytes::{Buf, Bytes};
use uuid::Uuid;

use crate::requests::Account;

/// Hears what a function and the database say.
pub(crate) struct Recorder {
    relay: Relay,
    proxy: Proxy,
    /// The database's address behind it.
    pub(crate) url: String,
}

/// What was said for one request.
pub(crate) struct Talk {
    pub(crate) round_trips: u32,
    /// Each on one line, with its parameters as literals.
    pub(crate) statements: Vec<String>,
}

impl Recorder {
    pub(crate) async fn in_front_of(url: &str) -> Self {
        let (proxy, url) = Proxy::in_front_of(url).await;
        let (relay, url) = Relay::in_front_of(&url).await;
        Self { relay, proxy, url }
    }

    /// What `request` leads to.
    pub(crate) fn listen(&self, request: impl FnOnce() -> Result<()>) -> Result<Talk> {
        self.proxy.take_record();
        let before = self.relay.round_trips();
        request()?;
        let round_trips = self.relay.round_trips() - before;
        let (mut statements, mut parsed) = (Vec::new(), None);
        for mut message in self.proxy.take_record() {
            let kind = message.get_u8();
            message.advance(4);
            match kind {
                b'P' => parsed = Some(Parsed::read(message)?),
                b'B' => statements.push(parsed.take().context("a statement with a name")?.bind(message)?),
                _ => {}
            }
        }
        Ok(Talk { round_trips, statements })
    }
}

/// A statement and the types of its parameters.
struct Parsed {
    sql: String,
    types: Vec<Type>,
}

impl Parsed {
    /// Reads a message
    /// ([Message Formats](https://www.postgresql.org/docs/current/protocol-message-formats.html), as the next).
    fn read(mut message: Bytes) -> Result<Self> {
        text(&mut message)?;
        let sql = text(&mut message)?;
        let types = (0..message.get_u16()).map(|_| Type::from_oid(message.get_u32()).context("a type of its own"));
        Ok(Self { sql, types: types.collect::<Result<_>>()? })
    }

    /// Replaces the parameters by the values of a message.
    fn bind(self, mut message: Bytes) -> Result<String> {
        text(&mut message)?;
        text(&mut message)?;
        let formats = message.get_u16();
        message.advance(2 * usize::from(formats));
        let count = message.get_u16();
        let mut literals = Vec::new();
        for r#type in self.types.iter().take(count.into()) {
            let value = usize::try_from(message.get_i32()).ok().map(|length| message.split_to(length));
            literals.push(literal(r#type, value.as_deref())?);
        }
        static PARAMETER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$(\d+)").expect("an expression"));
        let of =
            |number: &Captures<'_>| number[1].parse().ok().and_then(|number: usize| literals.get(number - 1)).cloned();
        let sql = PARAMETER.replace_all(&self.sql, |number: &Captures<'_>| of(number).unwrap_or_default());
        Ok(on_one_line(&sql))
    }
}

/// The next text of a message.
fn text(message: &mut Bytes) -> Result<String> {
    let end = message.iter().position(|byte| *byte == 0).context("a text without an end")?;
    let text = String::from_utf8(message.split_to(end).to_vec())?;
    message.advance(1);
    Ok(text)
}

/// A value as a literal in which pgbench sees no variables of its own.
fn literal(r#type: &Type, value: Option<&[u8]>) -> Result<String> {
    let name = r#type.name();
    let Some(value) = value else { return Ok(format!("NULL::{name}")) };
    let text = plain(r#type, value).map_err(|error| anyhow!("a {name}: {error}"))?;
    let escaped = text.replace('\\', r"\\").replace('\'', r"\'").replace(':', r"\x3a");
    Ok(format!("E'{escaped}'::{name}"))
}

/// A value as PostgreSQL prints it.
fn plain(r#type: &Type, value: &[u8]) -> Result<String, Box<dyn std::error::Error + Sync + Send>> {
    Ok(match *r#type {
        Type::UUID => Uuid::from_sql(r#type, value)?.to_string(),
        Type::TEXT => <&str>::from_sql(r#type, value)?.to_owned(),
        Type::BOOL => bool::from_sql(r#type, value)?.to_string(),
        Type::INT4 => i32::from_sql(r#type, value)?.to_string(),
        Type::INT8 => i64::from_sql(r#type, value)?.to_string(),
        Type::FLOAT8 => f64::from_sql(r#type, value)?.to_string(),
        Type::TIMESTAMP => NaiveDateTime::from_sql(r#type, value)?.to_string(),
        // The expiry of a write, which must not have passed when the statement is sent again.
        Type::TIMESTAMPTZ => "infinity".to_owned(),
        Type::BYTEA => value.iter().fold(r"\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
        _ => match r#type.kind() {
            Kind::Array(of) => {
                let values = <Vec<Value>>::from_sql(r#type, value)?;
                let texts = values.iter().map(|Value(value)| plain(of, value).map(|text| format!("{text:?}")));
                format!("{{{}}}", texts.collect::<Result<Vec<_>, _>>()?.join(","))
            }
            _ => return Err("an unknown type".into()),
        },
    })
}

/// An element of an array, of whatever type.
struct Value(Vec<u8>);

impl FromSql<'_> for Value {
    fn from_sql(_: &Type, value: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(value.to_owned()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// `plainest.sql`, by route.
pub(crate) struct Plainest(BTreeMap<String, Vec<String>>);

impl Plainest {
    pub(crate) fn read() -> Self {
        let mut statements = BTreeMap::new();
        for section in include_str!("plainest.sql").split("\n\n").skip(1) {
            let (routes, sql) = section.split_once('\n').unwrap_or_default();
            let sql: Vec<_> = sql.split_terminator(';').map(on_one_line).filter(|sql| !sql.is_empty()).collect();
            for route in routes.trim_start_matches("-- ").split(", ") {
                statements.insert(route.to_owned(), sql.clone());
            }
        }
        Self(statements)
    }

    /// Those for a request.
    pub(crate) fn of(&self, route: &str, account: &Account) -> Result<Vec<String>> {
        let reset = account.reset_token.as_ref().map(|token| token.hash());
        let new = format!("new.{}", account.email);
        let values = [
            (":user", literal(&Type::UUID, Some(account.user.as_uuid().as_bytes()))?),
            (":session", literal(&Type::UUID, Some(account.session.as_uuid().as_bytes()))?),
            (":task", literal(&Type::UUID, Some(account.task.as_uuid().as_bytes()))?),
            (":email", literal(&Type::TEXT, Some(account.email.as_bytes()))?),
            (":new", literal(&Type::TEXT, Some(new.as_bytes()))?),
            (":reset", literal(&Type::BYTEA, reset.as_ref().map(|hash| &hash[..]))?),
            (":hash", "repeat('x', 60)".to_owned()),
        ];
        let fill = |sql: &String| values.iter().fold(sql.clone(), |sql, (name, value)| sql.replace(name, value));
        Ok(self.0.get(route).into_iter().flatten().map(fill).collect())
    }
}

fn on_one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
