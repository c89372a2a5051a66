//! What a stage needs once its whole database was set back to an earlier moment.

use std::{io, path::Path};

use anyhow::Result;
use migrate::{Contract, Migrations};

use crate::{
    database::{CONNECT_TIMEOUT, connect_for_migrations},
    end_sessions,
};

/// Ends every session, as those come back that had ended since, and lists the migrations that have to be applied again.
/// Asks first, unless `yes`.
pub(crate) async fn run(url: &str, yes: bool) -> Result<()> {
    let migrations = Migrations::read(Path::new("migrations"))?;
    end_sessions::run(url, CONNECT_TIMEOUT, yes).await?;
    let database = connect_for_migrations(url, CONNECT_TIMEOUT).await?;
    migrations.dry_run(&database, Contract::Nothing, &mut io::stdout()).await
}
