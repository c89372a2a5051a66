//! A database that a test breaks: its parts are stopped and started as standard input says, line by line, each line
//! answered by `done`.

use std::sync::mpsc::{RecvTimeoutError, channel};

use anyhow::{Context, Result, bail};

use crate::process::TICK;
use crate::profile::Profile;
use crate::{Up, pgbouncer, postgres};

/// Starts the database and does what it is told until standard input ends.
pub(crate) fn obey(profile: &Profile) -> Result<u8> {
    let mut up = crate::start(profile)?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        println!("done");
        let line = loop {
            match lines.recv_timeout(TICK) {
                Ok(line) => break line,
                Err(RecvTimeoutError::Timeout) => up.stack.check()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        };
        follow(&line, profile, &mut up)?;
    }
}

fn follow(line: &str, profile: &Profile, up: &mut Up) -> Result<()> {
    let Up { stack, tools, postgres, tls, .. } = up;
    match line.split_once(' ') {
        Some(("stop", part)) => stack.stop(part),
        Some(("start", postgres::PART)) => postgres.start(profile, &tools.postgres, tls, stack),
        Some(("start", pgbouncer::PART)) => {
            let program = tools.pgbouncer.as_deref().context("there is no PgBouncer")?;
            pgbouncer::start(program, &postgres.password, profile, None, tls, stack)
        }
        _ => bail!("cannot {line:?}"),
    }
}
