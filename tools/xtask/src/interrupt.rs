//! "Please stop": Ctrl-C, SIGTERM or a closed terminal, seen by everything that waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Signals belong to the whole process, and so does this flag.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The user wants an end: no failure, so it is told apart from one.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From here on the signals no longer kill this process: it has others to stop first.
pub(crate) fn catch() -> Result<()> {
    let flag = STOP.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch signals")?;
    }
    Ok(())
}

/// `Err(Interrupted)` once a signal has come.
pub(crate) fn check() -> Result<()> {
    match STOP.get() {
        Some(flag) if flag.load(Ordering::Relaxed) => Err(Interrupted.into()),
        _ => Ok(()),
    }
}
