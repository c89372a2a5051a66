//! `pgbench`, PostgreSQL's own benchmark: what statements take without this API, through the same TLS and the same pooler.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use tempfile::NamedTempFile;
use tests::database::{ca_file, client_program};

use crate::process::processor_of;

pub(crate) struct Pgbench {
    url: String,
}

impl Pgbench {
    /// At the pooled address of a database.
    pub(crate) fn at(url: &str) -> Result<Self> {
        let mut url: Url = url.parse()?;
        url.query_pairs_mut().clear().extend_pairs([
            ("sslmode", "verify-full"),
            ("sslrootcert", ca_file().to_str().context("a path in UTF-8")?),
        ]);
        Ok(Self { url: url.into() })
    }

    /// How many milliseconds each of these statements takes, one after the other. 0 is unknown: the answer was there before
    /// pgbench looked at its clock again.
    pub(crate) fn times(&self, statements: &[String]) -> Result<Vec<f64>> {
        // After a pause it looks at the clock, too.
        let script: Vec<_> = statements.iter().map(|statement| format!("\\sleep 1 us\n{statement}")).collect();
        let report = self.run(&script, &["--transactions=1", "--report-per-command"])?;
        // After a heading, a line for each command, which begins with its time.
        let lines = report.lines().skip_while(|line| !line.starts_with("statement latencies")).skip(1);
        let times = lines
            .filter(|line| !line.contains(r"\sleep"))
            .map(|line| Ok(line.split_whitespace().next().context("a time")?.parse()?));
        let times = times.collect::<Result<Vec<f64>>>()?;
        ensure!(times.len() == statements.len(), "pgbench printed: {report}");
        Ok(times)
    }

    /// Sends these statements again and again over so many connections, for some seconds; how many there were.
    pub(crate) fn load(&self, statements: &[String], connections: usize, seconds: u64) -> Result<f64> {
        let report = self.run(statements, &[&format!("--client={connections}"), &format!("--time={seconds}")])?;
        let label = "number of transactions actually processed: ";
        let count = report.lines().find_map(|line| line.strip_prefix(label)).context("no count")?;
        let runs: f64 = count.split(' ').next().context("a count")?.parse()?;
        Ok(runs * statements.len() as f64)
    }

    /// The processor time of `psql`, a program in C, up to the answer to a query over a connection of its own.
    pub(crate) fn processor_of_psql(&self) -> Result<Duration> {
        let mut psql = Command::new(client_program("psql").context("psql is missing")?);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", &self.url]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = psql.spawn()?;
        let (stdin, stdout) = (psql.stdin.take().context("no input")?, psql.stdout.take().context("no output")?);
        writeln!(&stdin, "SELECT 1;")?;
        BufReader::new(stdout).read_line(&mut String::new())?;
        let processor = processor_of(&psql)?;
        drop(stdin);
        psql.wait()?;
        Ok(processor)
    }

    fn run(&self, statements: &[String], options: &[&str]) -> Result<String> {
        let program = client_program("pgbench").context("pgbench is missing")?;
        let mut script = NamedTempFile::new()?;
        for statement in statements {
            writeln!(script, "{statement};")?;
        }
        let mut pgbench = Command::new(program);
        pgbench.args(["--no-vacuum", "--protocol=extended", "--file"]).arg(script.path()).args(options).arg(&self.url);
        let output = pgbench.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && !errors.contains("aborted"), "pgbench: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }
}
