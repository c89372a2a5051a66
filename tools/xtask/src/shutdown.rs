//! Ctrl-C, SIGTERM and a closed terminal: they end what runs, in order.

use std::process::ExitCode;

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

use crate::supervisor::Supervisor;

/// Runs something until it is done, a part of the stack dies, or this process is asked to stop; then ends whatever was
/// started and is still running. The exit code is that of the work, 1 after an error, or `when_stopped`.
pub(crate) fn supervise(when_stopped: u8, work: impl AsyncFnOnce(&Supervisor) -> Result<u8>) -> ExitCode {
    let run = || {
        let runtime = Runtime::new()?;
        let done = runtime.block_on(until_stopped(work));
        // Without waiting for a read of standard input.
        runtime.shutdown_background();
        done
    };
    match run() {
        Ok(code) => ExitCode::from(code.unwrap_or(when_stopped)),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The exit code of the work; `None` when it was stopped.
async fn until_stopped(work: impl AsyncFnOnce(&Supervisor) -> Result<u8>) -> Result<Option<u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let supervisor = Supervisor::new()?;
    let done = select! {
        // The terminal's Ctrl-C ends commands in the foreground as well: that is no failure of theirs.
        biased;
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
        _ = hangup.recv() => Ok(None),
        error = supervisor.failure() => Err(error),
        code = work(&supervisor) => code.map(Some),
    };
    if matches!(done, Ok(None)) {
        println!("\n  stopping");
    }
    supervisor.shutdown().await;
    done
}
