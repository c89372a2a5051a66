use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, ensure};

/// Asks for a secret: on a terminal without echo, otherwise by reading a line from standard input.
pub(crate) fn secret(question: &str) -> anyhow::Result<String> {
    let answer = if io::stdin().is_terminal() { rpassword::prompt_password(question)? } else { read_line()? };
    Ok(answer.trim().to_owned())
}

/// Asks a yes-or-no question.
///
/// # Errors
/// There is no terminal to ask on.
pub(crate) fn confirm(question: &str) -> anyhow::Result<bool> {
    ensure!(io::stdin().is_terminal(), "{question} There is no terminal to ask on: confirm with YES=1");
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    Ok(matches!(read_line()?.trim(), "y" | "Y" | "yes"))
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read standard input")?;
    Ok(line)
}
