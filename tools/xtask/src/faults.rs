//! A database that a test breaks: its parts are stopped and started by lines on standard input such as
//! `stop PgBouncer`, each answered by `done`.

use anyhow::{Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::{pgbouncer, postgres, profile::Profile, stack::Stack, supervisor::Supervisor};

/// Starts the database and carries out commands until standard input ends.
pub(crate) async fn serve(profile: &Profile, supervisor: &Supervisor) -> Result<u8> {
    let stack = Stack::start(profile, supervisor).await?;
    let mut lines = BufReader::new(stdin()).lines();
    println!("done");
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ') {
            Some(("stop", part)) => supervisor.stop(part).await,
            Some(("start", postgres::PART)) => stack.start_postgres().await,
            Some(("start", pgbouncer::PART)) => stack.start_pgbouncer().await,
            _ => bail!("unknown command {line:?}"),
        }?;
        println!("done");
    }
    Ok(0)
}
