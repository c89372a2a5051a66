//! A database that a test breaks, as lines on standard input say, such as `stop PgBouncer`. Each is answered by `done`.

use anyhow::{Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::{pgbouncer, postgres, profile::Profile, stack::Stack, supervisor::Supervisor};

/// Starts the database and carries out commands until standard input ends.
pub(crate) async fn serve(profile: &Profile, supervisor: &Supervisor) -> Result<u8> {
    let mut stack = Stack::start(profile, supervisor).await?;
    let mut lines = BufReader::new(stdin()).lines();
    println!("done");
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ') {
            Some(("stop", part)) => supervisor.stop(part).await,
            Some(("kill", part)) => supervisor.kill(part).await,
            Some(("start", postgres::PART | postgres::BRANCH)) => stack.start_postgres().await,
            Some(("start", pgbouncer::PART)) => stack.start_pgbouncer().await,
            Some(("keep", "past")) => stack.keep_past().await,
            // Answered with its port, too.
            Some((postgres::BRANCH, moment)) => stack.start_branch(moment).await.map(|port| println!("{port}")),
            Some(("switch-to", postgres::BRANCH)) => stack.switch_to_branch().await,
            _ => bail!("unknown command {line:?}"),
        }?;
        println!("done");
    }
    Ok(0)
}
