//! Functions as processes, as Lambda runs them: one event after the other.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::workspace::root;

use crate::lambda::{Answer, Lambda};

/// How a function is started.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) command: Vec<OsString>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// The variables of its environment that the template sets.
    pub(crate) settings: Vec<(String, String)>,
}

/// A function that has started.
pub(crate) struct Process {
    name: String,
    child: Child,
    lambda: Lambda,
    started: Instant,
    first_poll: Instant,
}

/// What a start has cost.
pub(crate) struct Start {
    /// Until it asks for an event.
    pub(crate) next: Duration,
    /// Until it has answered one that was waiting.
    pub(crate) answer: Duration,
    /// Of all its threads until then.
    pub(crate) processor: Duration,
}

impl Program {
    /// Starts it with the environment of this process, and with this database; waits until it asks for an event.
    pub(crate) fn start(&self, database: &str) -> Result<Process> {
        let logs = root().join(".local/bench");
        fs::create_dir_all(&logs)?;
        let log = File::create(logs.join(format!("{}.log", self.name)))?;
        let lambda = Lambda::start()?;
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .current_dir(&self.folder)
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env("DATABASE_URL", database)
            .env("AWS_LAMBDA_RUNTIME_API", lambda.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", &self.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut process = Process { name: self.name.clone(), child, lambda, started, first_poll: started };
        process.first_poll = process.lambda.first_poll().with_context(|| format!("{}: see its log", self.name))?;
        Ok(process)
    }

    /// Starts it for one event.
    pub(crate) fn try_start(&self, database: &str, event: &[u8]) -> Result<Start> {
        let process = self.start(database)?;
        let answer = process.invoke(event)?;
        Ok(Start {
            next: process.first_poll - process.started,
            answer: answer.at - process.started,
            processor: process.processor()?,
        })
    }
}

impl Process {
    /// # Errors
    /// It did not answer, or not with a success.
    pub(crate) fn invoke(&self, event: &[u8]) -> Result<Answer> {
        let answer = self.lambda.invoke(event).with_context(|| format!("{}: see its log", self.name))?;
        let json: Value = serde_json::from_slice(&answer.body)?;
        let is_success = json["statusCode"].as_u64().is_some_and(|status| (200..300).contains(&status));
        ensure!(is_success, "{}: {json}", self.name);
        Ok(answer)
    }

    /// From the start until this answer, in milliseconds.
    pub(crate) fn since_start(&self, answer: &Answer) -> f64 {
        (answer.at - self.started).as_secs_f64() * 1000.0
    }

    /// The processor time that it has used.
    pub(crate) fn processor(&self) -> Result<Duration> {
        processor_of(&self.child)
    }

    /// The most that it has had resident, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }
}

/// The processor time that all threads of a process have used, also those that have ended.
#[cfg(target_os = "linux")]
pub(crate) fn processor_of(process: &Child) -> Result<Duration> {
    use nix::{time::ClockId, unistd::Pid};
    let pid = Pid::from_raw(process.id().try_into()?);
    Ok(ClockId::pid_cpu_clock_id(pid)?.now()?.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn processor_of(_process: &Child) -> Result<Duration> {
    anyhow::bail!("the bench needs Linux")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
