//! Which releases are live, in the table `_releases`, and so when a contracting migration is due.

use std::{fmt, time::Duration};

use anyhow::Context;
use semver::Version;
use tokio_postgres::types::Type;

use crate::database::Database;
use crate::error::database_error;

/// How long a release has to be live before contracting migrations take away what earlier ones need: as long as anyone may
/// want to go back to one of those.
pub const GRACE_PERIOD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The release that this checkout is of.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

const CREATE_TABLE: &str = "
CREATE TABLE IF NOT EXISTS _releases (
    release TEXT PRIMARY KEY,
    live_since TIMESTAMPTZ NOT NULL DEFAULT now()
)";

/// The releases that have been live without an earlier one since.
#[derive(Debug, Default)]
pub(crate) struct Releases(Vec<Live>);

#[derive(Debug)]
struct Live {
    release: Version,
    /// The end of its grace period, in UTC.
    until: String,
    is_over: bool,
}

/// Why a contracting migration waits.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    /// Its release is not live, nor is a later one.
    NotLive(Version),
    /// For the end of this release's grace period, in UTC.
    Until(String, Version),
    /// For the end of the next deployment.
    Due(Version),
}

impl Releases {
    /// Why a migration waits that takes away what releases before this one need.
    pub(crate) fn waiting(&self, release: &Version) -> Waiting {
        match self.0.iter().find(|live| live.release >= *release) {
            None => Waiting::NotLive(release.clone()),
            Some(live) if live.is_over => Waiting::Due(live.release.clone()),
            Some(live) => Waiting::Until(live.until.clone(), live.release.clone()),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = GRACE_PERIOD.as_secs() / (24 * 60 * 60);
        match self {
            Self::NotLive(release) => write!(f, "waiting until release {release} has been live for {days} days"),
            Self::Until(until, release) => {
                write!(f, "waiting until {until} UTC, when release {release} has been live for {days} days")
            }
            Self::Due(release) => {
                write!(f, "waiting for the next deployment: release {release} has been live for {days} days")
            }
        }
    }
}

/// The release of this checkout, parsed.
///
/// # Errors
/// Cargo would have refused the number.
pub fn own_release() -> anyhow::Result<Version> {
    parse(RELEASE)
}

pub(crate) fn parse(release: &str) -> anyhow::Result<Version> {
    release.parse().with_context(|| format!("{release} is not the number of a release"))
}

impl Database {
    /// In the order in which they went live; none when there is no table.
    pub(crate) async fn releases(&self) -> anyhow::Result<Releases> {
        if !self.query_bool("SELECT to_regclass('_releases') IS NOT NULL", &[]).await? {
            return Ok(Releases::default());
        }
        let select = "SELECT release, is_over, to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS until
                      FROM _releases, LATERAL (SELECT live_since + $1 * interval '1 second' AS until) AS grace,
                          LATERAL (SELECT until <= now() AS is_over) AS ended
                      ORDER BY live_since";
        let seconds = GRACE_PERIOD.as_secs_f64();
        let rows = self.client.query_typed(select, &[(&seconds, Type::FLOAT8)]).await.map_err(database_error)?;
        let live = rows.iter().map(|row| {
            let release = parse(row.try_get("release").map_err(database_error)?)?;
            let read = || Ok(Live { release, until: row.try_get("until")?, is_over: row.try_get("is_over")? });
            read().map_err(database_error)
        });
        Ok(Releases(live.collect::<anyhow::Result<_>>()?))
    }

    /// Records that a release is live now, and no later one. One that is recorded keeps its time.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn record_release(&self, live: &Version) -> anyhow::Result<()> {
        let record = async {
            self.batch_execute(CREATE_TABLE).await?;
            let mut later = self.query_strings("SELECT release FROM _releases", &[]).await?;
            later.retain(|release| parse(release).is_ok_and(|release| release > *live));
            let delete = "DELETE FROM _releases WHERE release = ANY ($1)";
            self.client.execute_typed(delete, &[(&later, Type::TEXT_ARRAY)]).await.map_err(database_error)?;
            let insert = "INSERT INTO _releases (release) VALUES ($1) ON CONFLICT DO NOTHING";
            let live = live.to_string();
            self.client.execute_typed(insert, &[(&live, Type::TEXT)]).await.map_err(database_error)?;
            Ok(())
        };
        self.transaction(record).await.context("the release was not recorded")
    }

    /// The release that went live last; none when none is recorded, as release 0.1.0 recorded nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn live_release(&self) -> anyhow::Result<Option<Version>> {
        Ok(self.releases().await?.0.pop().map(|live| live.release))
    }

    /// The oldest release that the schema serves, and the contracting migration that took away what those before it need.
    ///
    /// # Errors
    /// The database failed.
    pub async fn oldest_release_served(&self) -> anyhow::Result<Option<(String, Version)>> {
        let contracted = self.history().await?.into_iter().filter_map(|applied| {
            let release = applied.contracting.as_deref().map(parse)?;
            Some(release.map(|release| (applied.file_name(), release)))
        });
        let contracted = contracted.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(contracted.into_iter().max_by(|(_, one), (_, other)| one.cmp(other)))
    }
}
