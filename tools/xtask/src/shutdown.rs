//! Ctrl-C, SIGTERM and a closed terminal: they end what runs, in order.

use anyhow::Result;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

use crate::supervisor::Supervisor;

/// Runs something until it is done, a part of the stack dies, or this process is asked to stop, which is `None`. Ends
/// whatever was started and is still running.
pub(crate) async fn supervised<T>(work: impl AsyncFnOnce(&Supervisor) -> Result<T>) -> Result<Option<T>> {
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
        done = work(&supervisor) => done.map(Some),
    };
    supervisor.shutdown().await;
    if matches!(done, Ok(None)) {
        println!("\n  stopped");
    }
    done
}
