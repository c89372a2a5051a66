//! Programs that run to their end.

use std::process;

use reqwest::Url;

/// What a program did.
#[derive(Debug)]
pub struct Output {
    /// `None` when it was killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<process::Output> for Output {
    fn from(output: process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Output {
    /// The standard output of a program that must have succeeded.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// The error message of a program that must have failed with one line.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(self.code == Some(1) && self.stderr.lines().count() == 1, "{self:#?}");
        self.stderr.trim_end().to_owned()
    }

    /// Checks that nothing secret was printed: neither a secret as a whole nor, if it is a URL, its password.
    #[track_caller]
    pub fn assert_hides(&self, secret: &str) {
        let password = secret.parse::<Url>().ok().and_then(|url| url.password().map(str::to_owned));
        for secret in [secret, password.as_deref().unwrap_or_default()] {
            let is_printed = self.stdout.contains(secret) || self.stderr.contains(secret);
            // Not with the output, which would print it again.
            assert!(secret.len() <= 3 || !is_printed, "a secret was printed");
        }
    }
}
