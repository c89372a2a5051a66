//! Tells on the terminal what is being done, and how long it took.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;

/// A step that prints nothing itself: one line.
pub(crate) async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    print!("  {what} … ");
    std::io::stdout().flush()?;
    let (begin, done) = (Instant::now(), work.await.inspect_err(|_| println!())?);
    println!("{:.1} s", begin.elapsed().as_secs_f32());
    Ok(done)
}

/// A step with output of its own, between a first line and a last.
pub(crate) async fn verbose_step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    println!("  {what} …");
    let (begin, done) = (Instant::now(), work.await?);
    println!("  {what}: {:.1} s", begin.elapsed().as_secs_f32());
    Ok(done)
}
