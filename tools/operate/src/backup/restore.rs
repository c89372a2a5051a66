use anyhow::{Context, ensure};
use tokio_postgres::types::Type;

use super::{SCHEMA, archive, contents::Tables, key, place::Place, programs::Programs};
use crate::{
    address::Address,
    database::{CONNECT_TIMEOUT, config, connect},
    end_sessions,
    stage::Stage,
};

/// Whether the schema has no table, view or sequence, but for those of extensions.
const IS_EMPTY: &str = "
    SELECT NOT EXISTS (
        SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'm', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    )";

/// Restores a backup to the empty database at `url`, compares all tables with what was backed up, and revokes all tokens.
pub(crate) async fn restore(url: &str, stage: Option<&Stage>, from: &Place) -> anyhow::Result<()> {
    let key = key::secret()?;
    let file = from.fetch(stage).await?;
    let (contents, dump) = archive::open(file, &key)?;
    println!("the backup of {} has {}", contents.taken_at, contents.tables.size());
    let address = Address::parse(url)?.direct()?;
    let client = connect(&config(address.as_str())?, CONNECT_TIMEOUT).await?;
    let is_empty = client.query_typed_one(IS_EMPTY, &[(&SCHEMA, Type::TEXT)]).await.map_err(migrate::database_error)?;
    ensure!(is_empty.try_get::<_, bool>(0)?, "the database is not empty: restore to a new one");

    let programs = Programs::for_version(contents.pg_dump).await?;
    programs.restore(&address, dump).await.context("nothing was restored")?;
    contents.tables.ensure_equal(&Tables::read(&client).await?)?;
    println!("restored, and equal to what was backed up");
    // It has none, but accounts may have tokens of 0.1.0.
    end_sessions::run(address.as_str(), CONNECT_TIMEOUT, true).await
}
